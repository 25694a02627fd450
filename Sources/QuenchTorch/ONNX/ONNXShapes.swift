import QuenchSupport

/// Operators that lay the same numbers out in another way.
enum ONNXShapes {
  static let rules: [String: ONNXRule] = [
    "Reshape": ONNXRule(reshape), "Flatten": ONNXRule(flatten), "Transpose": ONNXRule(transpose),
    "Squeeze": ONNXRule(squeeze), "Unsqueeze": ONNXRule(unsqueeze),
    "Expand": ONNXRule(expand), "Tile": ONNXRule(tile), "DepthToSpace": ONNXRule(depthToSpace),
    "SpaceToDepth": ONNXRule(spaceToDepth), "Pad": ONNXRule(pad)
  ]

  /// The integers that an input holds, as sizes.
  static func sizes(_ index: Int, _ graph: ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXSize] {
    guard let sizes = graph.sizes(try call.input(index)) else {
      throw call.fail("a shape hangs on what the images show", remedy: ONNXRemedy.fixedShape)
    }
    return sizes
  }

  private static func reshape(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    var shape = try sizes(1, graph, call)
    if case .sizes(let sizes) = input, shape.count < 2 {
      return [graph.value(sizes.elements, isScalar: shape.isEmpty)]
    }
    let copies = try call.integer("allowzero", 0) == 0
    for (index, size) in shape.enumerated() where copies && size.fixed == 0 && index < input.rank {
      shape[index] = graph.size(of: input, index)
    }
    // A model of single images: the batch stays what it is.
    if graph.freesBatch, case .tensor(let tensor) = input, tensor.rank > 0, tensor.size(0) == nil,
      shape.first?.fixed == 1
    {
      shape[0] = graph.size(of: input, 0)
    }
    return [try graph.call("aten::reshape", ["self": .tensor(input), "shape": .sizes(shape)])]
  }

  private static func flatten(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let given = try call.integer("axis", 1)
    let axis = given == input.rank ? given : try call.axis(given, rank: input.rank)
    if axis == 1, input.rank > 1 {
      return [
        try graph.call(
          "aten::flatten.using_ints",
          ["self": .tensor(input), "start_dim": .literal(.integer(1)), "end_dim": .literal(.integer(-1))])
      ]
    }
    var rows = graph.fixed(1)
    for dimension in 0..<axis { rows = try graph.size(.mul, rows, graph.size(of: input, dimension)) }
    return [
      try graph.call("aten::reshape", ["self": .tensor(input), "shape": .sizes([rows, graph.fixed(-1)])])
    ]
  }

  private static func transpose(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let order = try call.integers("perm") ?? Array((0..<input.rank).reversed())
    if case .sizes = input { return [input] }
    return [try graph.call("aten::permute", ["self": .tensor(input), "dims": .literal(.integers(order))])]
  }

  private static func squeeze(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    var axes: [Int] = []
    for axis in try call.integers("axes", input: 1) ?? (0..<input.rank).filter({ input.size($0) == 1 }) {
      axes.append(try call.axis(axis, rank: input.rank))
    }
    if case .sizes(let sizes) = input { return [graph.value(sizes.elements, isScalar: sizes.elements.count == 1)] }
    return [try graph.call("aten::squeeze.dims", ["self": .tensor(input), "dim": .literal(.integers(axes))])]
  }

  private static func unsqueeze(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var result = try call.input(0)
    guard let given = try call.integers("axes", input: 1), given.count <= 16 else {
      throw call.fail("the dimensions are missing, or too many")
    }
    var axes: [Int] = []
    for axis in given { axes.append(try call.axis(axis, rank: result.rank + given.count)) }
    if case .sizes(let sizes) = result, sizes.isScalar, axes == [0] {
      return [graph.value(sizes.elements, isScalar: false)]
    }
    for axis in axes.sorted() {
      result = try graph.call("aten::unsqueeze", ["self": .tensor(result), "dim": .literal(.integer(axis))])
    }
    return [result]
  }

  private static func expand(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    var shape = try sizes(1, graph, call)
    while shape.count < input.rank { shape.insert(graph.fixed(1), at: 0) }
    let offset = shape.count - input.rank
    for dimension in 0..<input.rank where input.size(dimension) != 1 || shape[offset + dimension].fixed == 1 {
      shape[offset + dimension] = graph.fixed(-1)
    }
    return [try graph.call("aten::expand", ["self": .tensor(input), "size": .sizes(shape)])]
  }

  private static func tile(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    [
      try graph.call(
        "aten::repeat", ["self": .tensor(try call.input(0)), "repeats": .sizes(try sizes(1, graph, call))])
    ]
  }

  // MARK: - Blocks of pixels as channels

  private static func block(_ call: ONNXCall) throws(InputError) -> Int {
    let block = try call.integer("blocksize", 0)
    guard (1...1 << 10).contains(block) else { throw call.fail("the block size is impossible", found: "\(block)") }
    return block
  }

  /// Channels `[first, second]` in the order `[second, first]`.
  private static func swapped(
    _ value: ONNXValue, _ sizes: [Int], _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    var result = try graph.call(
      "aten::unflatten.int",
      ["self": .tensor(value), "dim": .literal(.integer(1)), "sizes": .literal(.integers(sizes))])
    result = try graph.call(
      "aten::transpose.int",
      ["self": .tensor(result), "dim0": .literal(.integer(1)), "dim1": .literal(.integer(2))])
    return try graph.call(
      "aten::flatten.using_ints",
      ["self": .tensor(result), "start_dim": .literal(.integer(1)), "end_dim": .literal(.integer(2))])
  }

  private static func depthToSpace(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    var value = try call.input(0)
    let block = try block(call)
    if try call.text("mode", "DCR") == "DCR" { value = try swapped(value, [block * block, -1], &graph) }
    return [
      try graph.call("aten::pixel_shuffle", ["self": .tensor(value), "upscale_factor": .literal(.integer(block))])
    ]
  }

  private static func spaceToDepth(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let block = try block(call)
    let value = try graph.call(
      "aten::pixel_unshuffle",
      ["self": .tensor(try call.input(0)), "downscale_factor": .literal(.integer(block))])
    return [try swapped(value, [-1, block * block], &graph)]
  }

  // MARK: - Padding

  private static func pad(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    guard let pads = try call.integers("pads", input: 1) else { throw call.fail("the pads are missing") }
    var axes = Array(0..<input.rank)
    if let given = call.optional(3) {
      axes = []
      for axis in try call.known(given, "the axes") { axes.append(try call.axis(axis, rank: input.rank)) }
    }
    guard pads.count == 2 * axes.count, pads.allSatisfy({ (-(1 << 20)...1 << 20).contains($0) }) else {
      throw call.fail("the pads are impossible", expected: "\(2 * axes.count)", found: "\(pads)")
    }
    var padding = [Int](repeating: 0, count: 2 * input.rank)
    for (index, axis) in axes.enumerated() {
      padding[2 * (input.rank - 1 - axis)] = pads[index]
      padding[2 * (input.rank - 1 - axis) + 1] = pads[index + axes.count]
    }
    while padding.count >= 2, padding.suffix(2).allSatisfy({ $0 == 0 }) { padding.removeLast(2) }
    if padding.isEmpty { return [input] }
    let mode = try call.text("mode", "constant")
    if mode == "constant" {
      var value = try call.real("value", 0)
      if let given = call.optional(2) {
        guard let number = given.number else { throw call.fail("the value to pad with hangs on the images") }
        value = number
      }
      return [
        try graph.call(
          "aten::constant_pad_nd",
          ["self": .tensor(input), "pad": .literal(.integers(padding)), "value": .literal(.real(value))])
      ]
    }
    guard let name = ["reflect": "reflect", "edge": "replicate", "wrap": "circular"][mode] else {
      throw call.fail("the mode is unknown", expected: "constant, reflect, edge or wrap", found: mode)
    }
    return [
      try graph.call(
        "aten::pad",
        ["self": .tensor(input), "pad": .literal(.integers(padding)), "mode": .literal(.string(name))])
    ]
  }
}

extension ONNXLowering {
  /// A matrix with rows and columns exchanged.
  mutating func transposed(_ matrix: ONNXValue) throws(InputError) -> ONNXValue {
    try call("aten::t", ["self": .tensor(matrix)])
  }

  /// The numbers from `start` to before `end` of a dimension.
  mutating func slice(
    _ value: ONNXValue, _ dimension: Int, _ start: Int, _ end: ONNXSize
  ) throws(InputError) -> ONNXValue {
    try call(
      "aten::slice.Tensor",
      [
        "self": .tensor(value), "dim": .literal(.integer(dimension)), "start": .literal(.integer(start)),
        "end": .size(end), "step": .literal(.integer(1))
      ])
  }
}
