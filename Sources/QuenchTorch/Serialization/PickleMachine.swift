import QuenchSupport

/// Reads a pickle as `torch.save` writes it (protocol 2).
///
/// A pickle is a program for a small stack machine. This one knows only the instructions and the few functions that
/// dictionaries, lists, numbers, texts and tensors need; whatever else the file names is an error, so nothing in it
/// can run code.
struct PickleMachine {
  /// Limits that no network's checkpoint comes near; they bound the memory that a hostile file can ask for.
  static let maximumLength = 64 << 20
  static let maximumInstructions = 2_000_000

  private var reader: ByteReader
  private var result = Pickle()
  private var stack: [Pickle.Value] = []
  private var marks: [Int] = []
  private var memo: [UInt32: Pickle.Value] = [:]

  /// The objects that the pickle `bytes` describes; `name` stands for it in errors.
  static func run(_ bytes: UnsafeRawBufferPointer, name: String) throws(InputError) -> Pickle {
    var machine = PickleMachine(reader: ByteReader(bytes, name: name))
    return try machine.run()
  }

  private init(reader: ByteReader) { self.reader = reader }

  private mutating func run() throws(InputError) -> Pickle {
    let start = try reader.take(2)
    guard start[0] == 0x80, start[1] == 2 else {
      throw fault(
        "the pickle protocol is not supported", expected: "2, the default of torch.save", found: "\(start[1])")
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
    case "G":
      _ = try reader.take(8)
      stack.append(.scalar)
    case "K": stack.append(.integer(Int(try reader.little(UInt8.self))))
    case "M": stack.append(.integer(Int(try reader.little(UInt16.self))))
    case "J": stack.append(.integer(Int(try reader.little(Int32.self))))
    case "\u{8a}": stack.append(try longInteger())
    case "X": stack.append(.string(try text(Int(reader.little(UInt32.self)))))
    case ")": pushTuple([])
    case "\u{85}": pushTuple(try pop(1))
    case "\u{86}": pushTuple(try pop(2))
    case "\u{87}": pushTuple(try pop(3))
    case "(": marks.append(stack.count)
    case "t": pushTuple(try popToMark())
    case "]":
      stack.append(.list(result.sequences.count))
      result.sequences.append([])
    case "a": try appendToList(pop(1))
    case "e": try appendToList(popToMark())
    case "}": pushDictionary()
    case "s": try setItems(pop(2))
    case "u": try setItems(popToMark())
    case "q": memo[UInt32(try reader.little(UInt8.self))] = try top()
    case "r": memo[try reader.little()] = try top()
    case "h": stack.append(try recall(UInt32(reader.little(UInt8.self))))
    case "j": stack.append(try recall(reader.little()))
    case "c": stack.append(.function(try function()))
    case "Q": try pushStorage()
    case "R": try call()
    case "b": try build()
    default:
      throw fault(
        "the pickle has an instruction that torch.save does not write for tensors",
        found: "\(instruction)".quoted)
    }
  }
}

// MARK: Stack

extension PickleMachine {
  /// The values above the last mark are all that an instruction may touch.
  private var available: Int { stack.count - (marks.last ?? 0) }

  private func top() throws(InputError) -> Pickle.Value {
    guard available > 0, let value = stack.last else { throw fault("the pickle takes a value where there is none") }
    return value
  }

  private mutating func pop() throws(InputError) -> Pickle.Value {
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

  private mutating func pushDictionary() {
    stack.append(.dictionary(result.dictionaries.count))
    result.dictionaries.append([])
  }

  private mutating func appendToList(_ values: [Pickle.Value]) throws(InputError) {
    guard case .list(let index) = try top() else {
      throw fault("the pickle appends to something that is not a list")
    }
    result.sequences[index] += values
  }

  private mutating func setItems(_ values: [Pickle.Value]) throws(InputError) {
    guard case .dictionary(let index) = try top(), values.count.isMultiple(of: 2) else {
      throw fault("the pickle sets items of something that is no dictionary")
    }
    for position in stride(from: 0, to: values.count, by: 2) {
      result.dictionaries[index].append((values[position], values[position + 1]))
    }
  }
}

// MARK: Numbers and texts

extension PickleMachine {
  /// A little-endian two's complement integer of up to 255 bytes.
  private mutating func longInteger() throws(InputError) -> Pickle.Value {
    let digits = try reader.take(Int(reader.little(UInt8.self)))
    guard digits.count <= 8 else { return .scalar }
    guard let last = digits.last else { return .integer(0) }
    let high = Int(Int8(bitPattern: last))
    return .integer(digits.dropLast().reversed().reduce(high) { $0 << 8 | Int($1) })
  }

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
}

// MARK: Functions

extension PickleMachine {
  private mutating func function() throws(InputError) -> Pickle.Function {
    let module = try line()
    let name = try line()
    switch (module, name) {
    case ("collections", "OrderedDict"): return .orderedDictionary
    case ("torch._utils", "_rebuild_tensor_v2"): return .rebuildTensor
    case ("torch._utils", "_rebuild_parameter"): return .rebuildParameter
    case ("torch", _):
      if let dtype = DType(torchStorage: name) { return .storage(dtype) }
    default: break
    }
    if name == "_rebuild_tensor_v3" || (module == "torch" && name.hasSuffix("Storage")) {
      throw fault(
        "a tensor has an unsupported dtype", expected: "\(DType.allCases.map { "\($0)" }.joined(separator: ", "))",
        found: "\(module).\(name)".quoted, remedy: "convert the tensor before saving it")
    }
    throw fault(
      "the checkpoint holds a Python object", found: "\(module).\(name)".quoted,
      remedy: "only plain tensors load, for safety: save the state_dict alone, best as safetensors")
  }

  /// Turns the tuple `("storage", class, key, device, element count)` into a storage.
  private mutating func pushStorage() throws(InputError) {
    guard case .tuple(let index) = try pop(), case let parts = result.sequences[index], parts.count == 5,
      case .string("storage") = parts[0], case .function(.storage(let dtype)) = parts[1],
      case .string(let key) = parts[2], case .integer(let count) = parts[4]
    else { throw fault("a storage is not described as torch.save does") }
    stack.append(.storage(result.storages.count))
    result.storages.append(Pickle.Storage(key: key, dtype: dtype, elementCount: count))
  }

  private mutating func call() throws(InputError) {
    guard case .tuple(let index) = try pop(), case .function(let function) = try pop() else {
      throw fault("the pickle calls something that is no function")
    }
    let arguments = result.sequences[index]
    switch function {
    case .orderedDictionary where arguments.isEmpty:
      pushDictionary()
    case .rebuildTensor:
      // Storage, offset, sizes, strides, requires_grad, hooks; a seventh would change the elements' meaning.
      guard arguments.count == 6, case .storage(let storage) = arguments[0],
        case .integer(let offset) = arguments[1],
        case .tuple(let shape) = arguments[2], case .tuple(let strides) = arguments[3]
      else { throw fault("a tensor is not described as torch.save does for plain ones") }
      stack.append(.tensor(result.tensors.count))
      result.tensors.append(Pickle.View(storage: storage, offset: offset, shape: shape, strides: strides))
    case .rebuildParameter:
      guard arguments.count == 3, case .tensor = arguments[0] else {
        throw fault("a parameter is not described as torch.save does")
      }
      stack.append(arguments[0])
    case .orderedDictionary, .storage:
      throw fault("the pickle calls a function with unknown arguments")
    }
  }

  /// Drops the attributes that a state dictionary carries beside its items (`_metadata`).
  private mutating func build() throws(InputError) {
    _ = try pop()
    guard case .dictionary = try top() else {
      throw fault("the pickle sets attributes of something that is no dictionary")
    }
  }

  private func fault(
    _ problem: String, expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) -> InputError {
    InputError(
      problem, at: "\(reader.name), byte \(reader.offset)", expected: expected, found: found,
      remedy: remedy ?? "save the weights as safetensors")
  }
}

extension DType {
  /// The name of the class in Python's `torch` whose storages hold this element type.
  var torchStorage: String {
    switch self {
    case .uint8: "ByteStorage"
    case .int8: "CharStorage"
    case .int16: "ShortStorage"
    case .int32: "IntStorage"
    case .int64: "LongStorage"
    case .float16: "HalfStorage"
    case .float32: "FloatStorage"
    case .float64: "DoubleStorage"
    case .bool: "BoolStorage"
    case .bfloat16: "BFloat16Storage"
    }
  }

  init?(torchStorage name: String) {
    guard let type = Self.allCases.first(where: { $0.torchStorage == name }) else { return nil }
    self = type
  }
}
