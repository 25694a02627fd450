import QuenchSupport

/// What the JSON header of a safetensors file says, with the offsets as they stand there.
struct SafetensorsHeader {
  struct Entry {
    var name: String
    var layout: TensorLayout
    var offsets: Range<Int>
  }

  private(set) var metadata: [String: String] = [:]
  private(set) var entries: [Entry] = []

  /// Reads the header `json`; `name` is the file's, for errors.
  init(_ json: UnsafeRawBufferPointer, name: String) throws(InputError) {
    var scanner = HeaderScanner(bytes: json, name: name)
    try scanner.object { (scanner, key) throws(InputError) in
      if key == "__metadata__" {
        try scanner.object { (scanner, key) throws(InputError) in metadata[key] = try scanner.string() }
      } else {
        entries.append(try Self.entry(key, from: &scanner))
      }
    }
    try scanner.end()
  }

  private static func entry(
    _ name: String, from scanner: inout HeaderScanner
  ) throws(InputError) -> Entry {
    let location = "\(scanner.name), tensor \(name.quoted)"
    var type: String?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.object { (scanner, key) throws(InputError) in
      switch key {
      case "dtype": type = try scanner.string()
      case "shape": shape = try scanner.integers()
      case "data_offsets": offsets = try scanner.integers()
      default:
        throw InputError(
          "the header has an unknown key", at: location, expected: "dtype, shape, data_offsets", found: key.quoted)
      }
    }
    guard let type, let shape, let offsets else {
      throw InputError("the header lacks a key", at: location, expected: "dtype, shape, data_offsets")
    }
    guard let dtype = DType(safetensors: type) else {
      throw InputError(
        "unsupported dtype", at: location,
        expected: "one of \(DType.allCases.map(\.safetensors).joined(separator: ", "))", found: type.quoted,
        remedy: "convert the tensor before saving it")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw InputError(
        "data_offsets are not a range", at: location, expected: "[begin, end] with begin <= end",
        found: "\(offsets)")
    }
    let layout = try TensorLayout(shape: shape, dtype: dtype, at: location)
    guard layout.byteCount == offsets[1] - offsets[0] else {
      throw InputError(
        "the tensor's data have the wrong length", at: location,
        expected: "\(layout.byteCount) bytes for \(type) \(shape)", found: "\(offsets[1] - offsets[0])")
    }
    return Entry(name: name, layout: layout, offsets: offsets[0]..<offsets[1])
  }
}

extension DType {
  /// The name of the element type in safetensors files.
  var safetensors: String {
    switch self {
    case .uint8: "U8"
    case .int8: "I8"
    case .int16: "I16"
    case .int32: "I32"
    case .int64: "I64"
    case .float16: "F16"
    case .float32: "F32"
    case .float64: "F64"
    case .bool: "BOOL"
    case .bfloat16: "BF16"
    }
  }

  init?(safetensors name: String) {
    guard let type = Self.allCases.first(where: { $0.safetensors == name }) else { return nil }
    self = type
  }
}

/// A strict reader of the little JSON that a safetensors header may hold: objects, strings, lists of whole numbers.
///
/// The caller asks for what must come next, so nothing in the file decides how deep the reading goes; a repeated
/// key, which general JSON readers hide, is an error.
struct HeaderScanner {
  let bytes: UnsafeRawBufferPointer
  let name: String
  private var offset = 0

  init(bytes: UnsafeRawBufferPointer, name: String) {
    self.bytes = bytes
    self.name = name
  }

  /// No file of a network has so many tensors, each of which takes many times its text in memory.
  private static let maximumMembers = 100_000

  /// Reads an object; `member` is called after each key and must read its value.
  mutating func object(
    _ member: (inout HeaderScanner, _ key: String) throws(InputError) -> Void
  ) throws(InputError) {
    try expect("{")
    if skip("}") { return }
    var seen: Set<String> = []
    repeat {
      let key = try string()
      guard seen.count < Self.maximumMembers else {
        throw fault("there are too many keys", expected: "at most \(Self.maximumMembers)")
      }
      guard seen.insert(key).inserted else { throw fault("the key \(key.quoted) appears twice") }
      try expect(":")
      try member(&self, key)
    } while skip(",")
    try expect("}")
  }

  /// Reads a list of whole numbers from 0, at most as many as a tensor has dimensions.
  mutating func integers() throws(InputError) -> [Int] {
    try expect("[")
    var result: [Int] = []
    if skip("]") { return result }
    repeat {
      guard result.count < TensorLayout.maximumRank else { throw fault("a list is too long") }
      result.append(try integer())
    } while skip(",")
    try expect("]")
    return result
  }

  /// Reads a string.
  mutating func string() throws(InputError) -> String {
    try expect("\"")
    var text: [UInt8] = []
    while true {
      switch try next() {
      case UInt8(ascii: "\""):
        guard let result = String(validating: text, as: UTF8.self) else { throw fault("the text is not UTF-8") }
        return result
      case UInt8(ascii: "\\"): text += try escape().utf8
      case 0..<0x20: throw fault("a string holds a control character")
      case let byte: text.append(byte)
      }
    }
  }

  /// Checks that only white space is left.
  mutating func end() throws(InputError) {
    skipSpace()
    guard offset == bytes.count else { throw fault("something follows the end of the JSON") }
  }

  private mutating func integer() throws(InputError) -> Int {
    skipSpace()
    let start = offset
    var value = 0
    while offset < bytes.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[offset] {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(bytes[offset] - UInt8(ascii: "0")))
      guard !overflow, !carry else { throw fault("a number is too large") }
      value = sum
      offset += 1
    }
    let digits = offset - start
    guard digits == 1 || (digits > 1 && bytes[start] != UInt8(ascii: "0")) else {
      throw fault("a value is malformed", expected: "a whole number from 0")
    }
    return value
  }

  /// Reads what follows a backslash.
  private mutating func escape() throws(InputError) -> String {
    switch try next() {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var units = [try codeUnit()]
      if UTF16.isLeadSurrogate(units[0]) {
        guard try next() == UInt8(ascii: "\\"), try next() == UInt8(ascii: "u") else {
          throw fault("half a surrogate pair is missing")
        }
        units.append(try codeUnit())
      }
      guard let text = String(validating: units, as: UTF16.self) else {
        throw fault("an escape is not a character")
      }
      return text
    default: throw fault("an escape is unknown")
    }
  }

  private mutating func codeUnit() throws(InputError) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(try next())).hexDigitValue else {
        throw fault("an escape needs four hexadecimal digits")
      }
      unit = unit << 4 | UInt16(digit)
    }
    return unit
  }

  private mutating func next() throws(InputError) -> UInt8 {
    guard offset < bytes.count else { throw fault("the header ends too early") }
    defer { offset += 1 }
    return bytes[offset]
  }

  private mutating func expect(_ token: Unicode.Scalar) throws(InputError) {
    guard skip(token) else { throw fault("the header is malformed", expected: "\(token)") }
  }

  private mutating func skip(_ token: Unicode.Scalar) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: token) else { return false }
    offset += 1
    return true
  }

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  private func fault(_ problem: String, expected: String? = nil) -> InputError {
    let found = offset < bytes.count ? String(Unicode.Scalar(bytes[offset])).quoted : "the header's end"
    return InputError(
      problem, at: "\(name), header byte \(offset)", expected: expected, found: expected == nil ? nil : found)
  }
}
