import Foundation
import QuenchSupport

/// Reads JSON step by step, where only parts of a text are wanted, or more is not to be built than a budget allows.
///
/// The reader stands before a value; each method takes what it names and stands behind it. A copy goes its own way.
public struct JSONReader {
  private let bytes: [UInt8]
  private let name: String
  private var offset = 0
  /// How many levels enclose the next value.
  private var depth = 0
  /// Values and keys that may still be built; those that are passed over do not count.
  public var budget: Int

  /// - Parameters:
  ///   - data: UTF-8 text with nothing but space around the value.
  ///   - name: What the text is, for errors: usually the file's path.
  ///   - budget: The most values and keys that are built of it.
  public init(_ data: Data, name: String, budget: Int = .max) {
    bytes = [UInt8](data)
    self.name = name
    self.budget = budget
  }

  /// What the next value is, by its first byte; nil at the end.
  public var next: UInt8? {
    mutating get {
      skipSpace()
      return offset < bytes.count ? bytes[offset] : nil
    }
  }

  /// - Throws: `InputError` with the byte offset of the first mistake. Nesting over 100 levels, a key that occurs twice
  ///   and a number of over 1,000 characters are mistakes, and so are more values than the budget has.
  public mutating func value() throws(InputError) -> Value {
    try spend()
    switch next {
    case UInt8(ascii: "{"):
      var record = Record()
      try members { (reader, key) throws(InputError) in record[key] = try reader.value() }
      return .object(record)
    case UInt8(ascii: "["):
      var values: [Value] = []
      try elements { (reader) throws(InputError) in values.append(try reader.value()) }
      return .array(values)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  /// Takes an object.
  /// - Parameter member: Takes the value of a key.
  public mutating func members(
    _ member: (_ reader: inout JSONReader, _ key: String) throws(InputError) -> Void
  ) throws(InputError) {
    try enter("{", "an object is expected")
    var keys: Set<String> = []
    if !skip("}") {
      repeat {
        guard next == UInt8(ascii: "\"") else { throw mistake("a key is expected") }
        try spend()
        let key = try string()
        guard keys.insert(key).inserted else { throw mistake("the key \"\(key.prefix(200))\" occurs twice") }
        guard skip(":") else { throw mistake("a colon is expected") }
        try member(&self, key)
      } while skip(",")
      guard skip("}") else { throw mistake("a comma or } is expected") }
    }
    depth -= 1
  }

  /// Takes an array.
  /// - Parameter element: Takes one of its elements.
  public mutating func elements(
    _ element: (_ reader: inout JSONReader) throws(InputError) -> Void
  ) throws(InputError) {
    try enter("[", "an array is expected")
    if !skip("]") {
      repeat { try element(&self) } while skip(",")
      guard skip("]") else { throw mistake("a comma or ] is expected") }
    }
    depth -= 1
  }

  /// Takes a number: an `int` or a `double`.
  public mutating func number() throws(InputError) -> Value {
    skipSpace()
    let start = offset
    passNumber()
    guard offset - start <= 1000 else {
      offset = start
      throw mistake("a number has over 1,000 characters")
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    let isPlain = text.first != "+" && text.first != "." && text.last != "."
    guard isPlain, let double = Double(text), double.isFinite else {
      offset = start
      throw mistake("a value is expected")
    }
    return Int(text).map { .int($0) } ?? .double(double)
  }

  /// Passes over a value, of which nothing but an object's keys is built.
  public mutating func pass() throws(InputError) {
    switch next {
    case UInt8(ascii: "{"): try members { (reader, _) throws(InputError) in try reader.pass() }
    case UInt8(ascii: "["): try elements { (reader) throws(InputError) in try reader.pass() }
    case UInt8(ascii: "\""): try passString()
    case UInt8(ascii: "t"): _ = try word("true", .null)
    case UInt8(ascii: "f"): _ = try word("false", .null)
    case UInt8(ascii: "n"): _ = try word("null", .null)
    default:
      let start = offset
      passNumber()
      guard offset > start else { throw mistake("a value is expected") }
    }
  }

  /// - Throws: `InputError` if anything but space follows.
  public mutating func end() throws(InputError) {
    guard next == nil else { throw mistake("there is more after the value") }
  }

  // MARK: - Parts

  private func mistake(_ problem: String) -> InputError {
    InputError("this is not valid JSON: \(problem)", at: "\(name), byte \(offset)")
  }

  private mutating func spend() throws(InputError) {
    guard budget > 0 else { throw InputError("the JSON has too many values", at: "\(name), byte \(offset)") }
    budget -= 1
  }

  private mutating func skipSpace() {
    while offset < bytes.count, bytes[offset] == 0x20 || (0x09...0x0D).contains(bytes[offset]) { offset += 1 }
  }

  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func enter(_ bracket: Unicode.Scalar, _ problem: String) throws(InputError) {
    guard depth < 100 else { throw mistake("it is nested over 100 levels deep") }
    guard skip(bracket) else { throw mistake(problem) }
    depth += 1
  }

  private mutating func word(_ word: String, _ value: Value) throws(InputError) -> Value {
    guard bytes[offset...].starts(with: word.utf8) else { throw mistake("a value is expected") }
    offset += word.utf8.count
    return value
  }

  private mutating func passNumber() {
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "E"), UInt8(ascii: "e"):
        offset += 1
      default: return
      }
    }
  }

  private mutating func passString() throws(InputError) {
    offset += 1
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        offset += 1
        return
      case UInt8(ascii: "\\"): offset += 2
      default: offset += 1
      }
    }
    throw mistake("a string does not end")
  }

  private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func string() throws(InputError) -> String {
    offset += 1
    var content: [UInt8] = []
    while let byte = peek {
      offset += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let text = String(validating: content, as: UTF8.self) else { throw mistake("a string is not UTF-8") }
        return text
      case UInt8(ascii: "\\"): content += try escaped()
      case 0..<0x20: throw mistake("a string holds an unescaped control character")
      default: content.append(byte)
      }
    }
    throw mistake("a string does not end")
  }

  private mutating func escaped() throws(InputError) -> [UInt8] {
    guard let byte = peek else { throw mistake("a string does not end") }
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

  private mutating func unicode() throws(InputError) -> Unicode.Scalar {
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

  private mutating func codeUnit() throws(InputError) -> UInt32 {
    let digits = bytes[offset...].prefix(4)
    let isHexadecimal = digits.count == 4 && digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
    guard isHexadecimal, let unit = UInt32(String(decoding: digits, as: UTF8.self), radix: 16) else {
      throw mistake("four hexadecimal digits are expected")
    }
    offset += 4
    return unit
  }
}
