/// SplitMix64 (Steele, Lea and Flood 2014): a small generator whose stream follows from its keys alone.
///
/// Data order and augmentation draw from one keyed by (seed, epoch, image), so nothing has to be stored to resume.
package struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  /// The stream of a tuple of keys; other keys, or the same in another order, give another stream.
  package init(_ keys: UInt64...) {
    state = 0
    for key in keys { state = Self.mix(state &+ 0x9E37_79B9_7F4A_7C15 ^ key) }
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// A bijection that spreads every bit over all.
  package static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
