import QuenchSupport

/// A graph of LibTorch's operators as it is put together from an ONNX model.
///
/// Each operator is also computed as it is appended, on one or two black images of other shapes (trials), so that all
/// shapes are known, and what differs between the trials hangs on the images' shape. What hangs on no image is computed
/// here and is no part of the graph.
struct ONNXLowering {
  /// What errors call the file.
  let location: String
  let opset: Int
  /// The most elements that one value may have in a trial.
  let largest: Double
  /// Whether the batch size is free though the model was exported for single images.
  let freesBatch: Bool
  /// The ONNX node that is lowered.
  var node = ONNXProto.Node()
  /// Whether numbers in nodes may be learned ones, since the model holds no others.
  var learnsFromNodes = false

  private(set) var valueNames: [String] = []
  private(set) var nodes: [OperatorGraph.Node] = []
  private(set) var held: [OperatorGraph.Held] = []
  /// The held tensors by name.
  private(set) var tensors: [String: Tensor] = [:]
  private(set) var trialCount = 1
  /// The values of constants by their numbers; what is a running statistic too is held once more for that.
  private var holders: [[Int]: OperatorGraph.Value] = [:]
  private var knownSizes: [[Int]: ONNXSize] = [:]
  private var constants = 0
  private var hasWeights = false

  init(location: String, opset: Int, largest: Double, freesBatch: Bool) {
    self.location = location
    self.opset = opset
    self.largest = largest
    self.freesBatch = freesBatch
  }

  /// What errors call the node that is lowered.
  var place: String { Self.place(of: node, at: location) }

  static func place(of node: ONNXProto.Node, at location: String) -> String {
    let name = node.name.isEmpty ? node.outputs.first ?? "" : node.name
    return "\(location), node '\(name.excerpt(80))' (\(node.type.excerpt(40)))"
  }

  func fail(
    _ problem: String, expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) -> InputError {
    InputError(problem, at: place, expected: expected, found: found, remedy: remedy)
  }

  // MARK: - Values

  mutating func input(_ name: String, _ trials: [Tensor]) -> ONNXTensor {
    trialCount = trials.count
    return ONNXTensor(value: define(name), trials: trials)
  }

  mutating func constant(_ tensor: Tensor, _ name: String, isLearned: Bool = false) -> ONNXValue {
    constants += 1
    return .constant(ONNXConstant(tensor: tensor, name: name, id: constants, isLearned: isLearned))
  }

  mutating func constant(_ integers: [Int], isScalar: Bool = false) -> ONNXValue {
    constant(Tensor(integers, shape: isScalar ? [] : [integers.count]), name)
  }

  private mutating func define(_ name: String) -> OperatorGraph.Value {
    valueNames.append(name)
    return OperatorGraph.Value(valueNames.count - 1)
  }

  /// The node's first result, by which what is made for it is called.
  private var name: String { node.outputs.first { !$0.isEmpty } ?? node.name }

  // MARK: - Operators

  /// Appends a call of an operator with one result, or computes it now where nothing that it reads hangs on images.
  mutating func call(
    _ target: String, _ arguments: KeyValuePairs<String, ONNXOperand>
  ) throws(InputError) -> ONNXValue {
    try results(target, arguments, count: nil)[0]
  }

  /// As ``call(_:_:)`` with a list of `count` results.
  mutating func list(
    _ target: String, _ arguments: KeyValuePairs<String, ONNXOperand>, count: Int
  ) throws(InputError) -> [ONNXValue] {
    try results(target, arguments, count: count)
  }

  private mutating func results(
    _ target: String, _ arguments: KeyValuePairs<String, ONNXOperand>, count: Int?
  ) throws(InputError) -> [ONNXValue] {
    var call = ONNXPendingCall()
    for (name, operand) in arguments { call.append(name, try withTensors(operand)) }
    var node = OperatorGraph.Node(
      name: name.isEmpty ? target : name, target: target, arguments: [], results: [],
      module: ONNXNames.module(self.node))
    if !call.hangsOnImages {
      node.arguments = call.arguments(0)
      try ONNXBounds.check(node, call.operands(0), largest: largest, at: place)
      let isLearned = call.values.contains {
        if case .constant(let constant) = $0 { constant.isLearned } else { false }
      }
      let tensors = try node.evaluated(on: call.operands(0), count: count, at: location)
      return tensors.map { constant($0, name, isLearned: isLearned) }
    }
    var trials: [[Tensor]] = []
    for trial in 0..<trialCount {
      node.arguments = call.arguments(trial)
      try ONNXBounds.check(node, call.operands(trial), largest: largest, at: place)
      trials.append(try node.evaluated(on: call.operands(trial), count: count, at: location))
      for (tensor, first) in zip(trials[trial], trials[0]) where tensor.rank != first.rank {
        throw fail("the number of dimensions hangs on the images' shape", remedy: ONNXRemedy.fixedShape)
      }
    }
    var held: [OperatorGraph.Value] = []
    for (value, role) in zip(call.values, call.roles) { held.append(try hold(value, role)) }
    node.arguments = call.arguments(reading: held)
    let results = (0..<(count ?? 1)).map { index in
      ONNXTensor(value: define(count == nil ? name : "\(name).\(index)"), trials: trials.map { $0[index] })
    }
    node.results = [count == nil ? .one(results[0].value) : .list(results.map(\.value))]
    nodes.append(node)
    return results.map { .tensor($0) }
  }

  /// Sizes that are read as a tensor become one.
  private mutating func withTensors(_ operand: ONNXOperand) throws(InputError) -> ONNXOperand {
    switch operand {
    case .tensor(let value): return .tensor(try tensor(value))
    case .weight(let value, let role): return .weight(try tensor(value), role)
    case .statistic(let value, let role): return .statistic(try tensor(value), role)
    case .tensors(let values):
      var made: [ONNXValue] = []
      for value in values { made.append(try tensor(value)) }
      return .tensors(made)
    case .sizes, .size, .literal: return operand
    }
  }

  private mutating func tensor(_ value: ONNXValue) throws(InputError) -> ONNXValue {
    guard case .sizes(let sizes) = value else { return value }
    var parts: [ONNXValue] = []
    for element in sizes.elements {
      parts.append(
        try call(
          "aten::full",
          [
            "size": .literal(.integers(sizes.isScalar ? [] : [1])), "fill_value": .size(element),
            "dtype": .literal(.dtype(.int64))
          ]))
    }
    return sizes.isScalar
      ? parts[0] : try call("aten::cat", ["tensors": .tensors(parts), "dim": .literal(.integer(0))])
  }

  // MARK: - Tensors that the network holds

  private mutating func hold(_ value: ONNXValue, _ role: ONNXPendingCall.Role) throws(InputError)
    -> OperatorGraph.Value
  {
    switch value {
    case .tensor(let tensor): return tensor.value
    case .sizes: throw fail("sizes are read as numbers")
    case .constant(let constant):
      let (kind, roleName) = kind(of: constant, role)
      let key = [constant.id, kind == .buffer ? 1 : 0]
      if let holder = holders[key] { return holder }
      if kind == .parameter { hasWeights = true }
      let name = ONNXNames.name(of: constant, roleName, self.node, isTaken: { tensors[$0] != nil })
      let value = define(name)
      held.append(
        .init(kind: kind, name: name, value: value, shape: constant.tensor.shape, dtype: constant.tensor.dtype))
      tensors[name] = constant.tensor.contiguous()
      holders[key] = value
      return value
    }
  }

  /// Numbers before the first weights are how pixels are prepared.
  private func kind(
    of constant: ONNXConstant, _ role: ONNXPendingCall.Role
  ) -> (OperatorGraph.Held.Kind, String) {
    let isReal = constant.tensor.dtype.isFloatingPoint
    switch role {
    case .weight(let name): return (isReal ? .parameter : .constant, name)
    case .statistic(let name): return (.buffer, name)
    case .plain:
      let isLearned =
        isReal && constant.isLearned && hasWeights && constant.tensor.count > 1
        && constant.tensor.isFinite().logicalNot().to(.float32).sum().item() == 0
      return (isLearned ? .parameter : .constant, isLearned ? "weight" : "constant")
    }
  }

  // MARK: - Sizes

  /// The size of a dimension of a value.
  mutating func size(of value: ONNXValue, _ dimension: Int) -> ONNXSize {
    guard case .tensor(let tensor) = value, tensor.size(dimension) == nil else {
      return fixed(value.size(dimension) ?? 0)
    }
    let key = [tensor.value.index, dimension]
    if let known = knownSizes[key] { return known }
    let result = define("\(valueNames[tensor.value.index]).size(\(dimension))")
    nodes.append(
      .init(
        name: valueNames[result.index], target: "aten::sym_size.int",
        arguments: [.init("self", .value(tensor.value)), .init("dim", .integer(dimension))], results: [.one(result)]
      ))
    let size = ONNXSize(size: .computed(result), trials: tensor.trials.map { $0.size(dimension) })
    knownSizes[key] = size
    return size
  }

  func fixed(_ value: Int) -> ONNXSize {
    ONNXSize(size: .fixed(value), trials: [Int](repeating: value, count: trialCount))
  }

  /// Computes with sizes: now where both are known, else in the graph.
  mutating func size(
    _ arithmetic: SizeArithmetic, _ a: ONNXSize, _ b: ONNXSize? = nil
  ) throws(InputError) -> ONNXSize {
    let operands = [a] + (b.map { [$0] } ?? [])
    var trials: [Int] = []
    for trial in 0..<trialCount {
      guard let value = arithmetic(operands.map { $0.trials[trial] }) else {
        throw fail("the arithmetic with sizes has no result")
      }
      trials.append(value)
    }
    if operands.allSatisfy({ $0.fixed != nil }) { return fixed(trials[0]) }
    let result = define("\(name).size\(valueNames.count)")
    let arguments = zip(["a", "b"], operands).map { name, operand in
      switch operand.size {
      case .fixed(let value): OperatorGraph.Argument(name, .integer(value))
      case .computed(let value): OperatorGraph.Argument(name, .value(value))
      }
    }
    nodes.append(
      .init(
        name: valueNames[result.index], target: "size::\(arithmetic.rawValue)", arguments: arguments,
        results: [.one(result)]))
    return ONNXSize(size: .computed(result), trials: trials)
  }

  /// Sizes as a value: a constant where all are known.
  mutating func value(_ elements: [ONNXSize], isScalar: Bool) -> ONNXValue {
    let known = elements.compactMap(\.fixed)
    if known.count == elements.count { return constant(known, isScalar: isScalar) }
    return .sizes(ONNXSizes(elements: elements, isScalar: isScalar))
  }

  /// The integers that a value holds as sizes; nil where it holds something else.
  func sizes(_ value: ONNXValue) -> [ONNXSize]? {
    switch value {
    case .sizes(let sizes): sizes.elements
    case .constant(let constant):
      constant.tensor.dtype.isFloatingPoint || constant.tensor.rank > 1 || constant.tensor.count > 1 << 10
        ? nil : constant.tensor.array(Int.self).map(fixed)
    case .tensor: nil
    }
  }
}

/// What to do about what can't be lowered.
enum ONNXRemedy {
  static let fixedShape = "export the network with fixed image sizes"
}
