import QuenchSupport

/// Operators that take parts of tensors, or put them together.
enum ONNXSelections {
  static let rules: [String: ONNXRule] = [
    "Concat": ONNXRule(concatenation), "Split": ONNXRule(split), "Slice": ONNXRule(slice),
    "Gather": ONNXRule(gather), "GatherElements": ONNXRule(elements),
    "ScatterND": ONNXRule(scatter), "Trilu": ONNXRule(triangle)
  ]

  private static func concatenation(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    var values: [ONNXValue] = []
    for index in call.inputs.indices { values.append(try call.input(index)) }
    let hasSizes = values.contains { if case .sizes = $0 { true } else { false } }
    if hasSizes {
      let lists = values.map(graph.sizes)
      if lists.allSatisfy({ $0 != nil }) { return [graph.value(lists.flatMap { $0 ?? [] }, isScalar: false)] }
    }
    let axis = try call.axis(try call.integer("axis", 0), rank: values.first?.rank ?? 0)
    if graph.freesBatch, axis > 0 { values = try repeated(values, &graph) }
    return [try graph.call("aten::cat", ["tensors": .tensors(values), "dim": .literal(.integer(axis))])]
  }

  /// In a model of single images: what is the same for all images, once for each.
  private static func repeated(
    _ values: [ONNXValue], _ graph: inout ONNXLowering
  ) throws(InputError) -> [ONNXValue] {
    guard let batch = values.first(where: { $0.rank > 0 && $0.size(0) == nil }) else { return values }
    var repeated: [ONNXValue] = []
    for value in values {
      guard value.rank > 0, value.size(0) == 1 else {
        repeated.append(value)
        continue
      }
      let others = [ONNXSize](repeating: graph.fixed(-1), count: value.rank - 1)
      repeated.append(
        try graph.call(
          "aten::expand", ["self": .tensor(value), "size": .sizes([graph.size(of: batch, 0)] + others)]))
    }
    return repeated
  }

  private static func split(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let axis = try call.axis(try call.integer("axis", 0), rank: input.rank)
    let count = call.node.outputs.count
    guard count > 0, let size = input.size(axis) else {
      throw call.fail("a dimension is split that hangs on the images' shape", remedy: ONNXRemedy.fixedShape)
    }
    let piece = (size + count - 1) / count
    let sizes =
      try call.integers("split", input: 1)
      ?? (0..<count).map { max(0, min(piece, size - $0 * piece)) }
    guard sizes.count == count, sizes.allSatisfy({ (0...size).contains($0) }) else {
      throw call.fail("the pieces are impossible", expected: "\(count) of together \(size)", found: "\(sizes)")
    }
    if case .sizes(let all) = input {
      var start = 0
      var parts: [ONNXValue] = []
      for size in sizes {
        guard start + size <= all.elements.count else { throw call.fail("the pieces are impossible") }
        parts.append(graph.value(Array(all.elements[start..<start + size]), isScalar: false))
        start += size
      }
      return parts
    }
    return try graph.list(
      "aten::split_with_sizes",
      [
        "self": .tensor(input), "split_sizes": .literal(.integers(sizes)), "dim": .literal(.integer(axis))
      ], count: count)
  }

  private static func slice(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    func list(_ name: String, _ index: Int) throws(InputError) -> [ONNXSize]? {
      if let values = try call.integers(name) { return values.map(graph.fixed) }
      guard call.optional(index) != nil else { return nil }
      return try ONNXShapes.sizes(index, graph, call)
    }
    guard let starts = try list("starts", 1), let ends = try list("ends", 2), starts.count == ends.count else {
      throw call.fail("starts and ends are missing, or not as many")
    }
    let axes = try call.integers("axes", input: 3) ?? Array(0..<starts.count)
    let steps =
      try call.optional(4).map { (value) throws(InputError) in try call.known(value, "the steps") }
      ?? starts.map { _ in 1 }
    guard axes.count == starts.count, steps.count == starts.count else {
      throw call.fail("starts, ends, axes and steps are not as many")
    }
    if case .sizes(let sizes) = input, axes == [0], steps == [1], let start = starts[0].fixed,
      let end = ends[0].fixed
    {
      let count = sizes.elements.count
      func place(_ position: Int) -> Int { min(max(position < 0 ? position + count : position, 0), count) }
      let (from, to) = (place(max(start, -count)), place(max(end, -count)))
      return [graph.value(from < to ? Array(sizes.elements[from..<to]) : [], isScalar: false)]
    }
    var result = input
    for index in axes.indices {
      let axis = try call.axis(axes[index], rank: input.rank)
      guard steps[index] > 0 else {
        result = try backwards(result, axis, starts[index], ends[index], steps[index], &graph, call)
        continue
      }
      result = try graph.call(
        "aten::slice.Tensor",
        [
          "self": .tensor(result), "dim": .literal(.integer(axis)), "start": .size(bounded(starts[index])),
          "end": .size(bounded(ends[index])), "step": .literal(.integer(steps[index]))
        ])
    }
    return [result]
  }

  /// Far numbers stand for the end; LibTorch adds to them.
  private static func bounded(_ size: ONNXSize) -> ONNXSize {
    let limit = 1 << 40
    guard let value = size.fixed, abs(value.clamped(-limit << 1, limit << 1)) > limit else { return size }
    let bound = value < 0 ? -limit : limit
    return ONNXSize(size: .fixed(bound), trials: size.trials.map { _ in bound })
  }

  private static func backwards(
    _ value: ONNXValue, _ axis: Int, _ start: ONNXSize, _ end: ONNXSize, _ step: Int, _ graph: inout ONNXLowering,
    _ call: ONNXCall
  ) throws(InputError) -> ONNXValue {
    guard step == -1, let from = start.fixed, let to = end.fixed else {
      throw call.fail("a slice with this step is not known here", found: "step \(step)")
    }
    let flipped = try graph.call("aten::flip", ["self": .tensor(value), "dims": .literal(.integers([axis]))])
    if from == -1 || from >= 1 << 30, to < -1 << 30 { return flipped }
    guard let size = value.size(axis) else {
      throw call.fail("a slice backwards hangs on the images' shape", remedy: ONNXRemedy.fixedShape)
    }
    func place(_ position: Int, _ low: Int) -> Int {
      let near = position.clamped(-size - 1, size)
      return (near < 0 ? near + size : near).clamped(low, size - 1)
    }
    let (first, last) = (place(from, 0), place(to, -1))
    guard size > 0, first > last else { return try graph.slice(flipped, axis, 0, graph.fixed(0)) }
    return try graph.slice(flipped, axis, size - 1 - first, graph.fixed(size - 1 - last))
  }

  private static func gather(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let (data, indices) = (try call.input(0), try call.input(1))
    let axis = try call.axis(try call.integer("axis", 0), rank: data.rank)
    guard case .constant(let constant) = indices, !constant.tensor.dtype.isFloatingPoint else {
      return [try gather(data, axis, indices, &graph)]
    }
    var places = constant.tensor.array(Int.self)
    if places.contains(where: { $0 < 0 }) {
      guard let size = data.size(axis) else {
        guard constant.tensor.rank == 0 else {
          throw call.fail("indices from the end of a size that hangs on images", remedy: ONNXRemedy.fixedShape)
        }
        return [try select(data, axis, places[0], &graph)]
      }
      places = places.map { $0 < 0 ? $0 + size : $0 }
    }
    if case .sizes(let sizes) = data {
      var chosen: [ONNXSize] = []
      for place in places {
        guard sizes.elements.indices.contains(place) else {
          throw call.fail("there is no such element", expected: "one of \(sizes.elements.count)", found: "\(place)")
        }
        chosen.append(sizes.elements[place])
      }
      if constant.tensor.rank < 2 { return [graph.value(chosen, isScalar: constant.tensor.rank == 0)] }
    }
    if constant.tensor.rank == 0 { return [try select(data, axis, places[0], &graph)] }
    let flat = graph.constant(Tensor(places), "")
    var result = try graph.call(
      "aten::index_select", ["self": .tensor(data), "dim": .literal(.integer(axis)), "index": .tensor(flat)])
    if constant.tensor.rank > 1 {
      result = try graph.call(
        "aten::unflatten.int",
        [
          "self": .tensor(result), "dim": .literal(.integer(axis)),
          "sizes": .literal(.integers(constant.tensor.shape))
        ])
    }
    return [result]
  }

  /// By indices that hang on images.
  private static func gather(
    _ data: ONNXValue, _ axis: Int, _ indices: ONNXValue, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    let flat = try graph.call("aten::reshape", ["self": .tensor(indices), "shape": .literal(.integers([-1]))])
    let result = try graph.call(
      "aten::index_select", ["self": .tensor(data), "dim": .literal(.integer(axis)), "index": .tensor(flat)])
    if indices.rank == 1 { return result }
    let shape =
      (0..<axis).map { graph.size(of: data, $0) } + (0..<indices.rank).map { graph.size(of: indices, $0) }
      + (axis + 1..<max(data.rank, axis + 1)).map { graph.size(of: data, $0) }
    return try graph.call("aten::reshape", ["self": .tensor(result), "shape": .sizes(shape)])
  }

  private static func select(
    _ data: ONNXValue, _ axis: Int, _ place: Int, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    try graph.call(
      "aten::select.int",
      ["self": .tensor(data), "dim": .literal(.integer(axis)), "index": .literal(.integer(place))])
  }

  private static func elements(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let data = try call.input(0)
    return [
      try graph.call(
        "aten::gather",
        [
          "self": .tensor(data),
          "dim": .literal(.integer(try call.axis(try call.integer("axis", 0), rank: data.rank))),
          "index": .tensor(try call.input(1))
        ])
    ]
  }

  private static func scatter(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let places = try call.input(1)
    guard places.rank > 0, let depth = places.size(places.rank - 1), (1...16).contains(depth),
      try call.text("reduction", "none") == "none"
    else { throw call.fail("places of this kind are not known here") }
    var indices: [ONNXValue] = []
    for index in 0..<depth { indices.append(try select(places, places.rank - 1, index, &graph)) }
    return [
      try graph.call(
        "aten::index_put",
        ["self": .tensor(try call.input(0)), "indices": .tensors(indices), "values": .tensor(try call.input(2))])
    ]
  }

  private static func triangle(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let target = try call.integer("upper", 1) != 0 ? "aten::triu" : "aten::tril"
    let diagonal = try call.optional(1).map { (value) throws(InputError) in try call.known(value, "k") }?.first ?? 0
    return [
      try graph.call(target, ["self": .tensor(try call.input(0)), "diagonal": .literal(.integer(diagonal))])
    ]
  }
}

extension Int {
  fileprivate func clamped(_ low: Int, _ high: Int) -> Int { Swift.min(Swift.max(self, low), Swift.max(low, high)) }
}
