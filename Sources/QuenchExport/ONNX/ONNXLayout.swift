import QuenchTorch

extension ONNXWriter {
  /// Operators that pass a tensor on as it is.
  private static let passes: Set = [
    "aten::alias", "aten::clone", "aten::contiguous", "aten::detach", "aten::dropout", "aten::feature_dropout",
    "aten::to.device"
  ]

  /// Appends what lays elements out in another shape or order; false for another operator.
  mutating func appendLayout(_ node: Node) throws(ONNXFailure) -> Bool {
    let operand = node["self"] == nil ? "input" : "self"
    if Self.passes.contains(node.target) {
      pass(try input(node, operand), node)
      return true
    }
    switch node.target {
    case "aten::view", "aten::_unsafe_view", "aten::reshape":
      let sizes = try sizes(node, node["shape"] == nil ? "size" : "shape", unknown: -1)
      emit("Reshape", [try input(node, operand), sizes], node)
    case "aten::reshape_as", "aten::view_as", "aten::expand_as":
      let shape = emit("Shape", [try input(node, "other")], node, "shape")
      emit(node.target == "aten::expand_as" ? "Expand" : "Reshape", [try input(node, operand), shape], node)
    case "aten::flatten.using_ints": try appendFlatten(node)
    case "aten::unflatten.int":
      let shape = try shape(node, operand)
      let axis = axis(node.integer("dim") ?? 0, shape.count)
      guard let parts = node.integers("sizes") else { throw .unsupported(node, "its parts are of no fixed size") }
      let after = shape.dropFirst(axis + 1)
      let before = [Int](repeating: 0, count: axis)
      emit("Reshape", [try input(node, operand), try integers(before + parts + after, node, "shape")], node)
    case "aten::permute":
      let rank = try shape(node, operand).count
      let order = (node.integers("dims") ?? []).map { axis($0, rank) }
      emit("Transpose", [try input(node, operand)], node, nil, [("perm", .ints(order))])
    case "aten::transpose.int", "aten::swapaxes", "aten::swapdims", "aten::t":
      var order = Array(0..<(try shape(node, operand).count))
      let first = node.integer("dim0") ?? node.integer("axis0") ?? 0
      let second = node.integer("dim1") ?? node.integer("axis1") ?? 1
      if order.count > 1 { order.swapAt(axis(first, order.count), axis(second, order.count)) }
      emit("Transpose", [try input(node, operand)], node, nil, [("perm", .ints(order))])
    case "aten::unsqueeze":
      let axes = try integers([node.integer("dim") ?? 0], node, "axes")
      emit("Unsqueeze", [try input(node, operand), axes], node)
    case "aten::squeeze.dim", "aten::squeeze.dims":
      let shape = try shape(node, operand)
      let axes = (node.integers("dim") ?? []).map { axis($0, shape.count) }.filter { shape[$0] == 1 }
      guard !axes.contains(0) else { throw .unsupported(node, "the batch is no size to leave out") }
      emit("Squeeze", [try input(node, operand), try integers(axes, node, "axes")], node)
    case "aten::expand":
      emit("Expand", [try input(node, operand), try sizes(node, "size", unknown: 1)], node)
    case "aten::repeat": try appendRepeat(node)
    case "aten::cat", "aten::stack": try appendJoin(node)
    case "aten::constant_pad_nd", "aten::pad": try appendPad(node)
    case "aten::pixel_shuffle":
      let block = node.integer("upscale_factor") ?? 1
      emit(
        "DepthToSpace", [try input(node, operand)], node, nil,
        [("blocksize", .int(block)), ("mode", .string("CRD"))])
    default: return false
    }
    return true
  }

  func axis(_ dimension: Int, _ rank: Int) -> Int { dimension < 0 ? dimension + rank : dimension }

  private mutating func appendFlatten(_ node: Node) throws(ONNXFailure) {
    let x = try input(node, "self")
    let shape = try shape(node, "self")
    let first = axis(node.integer("start_dim") ?? 0, shape.count)
    let last = axis(node.integer("end_dim") ?? -1, shape.count)
    if first == 1, last == shape.count - 1 {
      emit("Flatten", [x], node, nil, [("axis", .int(1))])
      return
    }
    let sizes = [Int](repeating: 0, count: first) + [-1] + shape.dropFirst(last + 1)
    emit("Reshape", [x, try integers(sizes, node, "shape")], node)
  }

  private mutating func appendRepeat(_ node: Node) throws(ONNXFailure) {
    let count: Int
    switch node["repeats"] {
    case .integers(let values)?: count = values.count
    case .sizes(let values)?: count = values.count
    default: throw .unsupported(node, "how often it repeats is not known")
    }
    var x = try input(node, "self")
    let missing = count - (try shape(node, "self").count)
    if missing > 0 {
      x = emit("Unsqueeze", [x, try integers(Array(0..<missing), node, "axes")], node, "unsqueezed")
    }
    emit("Tile", [x, try sizes(node, "repeats", unknown: 1)], node)
  }

  private mutating func appendJoin(_ node: Node) throws(ONNXFailure) {
    guard case .values(let values)? = node["tensors"] else { throw .unsupported(node, "it joins no tensors") }
    let kind = kind(of: node)
    let dimension = node.integer("dim") ?? 0
    var parts: [String] = []
    for value in values.compactMap(\.self) {
      // A concatenation passes an empty vector over.
      if trace.shape(value) == [0] { continue }
      var part = node
      part.arguments = [.init("self", .value(value))]
      parts.append(try input(part, "self", as: kind))
    }
    if node.target == "aten::stack" {
      let axes = try integers([dimension], node, "axes")
      parts = parts.enumerated().map { emit("Unsqueeze", [$1, axes], node, "part_\($0)") }
    }
    emit("Concat", parts, node, nil, [("axis", .int(dimension))])
  }

  /// LibTorch counts from the last dimension, before and after in turn; ONNX first all before, then all after.
  private mutating func appendPad(_ node: Node) throws(ONNXFailure) {
    guard let amounts = node.integers("pad"), amounts.count % 2 == 0 else {
      throw .unsupported(node, "its edges are of no fixed size")
    }
    let rank = try shape(node, "self").count
    var pads = [Int](repeating: 0, count: 2 * rank)
    for index in 0..<amounts.count / 2 {
      (pads[rank - 1 - index], pads[2 * rank - 1 - index]) = (amounts[2 * index], amounts[2 * index + 1])
    }
    var inputs = [try input(node, "self"), try integers(pads, node, "pads")]
    let modes = ["constant": "constant", "reflect": "reflect", "replicate": "edge"]
    var attributes: Attributes = []
    if case .string(let text)? = node["mode"], text != "constant" {
      guard let mode = modes[text] else { throw .unsupported(node, "edges of this kind have no form in ONNX") }
      attributes = [("mode", .string(mode))]
    } else if let value = node.real("value"), value != 0 {
      inputs.append(try number(value, node, kind(of: node), "value"))
    }
    emit("Pad", inputs, node, nil, attributes)
  }
}
