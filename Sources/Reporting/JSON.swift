import Foundation
import Support

extension Value {
  /// The value as JSON on one line, or indented over several if `pretty`.
  ///
  /// Keys keep their order. NaN and infinity become `null`.
  public func json(pretty: Bool = false) -> String {
    var text = ""
    write(to: &text, indent: pretty ? "\n" : nil)
    return text
  }

  private func write(to text: inout String, indent: String?) {
    let inner = indent.map { $0 + "  " }
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += "\(value)"
    case .double(let value): text += value.isFinite ? "\(value)" : "null"
    case .string(let value): value.writeJSON(to: &text)
    case .array(let values):
      text += "["
      for (index, value) in values.enumerated() {
        if index > 0 { text += indent == nil ? "," : ", " }
        value.write(to: &text, indent: inner)
      }
      text += "]"
    case .object(let record):
      text += "{"
      for (index, (key, value)) in record.enumerated() {
        if index > 0 { text += "," }
        text += inner ?? ""
        key.writeJSON(to: &text)
        text += indent == nil ? ":" : ": "
        value.write(to: &text, indent: inner)
      }
      if !record.isEmpty { text += indent ?? "" }
      text += "}"
    }
  }

  /// Reads one JSON value.
  /// - Parameters:
  ///   - data: UTF-8 text with nothing but space around the value.
  ///   - name: What the text is, for errors: usually the file's path.
  /// - Throws: `InputError` with the byte offset of the first mistake. Nesting over 100 levels and a key that
  ///   occurs twice are mistakes.
  public init(json data: Data, name: String) throws(InputError) {
    var parser = JSONParser(bytes: [UInt8](data), name: name)
    self = try parser.document()
  }
}

extension String {
  fileprivate func writeJSON(to text: inout String) {
    text += "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  let name: String
  var offset = 0

  mutating func document() throws(InputError) -> Value {
    let value = try value(depth: 0)
    skipSpace()
    guard offset == bytes.count else { throw mistake("there is more after the value") }
    return value
  }

  func mistake(_ problem: String) -> InputError {
    InputError("this is not valid JSON: \(problem)", at: "\(name), byte \(offset)")
  }

  var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  mutating func skipSpace() {
    while let byte = next, byte == 0x20 || (0x09...0x0D).contains(byte) { offset += 1 }
  }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  mutating func value(depth: Int) throws(InputError) -> Value {
    skipSpace()
    guard depth < 100 else { throw mistake("it is nested over 100 levels deep") }
    switch next {
    case UInt8(ascii: "{"): return .object(try object(depth: depth + 1))
    case UInt8(ascii: "["): return .array(try array(depth: depth + 1))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  mutating func word(_ word: String, _ value: Value) throws(InputError) -> Value {
    guard bytes[offset...].starts(with: word.utf8) else { throw mistake("a value is expected") }
    offset += word.utf8.count
    return value
  }

  mutating func object(depth: Int) throws(InputError) -> Record {
    offset += 1
    var record = Record()
    if skip("}") { return record }
    repeat {
      skipSpace()
      guard next == UInt8(ascii: "\"") else { throw mistake("a key is expected") }
      let key = try string()
      guard record[key] == nil else { throw mistake("the key \"\(key)\" occurs twice") }
      guard skip(":") else { throw mistake("a colon is expected") }
      record[key] = try value(depth: depth)
    } while skip(",")
    guard skip("}") else { throw mistake("a comma or } is expected") }
    return record
  }

  mutating func array(depth: Int) throws(InputError) -> [Value] {
    offset += 1
    var values: [Value] = []
    if skip("]") { return values }
    repeat { values.append(try value(depth: depth)) } while skip(",")
    guard skip("]") else { throw mistake("a comma or ] is expected") }
    return values
  }

  mutating func number() throws(InputError) -> Value {
    let allowed = "+-.0123456789Ee".utf8
    let digits = bytes[offset...].prefix { allowed.contains($0) }
    let text = String(decoding: digits, as: UTF8.self)
    let isPlain = text.first != "+" && text.first != "." && text.last != "."
    guard isPlain, let double = Double(text), double.isFinite else { throw mistake("a value is expected") }
    offset += digits.count
    return Int(text).map { .int($0) } ?? .double(double)
  }

  mutating func string() throws(InputError) -> String {
    offset += 1
    var content: [UInt8] = []
    while let byte = next {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else { throw mistake("a string is not UTF-8") }
        return text
      case UInt8(ascii: "\\"): content += try escaped()
      case 0..<0x20: throw mistake("a control character stands bare in a string")
      default: content.append(byte)
      }
    }
    throw mistake("a string does not end")
  }

  mutating func escaped() throws(InputError) -> [UInt8] {
    guard let byte = next else { throw mistake("a string does not end") }
    offset += 1
    switch byte {
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "u"): return Array(String(Character(try unicode())).utf8)
    default: throw mistake("an escape is unknown")
    }
  }

  mutating func unicode() throws(InputError) -> Unicode.Scalar {
    let first = try codeUnit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, bytes[offset...].starts(with: "\\u".utf8) else {
      throw mistake("a surrogate stands alone")
    }
    offset += 2
    let second = try codeUnit()
    guard (0xDC00...0xDFFF).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw mistake("a surrogate stands alone") }
    return scalar
  }

  mutating func codeUnit() throws(InputError) -> UInt32 {
    let digits = bytes[offset...].prefix(4)
    let isHexadecimal = digits.count == 4 && digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
    guard isHexadecimal, let unit = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
      throw mistake("four hexadecimal digits are expected")
    }
    offset += 4
    return unit
  }
}
