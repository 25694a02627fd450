import QuenchSupport

/// An output of an ONNX model that may be logits.
struct ONNXOutput {
  /// The value that is taken, before a softmax at the end.
  var name: String
  /// The operator that is left out.
  var removed: String?

  /// The outputs of floating-point numbers that are, for all that the file tells, `[N, classes]`.
  /// - Throws: `InputError` if there is none, or several are.
  static func candidates(
    in graph: ONNXProto.Graph, _ notes: inout [String], at location: String
  ) throws(InputError) -> [ONNXOutput] {
    let makers = Dictionary(graph.nodes.enumerated().flatMap { index, node in node.outputs.map { ($0, index) } }) {
      first, _ in first
    }
    var outputs = graph.outputs
    if outputs.count > 1 {
      outputs.removeAll { output in
        let isReal = output.type == 0 || ONNXTensors.dtype(output.type)?.isFloatingPoint == true
        return !isReal || output.sizes.map { $0.count != 2 } ?? false
      }
      if outputs.count == 1 {
        notes.append(
          "of its outputs \(list(graph.outputs)) the network gives '\(outputs[0].name)', the only [N, classes]")
      }
    }
    guard !outputs.isEmpty, outputs.count == 1 || outputs.contains(where: { $0.sizes == nil }) else {
      throw several(graph.outputs.map(\.name), at: location)
    }
    return outputs.map { output in
      var name = output.name
      var removed: String?
      while let index = makers[name], let before = graph.nodes[index].inputs.first {
        let type = graph.nodes[index].type
        if ["Softmax", "LogSoftmax", "Sigmoid"].contains(type), removed == nil {
          removed = type
        } else if type != "Identity" {
          break
        }
        guard name != before else { break }
        name = before
      }
      return ONNXOutput(name: name, removed: removed)
    }
  }

  private static func list(_ outputs: [ONNXProto.ValueInfo]) -> String {
    outputs.map(\.name).joined(separator: ", ").excerpt(120)
  }

  private static func several(_ names: [String], at location: String) -> InputError {
    InputError(
      names.isEmpty
        ? "the network has no output" : "the network has several outputs, of which not one alone can be logits",
      at: location, expected: "one, logits [N, classes]", found: names.joined(separator: ", "),
      remedy: "export a network that returns the logits alone")
  }

  /// The one output that is `[N, classes]`; planes of one pixel are flattened.
  static func logits(
    among outputs: [ONNXOutput], _ values: [String: ONNXValue], _ graph: inout ONNXLowering
  ) throws(InputError) -> (ONNXOutput, ONNXTensor) {
    var found: [(ONNXOutput, ONNXTensor)] = []
    for output in outputs {
      guard case .tensor(let tensor)? = values[output.name], tensor.dtype.isFloatingPoint else { continue }
      if tensor.rank == 2 { found.append((output, tensor)) }
      if tensor.rank == 4, outputs.count == 1, tensor.size(2) == 1, tensor.size(3) == 1,
        case .tensor(let flat) = try graph.call(
          "aten::flatten.using_ints",
          ["self": .tensor(.tensor(tensor)), "start_dim": .literal(.integer(1)), "end_dim": .literal(.integer(-1))])
      {
        found.append((output, flat))
      }
    }
    if found.count == 1, found[0].1.trials.allSatisfy({ $0.size(1) > 0 }) { return found[0] }
    guard outputs.count == 1 else { throw several(outputs.map(\.name), at: graph.location) }
    var shape: String?
    if case .tensor(let tensor)? = values[outputs[0].name] { shape = tensor.trials[0].summary }
    throw InputError(
      "the output is no [N, classes]", at: "\(graph.location), output '\(outputs[0].name.excerpt(80))'",
      expected: "logits of a classifier", found: shape ?? "numbers that hang on no image",
      remedy: "export a network that returns the logits alone")
  }
}
