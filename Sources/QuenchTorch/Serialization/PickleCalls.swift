import QuenchSupport

// What a pickle calls by name.
extension PickleMachine {
  /// What `module.name` stands for.
  mutating func function(_ module: String, _ name: String) throws(InputError) -> Pickle.Function {
    switch (module, name) {
    case ("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict"),
      ("__builtin__", "dict"):
      return .dictionary
    case ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"): return .rebuildTensor
    case ("torch._tensor", "_rebuild_from_type_v2"): return .rebuildTypedTensor
    case ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_parameter_with_state"):
      return .rebuildParameter
    case ("torch", _):
      if let dtype = DType(torchStorage: name) { return .storage(dtype) }
    default: break
    }
    let isTensor = module == "torch._utils" && name.hasPrefix("_rebuild") && name.contains("tensor")
    if isTensor || (module == "torch" && name.hasSuffix("Storage")) {
      throw fault(
        "a tensor has an unsupported dtype or layout",
        expected: "dense \(DType.allCases.map { "\($0)" }.joined(separator: ", "))",
        found: "\(module).\(name)".quoted,
        remedy: "convert the tensor before saving it")
    }
    result.classes.append("\(module).\(name)")
    return .foreign(result.classes.count - 1)
  }

  /// The function that is named by two texts on the stack.
  mutating func pushNamedFunction() throws(InputError) {
    guard case .string(let name) = try pop(), case .string(let module) = try pop(), name.utf8.count <= 256,
      module.utf8.count <= 256
    else { throw fault("the pickle names a function otherwise than by texts") }
    stack.append(.function(try function(module, name)))
  }

  /// Turns the tuple `("storage", class, key, device, element count)` into a storage. Before PyTorch 1.6 a sixth part told
  /// of which other storage it is a part, and whole modules stood beside storages.
  mutating func pushStorage() throws(InputError) {
    guard case .tuple(let index) = try pop(), case let parts = result.sequences[index], let kind = parts.first
    else {
      throw fault("a storage is not described as torch.save does")
    }
    if case .string("module") = kind, parts.count == 4, case .function(let function) = parts[1] {
      return stack.append(.function(function))
    }
    if parts.count == 6, case .tuple = parts[5] {
      throw fault("a storage is a part of another", remedy: "load and save the file again with a later PyTorch")
    }
    guard case .string("storage") = kind, (5...6).contains(parts.count),
      case .function(.storage(let dtype)) = parts[1], case .string(let key) = parts[2],
      case .integer(let count) = parts[4]
    else { throw fault("a storage is not described as torch.save does") }
    stack.append(.storage(result.storages.count))
    result.storages.append(Pickle.Storage(key: key, dtype: dtype, elementCount: count))
  }

  /// Calls the function below the arguments on the stack, if it is one of those that are known here.
  mutating func call() throws(InputError) {
    guard case .tuple(let index) = try pop() else { throw fault("the pickle calls something that is no function") }
    let callee = try pop()
    // A method of an object, as pickles find one by getattr, is as foreign as the object.
    if case .object = callee { return stack.append(callee) }
    guard case .function(let function) = callee else {
      throw fault("the pickle calls something that is no function")
    }
    switch function {
    case .dictionary: try pushDictionary(of: result.sequences[index])
    case .rebuildTensor: try rebuildTensor(result.sequences[index])
    case .rebuildTypedTensor:
      // What rebuilds it, its class, the arguments, attributes.
      let arguments = result.sequences[index]
      guard arguments.count == 4, case .function(.rebuildTensor) = arguments[0],
        case .tuple(let inner) = arguments[2]
      else { throw fault("a tensor is not described as torch.save does for plain ones") }
      try rebuildTensor(result.sequences[inner])
    case .rebuildParameter:
      let arguments = result.sequences[index]
      guard (3...4).contains(arguments.count), case .tensor = arguments[0] else {
        throw fault("a parameter is not described as torch.save does")
      }
      stack.append(arguments[0])
    case .foreign(let index):
      stack.append(.object(result.objects.count))
      result.objects.append(index)
    case .storage:
      throw fault("the pickle calls a function with unknown arguments")
    }
  }

  /// A dictionary that is called with nothing, with what makes its missing values, or, by Python 2, with its items.
  private mutating func pushDictionary(of arguments: [Pickle.Value]) throws(InputError) {
    pushDictionary()
    for argument in arguments {
      switch argument {
      case .function, .object, .scalar: break
      case .list(let items):
        guard case .dictionary(let target) = try top() else { return }
        for item in result.sequences[items] {
          guard case .list(let pair) = item, result.sequences[pair].count == 2 else {
            throw fault("a dictionary's item is not a key and a value")
          }
          result.dictionaries[target].append((result.sequences[pair][0], result.sequences[pair][1]))
        }
      case .integer, .string, .tuple, .dictionary, .storage, .tensor:
        throw fault("the pickle calls a function with unknown arguments")
      }
    }
  }

  /// Storage, offset, sizes, strides, then nothing, or requires_grad and hooks; a seventh would change the elements'
  /// meaning.
  private mutating func rebuildTensor(_ arguments: [Pickle.Value]) throws(InputError) {
    guard arguments.count == 6 || arguments.count == 4, case .storage(let storage) = arguments[0],
      case .integer(let offset) = arguments[1], case .tuple(let shape) = arguments[2],
      case .tuple(let strides) = arguments[3]
    else { throw fault("a tensor is not described as torch.save does for plain ones") }
    stack.append(.tensor(result.tensors.count))
    result.tensors.append(Pickle.View(storage: storage, offset: offset, shape: shape, strides: strides))
  }

  /// Drops the attributes that a value carries beside its items, such as a state dictionary's `_metadata`.
  mutating func build() throws(InputError) {
    _ = try pop()
    switch try top() {
    case .dictionary, .object, .list, .tensor: break
    case .scalar, .integer, .string, .function, .tuple, .storage:
      throw fault("the pickle sets attributes of something that has none")
    }
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
