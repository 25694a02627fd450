import QuenchSupport

/// Lowers an ONNX model into a graph, with as much of its input's shape free as it allows.
struct ONNXImporter {
  struct Found {
    var graph: OperatorGraph
    var tensors: [String: Tensor]
    var notes: [String]
  }

  private let model: ONNXProto.Model
  private let tensors: ONNXTensors
  private let largest: Double
  private let location: String
  private let opset: Int
  private let initializers: [String: Int]
  private let input: ONNXInput
  /// The outputs that may be logits.
  private let outputs: [ONNXOutput]
  private let notes: [String]
  /// The nodes that the outputs hang on.
  private let needed: [Int]

  /// - Throws: `InputError` for what no attempt at lowering can mend.
  init(_ model: ONNXProto.Model, _ tensors: ONNXTensors, largest: Double) throws(InputError) {
    (self.model, self.tensors, self.largest, location) = (model, tensors, largest, tensors.source.name)
    guard let opset = model.opsets[""], ONNXOperators.versions.contains(opset) else {
      throw InputError(
        "the operators' version is not known here", at: location,
        expected: "opset \(ONNXOperators.versions.lowerBound) to \(ONNXOperators.versions.upperBound)",
        found: model.opsets[""].map { "\($0)" } ?? "none", remedy: "export the network with opset_version=17")
    }
    self.opset = opset
    let graph = model.graph
    guard !graph.hasSparse else {
      throw InputError("the model holds sparse tensors", at: location, remedy: "export it with dense ones")
    }
    initializers = Dictionary(graph.initializers.enumerated().map { ($1.name, $0) }) { first, _ in first }
    let names = initializers
    input = try ONNXInput(graph.inputs.filter { names[$0.name] == nil }, at: location)
    var notes: [String] = []
    outputs = try ONNXOutput.candidates(in: graph, &notes, at: location)
    needed = ONNXImporter.needed(for: outputs.map(\.name), in: graph.nodes)
    self.notes = notes
    for index in needed where graph.nodes[index].type != "Constant" || !graph.nodes[index].domain.isEmpty {
      let node = graph.nodes[index]
      guard node.domain.isEmpty, ONNXOperators.rules[node.type] != nil else {
        let place = ONNXLowering.place(of: node, at: location)
        throw ONNXOperators.refusal(of: ONNXCall(node: node, inputs: [], opset: opset, place: place, wanted: []))
      }
    }
  }

  private static func needed(for outputs: [String], in nodes: [ONNXProto.Node]) -> [Int] {
    var wanted = Set(outputs)
    var needed: [Int] = []
    for (index, node) in nodes.enumerated().reversed() where node.outputs.contains(where: wanted.contains) {
      needed.append(index)
      wanted.formUnion(node.inputs)
    }
    return needed.reversed()
  }

  /// The network with a free batch and free sides, or else with what can be free of them.
  func network() throws(InputError) -> Found {
    var failure: InputError?
    for shape in input.shapes {
      do {
        var found = try lowered(shape)
        if let failure {
          let reason = "\(failure.location?.split(separator: ", ").last ?? ""): \(failure.problem)"
          found.notes.append("less of its shape is free than the file says, for \(reason)")
        }
        return found
      } catch { failure = error }
    }
    throw failure ?? InputError("the model takes no images", at: location)
  }

  // MARK: - One attempt

  private func lowered(_ shape: ONNXInput.Shape) throws(InputError) -> Found {
    var tensors = tensors
    var graph = ONNXLowering(location: location, opset: opset, largest: largest, freesBatch: shape.freesBatch)
    graph.learnsFromNodes = !model.graph.initializers.contains { [1, 10, 11, 16].contains($0.type) }
    var values: [String: ONNXValue] = [:]
    let image = graph.input(input.name, shape.trials.map { Tensor.zeros($0, dtype: input.dtype) })
    values[input.name] = .tensor(image)
    if input.isChannelsLast {
      values[input.name] = try graph.call(
        "aten::permute", ["self": .tensor(.tensor(image)), "dims": .literal(.integers([0, 2, 3, 1]))])
    }
    var lastUse: [String: Int] = [:]
    for index in needed { for name in model.graph.nodes[index].inputs { lastUse[name] = index } }
    for output in outputs { lastUse[output.name] = .max }
    for index in needed {
      let node = model.graph.nodes[index]
      graph.node = node
      if node.type == "Constant" {
        if let name = node.outputs.first { values[name] = try constant(node, &graph, &tensors) }
        continue
      }
      var inputs: [ONNXValue?] = []
      for name in node.inputs {
        inputs.append(name.isEmpty ? nil : try value(name, &values, &graph, &tensors))
      }
      if node.type == "ConstantOfShape", case .tensor(let proto)? = node.attributes["value"] {
        inputs.append(graph.constant(try tensors.tensor(proto), ""))
      }
      let call = ONNXCall(
        node: node, inputs: inputs, opset: opset, place: graph.place,
        wanted: node.outputs.map { lastUse[$0] != nil })
      guard let rule = ONNXOperators.rules[node.type] else { throw ONNXOperators.refusal(of: call) }
      let results = try rule(&graph, call)
      for (name, result) in zip(node.outputs, results) where lastUse[name] != nil { values[name] = result }
      for name in node.inputs where lastUse[name] == index { values[name] = nil }
    }
    return try finished(shape, values, image, &graph)
  }

  private func value(
    _ name: String, _ values: inout [String: ONNXValue], _ graph: inout ONNXLowering, _ tensors: inout ONNXTensors
  ) throws(InputError) -> ONNXValue {
    if let value = values[name] { return value }
    guard let index = initializers[name] else {
      throw graph.fail("the model reads a value before it is computed", found: name.excerpt(80))
    }
    let value = graph.constant(try tensors.tensor(model.graph.initializers[index]), name, isLearned: true)
    values[name] = value
    return value
  }

  private func constant(
    _ node: ONNXProto.Node, _ graph: inout ONNXLowering, _ tensors: inout ONNXTensors
  ) throws(InputError) -> ONNXValue {
    let name = node.outputs.first ?? ""
    for attribute in node.attributes.values {
      switch attribute {
      case .tensor(let proto):
        return graph.constant(try tensors.tensor(proto), name, isLearned: graph.learnsFromNodes)
      case .real(let value): return graph.constant(Tensor(value), name)
      case .reals(let values): return graph.constant(Tensor(values.map(Float.init)), name)
      case .integer(let value): return graph.constant(Tensor([value], shape: []), name)
      case .integers(let values): return graph.constant(Tensor(values), name)
      case .text, .other: break
      }
    }
    throw graph.fail("the constant is no tensor of numbers", remedy: "export the network without texts")
  }

  private func finished(
    _ shape: ONNXInput.Shape, _ values: [String: ONNXValue], _ image: ONNXTensor, _ graph: inout ONNXLowering
  ) throws(InputError) -> Found {
    let (output, logits) = try ONNXOutput.logits(among: outputs, values, &graph)
    guard let classes = logits.size(1) else {
      throw InputError(
        "the number of classes hangs on the images' shape", at: "\(location), output \(output.name.quoted)")
    }
    var made = OperatorGraph(
      valueNames: graph.valueNames,
      input: .init(value: image.value, dtype: input.dtype, sizes: shape.sizes, example: shape.trials[0]),
      held: graph.held,
      nodes: graph.nodes, output: logits.value, outputShape: [classes])
    made.removeUnread()
    var notes = notes + shape.notes
    if input.isChannelsLast { notes.append("the model takes [N, H, W, C]; a transpose is put in front") }
    if outputs.count > 1 {
      notes.append("of its outputs '\(output.name)' is taken, the only one that can be logits")
    }
    if let last = output.removed {
      notes.append("its last operator, \(last), is left out: the network gives logits")
    }
    let names = Set(made.held.map(\.name))
    return Found(graph: made, tensors: graph.tensors.filter { names.contains($0.key) }, notes: notes)
  }
}

extension OperatorGraph {
  /// Removes nodes and held tensors that the output does not hang on.
  fileprivate mutating func removeUnread() {
    var wanted: Set = [output]
    var kept: [Node] = []
    for node in nodes.reversed() where node.results.flatMap(\.values).contains(where: wanted.contains) {
      wanted.formUnion(node.arguments.flatMap(\.operand.reads))
      kept.append(node)
    }
    nodes = kept.reversed()
    held.removeAll { !wanted.contains($0.value) }
  }
}
