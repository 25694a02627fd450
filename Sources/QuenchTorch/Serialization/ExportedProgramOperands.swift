import QuenchSupport

// How a program's names and arguments become a graph's values and operands.
extension ExportedProgramTranslator {
  /// A new value called `name`; a name that is defined twice means the later one from there on.
  mutating func define(_ name: String, in scope: inout [String: OperatorGraph.Value]) -> OperatorGraph.Value {
    let value = OperatorGraph.Value(valueNames.count)
    valueNames.append(name)
    scope[name] = value
    return value
  }

  func value(
    _ name: String, in scope: [String: OperatorGraph.Value], at place: String
  ) throws(InputError) -> OperatorGraph.Value {
    guard let value = scope[name] else {
      throw InputError("the program reads a value before it is computed", at: place, found: name.quoted)
    }
    return value
  }

  mutating func result(
    _ argument: Schema.Argument, in scope: inout [String: OperatorGraph.Value], at place: String
  ) throws(InputError) -> OperatorGraph.Result {
    switch argument {
    case .none: return .unused
    case .tensor(let name), .size(.named(let name)), .truth(.named(let name)), .fraction(.named(let name)):
      return .one(define(name, in: &scope))
    case .tensors(let names):
      return .list(
        names.map { name in
          if case .present(let name) = name { define(name, in: &scope) } else { nil }
        })
    default: throw InputError("a result is neither tensor nor size", at: place)
    }
  }

  func operand(
    _ argument: Schema.Argument, in scope: [String: OperatorGraph.Value], at place: String
  ) throws(InputError) -> OperatorGraph.Operand {
    switch argument {
    case .none: return .none
    case .tensor(let name), .size(.named(let name)), .truth(.named(let name)), .fraction(.named(let name)):
      return .value(try value(name, in: scope, at: place))
    case .tensors(let names):
      var values: [OperatorGraph.Value?] = []
      for name in names {
        if case .present(let name) = name {
          values.append(try value(name, in: scope, at: place))
        } else {
          values.append(nil)
        }
      }
      return .values(values)
    case .boolean(let value), .truth(.number(let value)): return .boolean(value)
    case .booleans(let values): return .booleans(values)
    case .integer(let value), .size(.number(let value)): return .integer(value)
    case .integers(let values): return .integers(values)
    case .real(let value): return .real(value)
    case .fraction(.number(let value)): return .real(value.value)
    case .reals(let values): return .reals(values)
    case .string(let value): return .string(value)
    case .sizes(let sizes):
      var list: [OperatorGraph.Size] = []
      for size in sizes {
        switch size {
        case .number(let value): list.append(.fixed(value))
        case .named(let name): list.append(.computed(try value(name, in: scope, at: place)))
        }
      }
      return .sizes(list)
    case .dtype(let type): return .dtype(try dtype(type, at: place))
    case .memoryFormat(let format):
      guard let known = [1: MemoryFormat.contiguous, 2: .channelsLast, 4: .preserve][format] else {
        throw InputError(
          "the memory format is unknown", at: place, expected: "contiguous, channels last or preserved",
          found: "\(format)")
      }
      return .memoryFormat(known)
    case .layout(let layout):
      guard layout == 7 else {
        throw InputError("the layout is not supported", at: place, expected: "strided", found: "\(layout)")
      }
      return .stridedLayout
    case .device: return .inputDevice
    case .graph: throw InputError("the network has control flow", at: place)
    case .other(let kind):
      throw InputError("an argument is of a kind that no operator here takes", at: place, found: kind.quoted)
    }
  }

  func layout(
    of name: String, in graph: Schema.Graph, at place: String
  ) throws(InputError) -> TensorLayout {
    guard let meta = graph.tensors[name] else { throw InputError("the shape is not told", at: place) }
    return try TensorLayout(meta, at: place)
  }

  func dtype(_ type: Int, at place: String) throws(InputError) -> DType {
    try DType(exported: type, at: place)
  }
}

extension ExportedProgramSchema.Argument {
  /// The names of the values that it is.
  var names: [String] {
    switch self {
    case .tensor(let name), .size(.named(let name)), .truth(.named(let name)), .fraction(.named(let name)): [name]
    case .tensors(let names): names.compactMap { if case .present(let name) = $0 { name } else { nil } }
    default: []
    }
  }
}

extension DType {
  /// The type that `torch.export`'s files give this number, which is not LibTorch's.
  init(exported type: Int, at place: String) throws(InputError) {
    let types: [Int: DType] = [
      1: .uint8, 2: .int8, 3: .int16, 4: .int32, 5: .int64, 6: .float16, 7: .float32, 8: .float64, 12: .bool,
      13: .bfloat16
    ]
    guard let dtype = types[type] else {
      throw InputError(
        "a tensor has an unsupported dtype", at: place,
        expected: DType.allCases.map { "\($0)" }.joined(separator: ", "), found: "number \(type)",
        remedy: "convert the network before exporting it")
    }
    self = dtype
  }
}

extension TensorLayout {
  /// The shape of a tensor that the network brings along, which is fixed.
  init(_ meta: ExportedProgramSchema.TensorMeta, at place: String) throws(InputError) {
    var shape: [Int] = []
    for size in meta.sizes {
      guard case .fixed(let size) = size else { throw InputError("a held tensor has no fixed shape", at: place) }
      shape.append(size)
    }
    try self.init(shape: shape, dtype: DType(exported: meta.type, at: place), at: place)
  }
}
