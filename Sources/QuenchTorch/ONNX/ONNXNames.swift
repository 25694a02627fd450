/// What the tensors of an ONNX model are called.
enum ONNXNames {
  /// The path of the module that a node was exported from, as PyTorch's older exporter writes it into the node's name:
  /// `/layer1/layer1.0/conv1/Conv` is of `layer1.0.conv1`.
  static func module(_ node: ONNXProto.Node) -> String {
    guard node.name.hasPrefix("/") else { return "" }
    var parts: [Substring] = []
    for part in node.name.split(separator: "/").dropLast() {
      if let last = parts.last, part.hasPrefix(last + ".") { parts.removeLast() }
      parts.append(part)
    }
    return parts.joined(separator: ".")
  }

  /// The name under which a constant is held: its own, or the module's path with its role where its own is a number that an
  /// exporter gave it.
  static func name(
    of constant: ONNXConstant, _ role: String, _ node: ONNXProto.Node, isTaken: (String) -> Bool
  ) -> String {
    let path = module(node)
    let isNumbered = constant.name.isEmpty || constant.name.hasPrefix("onnx::") || constant.name.hasPrefix("/")
    var base = isNumbered && !path.isEmpty ? "\(path).\(role)" : constant.name
    if base.hasPrefix("/") { base = String(base.drop { $0 == "/" }) }
    if base.isEmpty { base = role }
    guard isTaken(base) else { return base }
    var count = 2
    while isTaken("\(base)_\(count)") { count += 1 }
    return "\(base)_\(count)"
  }
}
