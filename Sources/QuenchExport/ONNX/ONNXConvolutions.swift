import QuenchTorch

extension ONNXWriter {
  /// Appends a convolution; false for another operator.
  mutating func appendConvolution(_ node: Node) throws(ONNXFailure) -> Bool {
    let isTransposed: Bool
    switch node.target {
    case "aten::conv1d", "aten::conv2d", "aten::conv2d.padding", "aten::conv3d": isTransposed = false
    case "aten::convolution": isTransposed = node.boolean("transposed") ?? false
    case "aten::conv_transpose1d", "aten::conv_transpose2d.input", "aten::conv_transpose3d.input":
      isTransposed = true
    default: return false
    }
    let kernel = Array(try shape(node, "weight").dropFirst(2))
    func sizes(_ name: String, _ fallback: Int) -> [Int] {
      let given = node.integers(name) ?? [fallback]
      return given.count == 1 ? [Int](repeating: given[0], count: kernel.count) : given
    }
    let dilation = sizes("dilation", 1)
    var pads = sizes("padding", 0) + sizes("padding", 0)
    if case .string(let text)? = node["padding"] {
      let totals = text == "same" ? zip(kernel, dilation).map { ($0 - 1) * $1 } : kernel.map { _ in 0 }
      pads = totals.map { $0 / 2 } + totals.map { $0 - $0 / 2 }
    }
    var attributes: Attributes = [
      ("kernel_shape", .ints(kernel)), ("strides", .ints(sizes("stride", 1))), ("pads", .ints(pads))
    ]
    let groups = node.integer("groups") ?? 1
    if !isTransposed || groups != 1 { attributes.append(("group", .int(groups))) }
    if dilation.contains(where: { $0 != 1 }) { attributes.append(("dilations", .ints(dilation))) }
    let outputPadding = sizes("output_padding", 0)
    if isTransposed, outputPadding.contains(where: { $0 != 0 }) {
      attributes.append(("output_padding", .ints(outputPadding)))
    }
    var inputs = [try input(node, "input"), try input(node, "weight")]
    if let bias = try optional(node, "bias") { inputs.append(bias) }
    emit(isTransposed ? "ConvTranspose" : "Conv", inputs, node, nil, attributes)
    return true
  }
}
