import QuenchSupport

/// Reads a pickle as `torch.save` writes it (protocols 2 to 5).
///
/// A pickle is a program for a small stack machine. This one knows the instructions, and of functions the few that
/// dictionaries and tensors need. Whatever else the file names is not looked up: what it would make becomes an object of
/// which the class's name alone is known. So nothing in a file can run code.
struct PickleMachine {
  /// Limits that no network's checkpoint comes near; they bound the memory that a hostile file can ask for.
  static let maximumLength = 64 << 20
  static let maximumInstructions = 2_000_000

  var reader: ByteReader
  var result = Pickle()
  var stack: [Pickle.Value] = []
  private var marks: [Int] = []
  private var memo: [UInt32: Pickle.Value] = [:]

  /// The objects that the pickle `bytes` describes; `name` stands for it in errors.
  static func run(_ bytes: UnsafeRawBufferPointer, name: String) throws(InputError) -> Pickle {
    var reader = ByteReader(bytes, name: name)
    return try run(&reader)
  }

  /// The objects that the next pickle in `reader` describes.
  static func run(_ reader: inout ByteReader) throws(InputError) -> Pickle {
    var machine = PickleMachine(reader: reader)
    let pickle = try machine.run()
    reader = machine.reader
    return pickle
  }

  private init(reader: ByteReader) { self.reader = reader }

  private mutating func run() throws(InputError) -> Pickle {
    let start = try reader.take(2)
    guard start[0] == 0x80, (2...5).contains(start[1]) else {
      throw fault(
        "the pickle protocol is not supported", expected: "2 to 5; torch.save's default is 2", found: "\(start[1])")
    }
    for _ in 0..<Self.maximumInstructions {
      let instruction = Unicode.Scalar(try reader.little(UInt8.self))
      if instruction == "." {
        result.root = try pop()
        return result
      }
      try perform(instruction)
    }
    throw fault("the description of the tensors is too long", expected: "\(Self.maximumInstructions) instructions")
  }

  private mutating func perform(_ instruction: Unicode.Scalar) throws(InputError) {
    switch instruction {
    case "N", "\u{88}", "\u{89}": stack.append(.scalar)
    case "G": try skip(8)
    case "K": stack.append(.integer(Int(try reader.little(UInt8.self))))
    case "M": stack.append(.integer(Int(try reader.little(UInt16.self))))
    case "J": stack.append(.integer(Int(try reader.little(Int32.self))))
    case "\u{8a}": stack.append(try longInteger(Int(reader.little(UInt8.self))))
    case "\u{8b}": stack.append(try longInteger(Int(reader.little(UInt32.self))))
    case "\u{8c}", "U": stack.append(.string(try text(Int(reader.little(UInt8.self)))))
    case "X", "T": stack.append(.string(try text(Int(reader.little(UInt32.self)))))
    case "\u{8d}": stack.append(.string(try text(length())))
    case "C": try skip(Int(reader.little(UInt8.self)))
    case "B": try skip(Int(reader.little(UInt32.self)))
    case "\u{8e}", "\u{96}": try skip(length())
    case ")": pushTuple([])
    case "\u{85}": pushTuple(try pop(1))
    case "\u{86}": pushTuple(try pop(2))
    case "\u{87}": pushTuple(try pop(3))
    case "(": marks.append(stack.count)
    case "t": pushTuple(try popToMark())
    case "]", "\u{8f}": pushList([])
    case "l", "\u{91}": pushList(try popToMark())
    case "a": try appendToList(pop(1))
    case "e", "\u{90}": try appendToList(popToMark())
    case "}": pushDictionary()
    case "s": try setItems(pop(2))
    case "u": try setItems(popToMark())
    case "q": memo[UInt32(try reader.little(UInt8.self))] = try top()
    case "r": memo[try reader.little()] = try top()
    case "\u{94}": memo[UInt32(memo.count)] = try top()
    case "h": stack.append(try recall(UInt32(reader.little(UInt8.self))))
    case "j": stack.append(try recall(reader.little()))
    case "0": _ = try pop()
    case "1": _ = try popToMark()
    case "2": stack.append(try top())
    case "\u{95}": _ = try reader.take(8)  // how long the next frame is: it tells nothing that is needed
    case "c": stack.append(.function(try function(line(), line())))
    case "\u{93}": try pushNamedFunction()
    case "Q": try pushStorage()
    case "R", "\u{81}": try call()
    case "\u{92}":
      _ = try pop()  // arguments by name
      try call()
    case "b": try build()
    default:
      throw fault(
        "the pickle has an instruction that torch.save does not write", found: "\(instruction)".quoted)
    }
  }
}

// MARK: Stack

extension PickleMachine {
  /// The values above the last mark are all that an instruction may touch.
  private var available: Int { stack.count - (marks.last ?? 0) }

  func top() throws(InputError) -> Pickle.Value {
    guard available > 0, let value = stack.last else { throw fault("the pickle takes a value where there is none") }
    return value
  }

  mutating func pop() throws(InputError) -> Pickle.Value {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws(InputError) -> [Pickle.Value] {
    guard available >= count else { throw fault("the pickle takes a value where there is none") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(InputError) -> [Pickle.Value] {
    guard !marks.isEmpty else { throw fault("the pickle ends a group that it did not begin") }
    let values = try pop(available)
    marks.removeLast()
    return values
  }

  private func recall(_ key: UInt32) throws(InputError) -> Pickle.Value {
    guard let value = memo[key] else { throw fault("the pickle recalls a value that it did not keep") }
    return value
  }

  private mutating func pushTuple(_ values: [Pickle.Value]) {
    stack.append(.tuple(result.sequences.count))
    result.sequences.append(values)
  }

  private mutating func pushList(_ values: [Pickle.Value]) {
    stack.append(.list(result.sequences.count))
    result.sequences.append(values)
  }

  mutating func pushDictionary() {
    stack.append(.dictionary(result.dictionaries.count))
    result.dictionaries.append([])
  }

  private mutating func appendToList(_ values: [Pickle.Value]) throws(InputError) {
    switch try top() {
    case .list(let index): result.sequences[index] += values
    case .object: break
    case .scalar, .integer, .string, .function, .tuple, .dictionary, .storage, .tensor:
      throw fault("the pickle appends to something that is not a list")
    }
  }

  private mutating func setItems(_ values: [Pickle.Value]) throws(InputError) {
    let target = try top()
    if case .object = target { return }
    guard case .dictionary(let index) = target, values.count.isMultiple(of: 2) else {
      throw fault("the pickle sets items of something that is no dictionary")
    }
    for position in stride(from: 0, to: values.count, by: 2) {
      result.dictionaries[index].append((values[position], values[position + 1]))
    }
  }
}

// MARK: Numbers and texts

extension PickleMachine {
  /// A little-endian two's complement integer of `count` bytes.
  private mutating func longInteger(_ count: Int) throws(InputError) -> Pickle.Value {
    let digits = try reader.take(count)
    guard digits.count <= 8 else { return .scalar }
    guard let last = digits.last else { return .integer(0) }
    let high = Int(Int8(bitPattern: last))
    return .integer(digits.dropLast().reversed().reduce(high) { $0 << 8 | Int($1) })
  }

  /// Bytes and floats: no tensor needs to know them.
  private mutating func skip(_ count: Int) throws(InputError) {
    _ = try reader.take(count)
    stack.append(.scalar)
  }

  /// A length of 64 bits.
  private mutating func length() throws(InputError) -> Int { Int(clamping: try reader.little(UInt64.self)) }

  private mutating func text(_ count: Int) throws(InputError) -> String {
    guard let text = String(validating: try reader.take(count), as: UTF8.self) else {
      throw fault("a text is not UTF-8")
    }
    return text
  }

  /// The text up to the next line feed, which is taken too.
  private mutating func line() throws(InputError) -> String {
    let rest = reader.bytes[reader.offset...]
    guard let end = rest.prefix(256).firstIndex(of: UInt8(ascii: "\n")) else {
      throw fault("the pickle has a name without an end")
    }
    let line = try text(end - reader.offset)
    _ = try reader.take(1)
    return line
  }

  func fault(
    _ problem: String, expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) -> InputError {
    InputError(
      problem, at: "\(reader.name), byte \(reader.offset)", expected: expected, found: found,
      remedy: remedy ?? "save the weights as safetensors")
  }
}
