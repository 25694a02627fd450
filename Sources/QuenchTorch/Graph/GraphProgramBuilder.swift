import CTorch
import QuenchSupport

/// Checks a graph node by node and brings each into the form in which it is computed.
struct GraphProgramBuilder {
  private enum State {
    case undefined
    /// A tensor that the network holds, by its position among these.
    case held(Int)
    /// The input, or a view of it.
    case input
    case result
  }

  private let graph: OperatorGraph
  private let location: String
  private var states: [State]
  private var schemas: [String: OperatorSchema] = [:]
  /// The held tensors that count training passes, by name.
  private var counters: [String: Int] = [:]
  private(set) var writesToInput = false

  private let callsFused: Bool

  init(_ graph: OperatorGraph, at location: String, callsFused: Bool = false) throws(InputError) {
    self.graph = graph
    self.callsFused = callsFused
    self.location = location
    states = [State](repeating: .undefined, count: graph.valueNames.count)
    try define([graph.input.value], as: .input, at: location)
    for (position, held) in graph.held.enumerated() {
      try define([held.value], as: .held(position), at: "\(location), \(held.name)")
      if held.kind == .buffer, held.shape.isEmpty, held.dtype == .int64 { counters[held.name] = position }
    }
  }

  func checkOutput() throws(InputError) { try check(graph.output, at: "\(location), output") }

  mutating func step(_ position: Int) throws(InputError) -> GraphProgram.Step {
    let node = graph.nodes[position]
    let place = "\(location), node '\(node.name)' (\(node.target))"
    for value in node.arguments.flatMap(\.operand.reads) { try check(value, at: place) }
    var step = GraphProgram.Step(node: position, operation: .size(tensor: 0, dimension: 0))
    if node.target == "aten::sym_size.int", case .value(let tensor)? = node["self"],
      case .integer(let dimension)? = node["dim"]
    {
      step.operation = .size(tensor: tensor.index, dimension: dimension)
    } else if node.target.hasPrefix("size::") {
      step.operation = try arithmetic(node, at: place)
    } else {
      let schema = try schema(of: node, at: place)
      step.operation = .call(schema, try operands(of: node, schema, at: place))
      try checkWrites(of: node, schema, at: place)
    }
    if node.target == "aten::batch_norm" { step.counter = counter(of: node) }
    let isView =
      OperatorGraph.views.contains(node.target) && node.arguments.first.map { isInput($0.operand) } == true
    try define(node.results.flatMap(\.values), as: isView ? .input : .result, at: place)
    return step
  }

  // MARK: - Values

  private func check(_ value: OperatorGraph.Value, at place: String) throws(InputError) {
    guard states.indices.contains(value.index) else {
      throw InputError("a value is not among the graph's", at: place, found: "\(value.index)")
    }
    if case .undefined = states[value.index] {
      throw InputError(
        "the program reads a value before it is computed", at: place, found: graph.valueNames[value.index].quoted)
    }
  }

  private mutating func define(
    _ values: [OperatorGraph.Value], as state: State, at place: String
  ) throws(InputError) {
    for value in values {
      guard states.indices.contains(value.index) else {
        throw InputError("a value is not among the graph's", at: place, found: "\(value.index)")
      }
      guard case .undefined = states[value.index] else {
        throw InputError("a value is computed twice", at: place, found: graph.valueNames[value.index].quoted)
      }
      states[value.index] = state
    }
  }

  private func isInput(_ operand: OperatorGraph.Operand) -> Bool {
    if case .value(let value) = operand, case .input = states[value.index] { true } else { false }
  }

  /// Weights stay as they are, and so do the caller's images: of these a copy is taken where they are written to.
  private mutating func checkWrites(
    of node: OperatorGraph.Node, _ schema: OperatorSchema, at place: String
  ) throws(InputError) {
    for parameter in schema.parameters where parameter.isWritten {
      guard let operand = node[parameter.name], node.target != "aten::detach_" else { continue }
      if isInput(operand) { writesToInput = true }
      if case .value(let value) = operand, case .held(let position) = states[value.index] {
        throw InputError(
          "the program changes a tensor that it holds", at: place, found: graph.held[position].name.quoted,
          remedy: "export the network in evaluation mode, after network.eval()")
      }
    }
  }

  // MARK: - Operators

  private mutating func schema(of node: OperatorGraph.Node, at place: String) throws(InputError) -> OperatorSchema {
    if let known = schemas[node.target] { return known }
    let isOwn = FusedOperators.all.contains(node.target) || IntegerOperators.all.contains(node.target)
    let isSafe = OperatorSchema.isSafe(node.target) || callsFused && isOwn
    guard isSafe, let schema = OperatorSchema(node.target) else {
      throw InputError(
        "the operator is unknown", at: place,
        expected: "one of PyTorch's own (aten), none that reaches memory or files",
        remedy: "export the network without custom operators")
    }
    schemas[node.target] = schema
    return schema
  }

  private func arithmetic(
    _ node: OperatorGraph.Node, at place: String
  ) throws(InputError) -> GraphProgram.Operation {
    guard let operation = SizeArithmetic(rawValue: String(node.target.dropFirst("size::".count))) else {
      throw InputError(
        "this arithmetic with sizes is unknown", at: place,
        expected: "add, sub, mul, floordiv, mod, neg, max or min",
        remedy: "export the network with fixed image sizes")
    }
    var sizes: [OperatorGraph.Size] = []
    for argument in node.arguments {
      switch argument.operand {
      case .integer(let value): sizes.append(.fixed(value))
      case .value(let value): sizes.append(.computed(value))
      default: throw InputError("an operand is no integer", at: "\(place), \(argument.name)")
      }
    }
    guard sizes.count == operation.operands, node.results.flatMap(\.values).count == 1 else {
      throw InputError(
        "the operator has the wrong number of operands", at: place, expected: "\(operation.operands)",
        found: "\(sizes.count)")
    }
    return .arithmetic(operation, sizes)
  }

  private func operands(
    of node: OperatorGraph.Node, _ schema: OperatorSchema, at place: String
  ) throws(InputError) -> [GraphProgram.Operand] {
    let names = schema.parameters.map(\.name)
    for argument in node.arguments where !names.contains(argument.name) {
      throw InputError(
        "the operator has no such argument", at: place, expected: names.joined(separator: ", "),
        found: argument.name.quoted)
    }
    guard Set(node.arguments.map(\.name)).count == node.arguments.count else {
      throw InputError("an argument is given twice", at: place)
    }
    let readsTensor = node.arguments.contains { !$0.operand.reads.isEmpty }
    var operands: [GraphProgram.Operand] = []
    for parameter in schema.parameters {
      guard let given = node[parameter.name] else {
        guard parameter.hasDefault || parameter.isOptional else {
          throw InputError("an argument is missing", at: place, expected: parameter.name)
        }
        // A tensor made from nothing belongs where the input is, not on the CPU.
        let isPlace = parameter.tag == CT_DEVICE && !readsTensor
        operands.append(isPlace ? .inputDevice : .missing)
        continue
      }
      guard let operand = operand(given, parameter, of: node) else {
        throw InputError(
          "an argument does not fit the operator", at: "\(place), \(parameter.name)", found: given.summary)
      }
      operands.append(operand)
    }
    return operands
  }

  /// Nil where the parameter doesn't take what it is given.
  private func operand(
    _ given: OperatorGraph.Operand, _ parameter: OperatorSchema.Parameter, of node: OperatorGraph.Node
  ) -> GraphProgram.Operand? {
    if TrainingFlags.argument[node.target] == parameter.name, case .boolean = given,
      node.target != "aten::batch_norm" || node.hasStatistics
    {
      return .training
    }
    switch (parameter.tag, given) {
    case (_, .none): return parameter.isOptional ? .fixed(Tensor?.none) : nil
    case (CT_TENSOR, .value(let value)):
      let isStatistic = node.target == "aten::batch_norm" && parameter.name.hasPrefix("running_")
      return isStatistic ? .statistic(value.index) : .tensor(value.index)
    case (CT_TENSOR, .integer), (CT_TENSOR, .real), (CT_TENSOR, .boolean):
      return Tensor.wrappedNumber(given).map { .fixed($0) }
    case (CT_TENSORS, .values(let values)): return .tensors(values.map { $0?.index })
    case (CT_INTEGER, .value(let value)), (CT_NUMBER, .value(let value)), (CT_REAL, .value(let value)),
      (CT_BOOLEAN, .value(let value)):
      return .number(value.index)
    case (CT_INTEGER, .integer(let value)), (CT_NUMBER, .integer(let value)): return .fixed(value)
    case (CT_REAL, .real(let value)), (CT_NUMBER, .real(let value)): return .fixed(value)
    case (CT_REAL, .integer(let value)): return .fixed(Double(value))
    case (CT_BOOLEAN, .boolean(let value)), (CT_NUMBER, .boolean(let value)): return .fixed(value)
    case (CT_STRING, .string(let value)): return .fixed(value)
    case (CT_DEVICE, .inputDevice): return .inputDevice
    case (CT_INTEGER, .dtype(let dtype)): return .fixed(dtype)
    case (CT_INTEGER, .memoryFormat(let format)): return .fixed(format)
    case (CT_INTEGER, .stridedLayout): return .fixed(0)
    case (CT_INTEGERS, .integers(let values)): return .fixed(values)
    case (CT_INTEGERS, .integer(let value)): return .fixed([Int](repeating: value, count: max(parameter.count, 1)))
    case (CT_INTEGERS, .booleans(let values)): return .fixed(values.map { $0 ? 1 : 0 })
    case (CT_INTEGERS, .sizes(let sizes)): return .sizes(sizes)
    case (CT_REALS, .reals(let values)): return .fixed(values)
    case (CT_REALS, .integers(let values)): return .fixed(values.map(Double.init))
    default: return nil
    }
  }

  /// The buffer that counts the training passes of a batch norm, by its position among the held tensors.
  private func counter(of node: OperatorGraph.Node) -> Int? {
    guard case .value(let mean)? = node["running_mean"], case .held(let position) = states[mean.index] else {
      return nil
    }
    let name = graph.held[position].name
    guard name.hasSuffix("running_mean") else { return nil }
    return counters[name.dropLast("running_mean".count) + "num_batches_tracked"]
  }
}

extension OperatorGraph.Node {
  /// Whether a batch norm keeps running statistics; one that keeps none always takes the batch's.
  fileprivate var hasStatistics: Bool { if case .value? = self["running_mean"] { true } else { false } }
}

extension OperatorGraph.Operand {
  /// What it is, for errors.
  fileprivate var summary: String {
    switch self {
    case .none: "none"
    case .value: "a tensor"
    case .values: "tensors"
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .real(let value): "\(value)"
    case .string(let value): value.quoted
    case .booleans(let values): "\(values)"
    case .integers(let values): "\(values)"
    case .reals(let values): "\(values)"
    case .sizes: "sizes"
    case .dtype(let dtype): "\(dtype)"
    case .memoryFormat(let format): "\(format)"
    case .stridedLayout: "a layout"
    case .inputDevice: "a device"
    }
  }
}

extension Tensor {
  /// A number as Python's arithmetic gives it to an operator that takes a tensor; nil for what is none.
  static func wrappedNumber(_ operand: OperatorGraph.Operand) -> Tensor? {
    var number = ct_value()
    switch operand {
    case .integer(let value): (number.tag, number.as.integer) = (Int32(CT_INTEGER), Int64(value))
    case .boolean(let value): (number.tag, number.as.integer) = (Int32(CT_BOOLEAN), value ? 1 : 0)
    case .real(let value): (number.tag, number.as.real) = (Int32(CT_REAL), value)
    default: return nil
    }
    var out: OpaquePointer?
    ProgrammingError.check("number") { error in ct_wrapped_number(&number, &out, &error) }
    return out.map(Tensor.init(adopting:))
  }
}
