import QuenchTorch

extension ONNXWriter {
  /// Appends what takes parts of a tensor; false for another operator.
  mutating func appendSelection(_ node: Node) throws(ONNXFailure) -> Bool {
    switch node.target {
    case "aten::slice.Tensor": try appendSlice(node)
    case "aten::narrow":
      guard let axis = node.integer("dim"), let start = node.integer("start"), let length = node.integer("length")
      else { throw .unsupported(node, "what it takes is of no fixed size") }
      let x = try input(node, "self")
      let bounds = [start, start + length, axis]
      emit("Slice", [x] + (try vectors(bounds, node)), node)
    case "aten::select.int":
      guard let index = node.integer("index") else { throw .unsupported(node, "what it takes is not fixed") }
      let position = try number(Double(index), node, .integer, "index")
      emit("Gather", [try input(node, "self"), position], node, nil, [("axis", .int(node.integer("dim") ?? 0))])
    case "aten::index_select":
      emit(
        "Gather", [try input(node, "self"), try input(node, "index")], node, nil,
        [("axis", .int(node.integer("dim") ?? 0))])
    case "aten::index.Tensor":
      guard case .values(let indices)? = node["indices"], indices.compactMap(\.self).count == 1,
        let axis = indices.firstIndex(where: { $0 != nil }), let index = indices[axis],
        trace.dtypes[index.index] != .bool
      else { throw .unsupported(node, "several indices, or truth values, have no form here") }
      emit(
        "Gather", [try input(node, "self"), try name(of: index, node)], node, nil, [("axis", .int(axis))])
    case "aten::chunk", "aten::split.Tensor", "aten::split_with_sizes", "aten::unbind.int":
      try appendSplit(node)
    case "aten::roll": try appendRoll(node)
    default: return false
    }
    return true
  }

  private mutating func vectors(_ values: [Int], _ node: Node) throws(ONNXFailure) -> [String] {
    var names: [String] = []
    for (value, name) in zip(values, ["starts", "ends", "axes", "steps"]) {
      names.append(try integers([value], node, name))
    }
    return names
  }

  private mutating func appendSlice(_ node: Node) throws(ONNXFailure) {
    let x = try input(node, "self")
    func bound(_ name: String, _ fallback: Int, _ writer: inout ONNXWriter) throws(ONNXFailure) -> String {
      if let value = node.value(name) { return try writer.name(of: value, node) }
      return try writer.integers([node.integer(name) ?? fallback], node, name)
    }
    let bounds = [try bound("start", 0, &self), try bound("end", .max, &self)]
    let axes = try integers([node.integer("dim") ?? 0], node, "axes")
    let steps = try integers([node.integer("step") ?? 1], node, "steps")
    emit("Slice", [x] + bounds + [axes, steps], node)
  }

  private mutating func appendSplit(_ node: Node) throws(ONNXFailure) {
    guard case .list(let values)? = node.results.first else { throw .unsupported(node, "it makes no list") }
    let x = try input(node, "self")
    let shape = try shape(node, "self")
    let axis = axis(node.integer("dim") ?? 0, shape.count)
    if node.target == "aten::unbind.int" {
      for (index, value) in values.enumerated() {
        guard let value else { continue }
        let position = try number(Double(index), node, .integer, "index_\(index)")
        set(value, emit("Gather", [x, position], node, "part_\(index)", [("axis", .int(axis))]))
      }
      return
    }
    guard axis > 0 else { throw .unsupported(node, "the batch is no size to split") }
    let size = shape[axis]
    var sizes = node.integers("split_sizes") ?? []
    if sizes.isEmpty {
      let chunks = node.integer("chunks").map { max(1, (size + $0 - 1) / $0) }
      guard let part = chunks ?? node.integer("split_size"), part > 0 else {
        throw .unsupported(node, "its parts are of no fixed size")
      }
      sizes = stride(from: 0, to: size, by: part).map { min(part, size - $0) }
    }
    try emitList(
      "Split", [x, try integers(sizes, node, "sizes")], node, count: sizes.count, [("axis", .int(axis))])
  }

  /// The last elements along a dimension before the others.
  private mutating func appendRoll(_ node: Node) throws(ONNXFailure) {
    let shape = try shape(node, "self")
    guard let shifts = node.integers("shifts"), let dimensions = node.integers("dims"),
      shifts.count == dimensions.count
    else { throw .unsupported(node, "how far it rolls is not fixed") }
    var x = try input(node, "self")
    for (number, (shift, dimension)) in zip(shifts, dimensions).enumerated() {
      let axis = axis(dimension, shape.count)
      let size = shape[axis]
      guard axis > 0, size > 0 else { throw .unsupported(node, "the batch does not roll") }
      let start = (size - shift % size) % size
      let axes = try integers([axis], node, "axes_\(number)")
      let (zero, cut, end) = (
        try integers([0], node, "zero_\(number)"), try integers([start], node, "cut_\(number)"),
        try integers([size], node, "end_\(number)")
      )
      let last = emit("Slice", [x, cut, end, axes], node, "last_\(number)")
      let first = emit("Slice", [x, zero, cut, axes], node, "first_\(number)")
      x = emit("Concat", [last, first], node, "rolled_\(number)", [("axis", .int(axis))])
    }
    pass(x, node)
  }
}
