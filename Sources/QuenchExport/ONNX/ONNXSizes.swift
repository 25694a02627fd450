import QuenchTorch

extension ONNXWriter {
  /// Appends arithmetic with sizes, and tensors of computed sizes; false for another operator. A size is a vector of one
  /// integer.
  mutating func appendSize(_ node: Node) throws(ONNXFailure) -> Bool {
    switch node.target {
    case "aten::sym_size.int":
      let rank = try shape(node, "self").count
      let dimension = axis(node.integer("dim") ?? 0, rank)
      emit(
        "Shape", [try input(node, "self")], node, nil,
        [("start", .int(dimension)), ("end", .int(dimension + 1))])
    case "size::add", "size::sub", "size::mul", "size::floordiv", "size::mod", "size::sym_max", "size::sym_min":
      let types = [
        "size::add": "Add", "size::sub": "Sub", "size::mul": "Mul", "size::floordiv": "Div", "size::mod": "Mod",
        "size::sym_max": "Max", "size::sym_min": "Min"
      ]
      guard let type = types[node.target], node.arguments.count == 2 else {
        throw .unsupported(node, "this arithmetic with sizes has no form in ONNX")
      }
      var operands: [String] = []
      for argument in node.arguments { operands.append(try size(argument, node)) }
      emit(type, operands, node)
    case "size::neg": emit("Neg", [try size(node.arguments[0], node)], node)
    case "aten::zeros", "aten::new_zeros", "aten::ones", "aten::new_ones":
      let fill = node.target.hasSuffix("ones") ? 1.0 : 0
      try appendFilled(node, fill)
    case "aten::full", "aten::new_full":
      guard let fill = node.real("fill_value") else { throw .unsupported(node, "what it fills with is not fixed") }
      try appendFilled(node, fill)
    default: return false
    }
    return true
  }

  private mutating func appendFilled(_ node: Node, _ fill: Double) throws(ONNXFailure) {
    let value = try number(fill, node, kind(of: node), "value")
    emit("Expand", [value, try sizes(node, "size", unknown: 1)], node)
  }

  private mutating func size(_ argument: OperatorGraph.Argument, _ node: Node) throws(ONNXFailure) -> String {
    switch argument.operand {
    case .integer(let value): return try integers([value], node, argument.name)
    case .value(let value): return try name(of: value, node)
    default: throw .unsupported(node, "'\(argument.name)' is no size")
    }
  }

  /// A list of sizes as one vector.
  /// - Parameter unknown: What stands for a size that is to follow from the tensor.
  mutating func sizes(_ node: Node, _ name: String, unknown: Int) throws(ONNXFailure) -> String {
    switch node[name] {
    case .integers(let values)?: return try integers(values.map { $0 < 0 ? unknown : $0 }, node, name)
    case .integer(let value)?: return try integers([value < 0 ? unknown : value], node, name)
    case .sizes(let sizes)?:
      var parts: [String] = []
      for (index, size) in sizes.enumerated() {
        switch size {
        case .fixed(let value): parts.append(try integers([value < 0 ? unknown : value], node, "\(name)_\(index)"))
        case .computed(let value): parts.append(try self.name(of: value, node))
        }
      }
      return emit("Concat", parts, node, name, [("axis", .int(0))])
    default: throw .unsupported(node, "'\(name)' is not fixed")
    }
  }
}
