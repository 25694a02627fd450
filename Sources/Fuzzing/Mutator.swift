import Foundation
import QuenchSupport
import QuenchVision

/// Damages valid files at random: what a broken disk, a bad download or an ill will may do to them.
struct Mutator {
  var random: SplitMix64
  /// The most bytes a result has.
  var limit = 1 << 16

  /// `seed` after one to eight changes, half of the time only one.
  /// - Parameter other: What parts may be taken from.
  mutating func mutate(_ seed: Data, with other: Data) -> Data {
    var bytes = [UInt8](seed)
    for _ in 0...min(7, random.next().trailingZeroBitCount) { change(&bytes, Array(other)) }
    return Data(bytes.prefix(limit))
  }

  private mutating func change(_ bytes: inout [UInt8], _ other: [UInt8]) {
    guard !bytes.isEmpty else {
      bytes = other
      return
    }
    switch below(10) {
    case 0, 1: bytes[below(bytes.count)] ^= 1 << UInt8(below(8))
    case 2: bytes[below(bytes.count)] = UInt8(truncatingIfNeeded: interesting())
    case 3: bytes.removeLast(bytes.count - below(bytes.count))
    case 4: bytes.removeSubrange(slice(of: bytes))
    case 5: bytes.insert(contentsOf: bytes[slice(of: bytes)], at: below(bytes.count + 1))
    case 6: bytes.insert(contentsOf: (0..<1 + below(8)).map { _ in UInt8(below(256)) }, at: below(bytes.count + 1))
    case 7: setInteger(&bytes)
    case 8: setNumeral(&bytes)
    default: bytes = bytes.prefix(below(bytes.count + 1)) + other.suffix(below(other.count + 1))
    }
  }

  /// Overwrites 2, 4 or 8 bytes with an integer of either byte order, or moves the one there by a little.
  private mutating func setInteger(_ bytes: inout [UInt8]) {
    let width = min(2 << below(3), bytes.count)
    let start = below(bytes.count - width + 1)
    let isBig = below(2) == 0
    func place(_ index: Int) -> Int { start + (isBig ? width - 1 - index : index) }
    let old = (0..<width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(bytes[place($1)]) }
    let value = below(2) == 0 ? interesting() : old &+ UInt64(below(9)) &- 4
    for index in 0..<width { bytes[place(index)] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }

  /// Replaces a number written in digits, as text formats have them.
  private mutating func setNumeral(_ bytes: inout [UInt8]) {
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    let from = below(bytes.count)
    guard let start = bytes[from...].firstIndex(where: digits.contains) else { return setInteger(&bytes) }
    let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
    let value = interesting()
    let numeral = below(2) == 0 ? "\(value)" : "\(Int64(bitPattern: value))"
    bytes.replaceSubrange(start..<end, with: Array(numeral.utf8))
  }

  /// A number at which code likes to go wrong: a power of two, one beside it, or the opposite of one.
  private mutating func interesting() -> UInt64 {
    let power = UInt64(1) << UInt64(below(64))
    let value = [0, power, power &- 1, power &+ 1, 100, 1000][below(6)]
    return below(4) == 0 ? 0 &- value : value
  }

  /// A part of `bytes`, mostly short.
  private mutating func slice(of bytes: [UInt8]) -> Range<Int> {
    let start = below(bytes.count)
    let longest = below(4) == 0 ? bytes.count - start : min(16, bytes.count - start)
    return start..<start + 1 + below(longest)
  }

  private mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
}
