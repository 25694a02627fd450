import QuenchSupport

/// A random order of `0..<count` that is never written down: any of its elements can be had at once.
///
/// A Feistel network (Luby and Rackoff 1988) permutes the smallest power of four that holds `count`; numbers beyond
/// the end walk on until they fall inside.
struct Permutation: Sendable {
  let count: Int
  private let halfBits: Int
  private let keys: [UInt64]

  init(count: Int, using random: SplitMix64) {
    self.count = count
    halfBits = (Int.bitWidth - max(count - 1, 1).leadingZeroBitCount + 1) / 2
    var random = random
    keys = (0..<8).map { _ in random.next() }
  }

  /// The element at `position` of the order.
  subscript(position: Int) -> Int {
    precondition((0..<count).contains(position))
    var value = UInt64(position)
    repeat { value = permuted(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func permuted(_ value: UInt64) -> UInt64 {
    let mask: UInt64 = (1 << halfBits) - 1
    var (left, right) = (value >> halfBits, value & mask)
    for key in keys { (left, right) = (right, left ^ (SplitMix64.mix(right ^ key) & mask)) }
    return left << halfBits | right
  }
}
