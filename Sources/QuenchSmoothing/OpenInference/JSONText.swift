import Foundation
import QuenchSupport

extension InferenceMessage {
  /// An endpoint's answer. What Python and others write for numbers that are none (NaN, Infinity, null) is read as NaN,
  /// though JSON has no such numbers.
  /// - Throws: `InputError` that names the part that is not as it must be.
  public init(response body: Data, headerLength: Int?) throws(InputError) {
    let length = headerLength.map { min(max($0, 0), body.count) } ?? body.count
    let json = JSONText.withoutNonNumbers(Data(body.prefix(length)))
    try self.init(json + body.dropFirst(length), headerLength: json.count, .response)
  }
}

/// JSON as it is met.
enum JSONText {
  private static let nonNumbers = ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"].map { Array($0.utf8) }

  /// The text with `null` in place of words for numbers that JSON does not have.
  static func withoutNonNumbers(_ text: Data) -> Data {
    guard nonNumbers.contains(where: { text.firstRange(of: Data($0)) != nil }) else { return text }
    let bytes = [UInt8](text)
    var result = Data(capacity: bytes.count)
    var (offset, isInString) = (0, false)
    while offset < bytes.count {
      let byte = bytes[offset]
      if !isInString, let word = nonNumbers.first(where: { bytes[offset...].starts(with: $0) }) {
        result += Data("null".utf8)
        offset += word.count
        continue
      }
      if isInString, byte == UInt8(ascii: "\\"), offset + 1 < bytes.count {
        result += bytes[offset...offset + 1]
        offset += 2
        continue
      }
      if byte == UInt8(ascii: "\"") { isInString.toggle() }
      result.append(byte)
      offset += 1
    }
    return result
  }
}
