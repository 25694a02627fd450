import QuenchSupport

/// Convolutions and pools.
enum ONNXConvolutions {
  static let rules: [String: ONNXRule] = [
    "Conv": ONNXRule(convolution), "ConvTranspose": ONNXRule(transposed), "MaxPool": ONNXRule(maximum),
    "AveragePool": ONNXRule(average),
    "GlobalAveragePool": ONNXRule { (graph, call) throws(InputError) in try global("aten::mean.dim", &graph, call)
    },
    "GlobalMaxPool": ONNXRule { (graph, call) throws(InputError) in try global("aten::amax", &graph, call) }
  ]

  /// How a window moves over the spatial dimensions of an input.
  private struct Window {
    var kernel: [Int]
    var stride: [Int]
    var dilation: [Int]
    var begin: [Int]
    var end: [Int]

    var isSymmetric: Bool { begin == end }
    var rank: Int { kernel.count }
    /// What `constant_pad_nd` takes: the last dimension first.
    var padding: [Int] { zip(begin, end).reversed().flatMap { [$0, $1] } }

    /// - Throws: `InputError` if an attribute has another length or an impossible value.
    init(_ call: ONNXCall, kernel: [Int], input: ONNXValue) throws(InputError) {
      let rank = kernel.count
      guard (1...3).contains(rank), input.rank == rank + 2 else {
        throw call.fail(
          "the operator takes an input of another number of dimensions", expected: "\(rank + 2), at most 5",
          found: "\(input.rank)")
      }
      self.kernel = kernel
      let ones = [Int](repeating: 1, count: rank)
      stride = try call.integers("strides") ?? ones
      dilation = try call.integers("dilations") ?? ones
      let pads = try call.integers("pads") ?? [Int](repeating: 0, count: 2 * rank)
      let most = 1 << 20
      guard stride.count == rank, dilation.count == rank, pads.count == 2 * rank,
        (kernel + stride + dilation).allSatisfy({ (1...most).contains($0) }),
        pads.allSatisfy({ (0...most).contains($0) })
      else {
        throw call.fail(
          "kernel, strides, dilations or pads are impossible", expected: "\(rank) positive integers each")
      }
      (begin, end) = (Array(pads[..<rank]), Array(pads[rank...]))
      let automatic = try call.text("auto_pad", "NOTSET")
      switch automatic {
      case "NOTSET", "": break
      case "VALID": (begin, end) = (ones.map { _ in 0 }, ones.map { _ in 0 })
      case "SAME_UPPER", "SAME_LOWER":
        for axis in 0..<rank {
          let total = try total(axis, input, call)
          let (small, large) = (total / 2, total - total / 2)
          (begin[axis], end[axis]) = automatic == "SAME_UPPER" ? (small, large) : (large, small)
        }
      default: throw call.fail("the padding is unknown", found: automatic)
      }
    }

    /// The padding of a dimension whose result has its size divided by the stride.
    private func total(_ axis: Int, _ input: ONNXValue, _ call: ONNXCall) throws(InputError) -> Int {
      let reach = (kernel[axis] - 1) * dilation[axis] + 1
      if stride[axis] == 1 { return reach - 1 }
      guard let size = input.size(axis + 2) else {
        throw call.fail("the padding hangs on the images' size", remedy: ONNXRemedy.fixedShape)
      }
      let results = (size + stride[axis] - 1) / stride[axis]
      return max((results - 1) * stride[axis] + reach - size, 0)
    }
  }

  private static func kernel(_ call: ONNXCall) throws(InputError) -> [Int] {
    guard let kernel = try call.integers("kernel_shape") else { throw call.fail("the kernel has no shape") }
    return kernel
  }

  private static func weights(_ call: ONNXCall) throws(InputError) -> (weight: ONNXValue, kernel: [Int]) {
    let weight = try call.input(1)
    guard weight.rank > 2 else {
      throw call.fail("the weights are no kernels", expected: "at least 3 dimensions", found: "\(weight.rank)")
    }
    return (weight, weight.shape(0).dropFirst(2).map { max($0, 1) })
  }

  private static func padded(
    _ input: ONNXValue, _ window: Window, with value: Double, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    try graph.call(
      "aten::constant_pad_nd",
      ["self": .tensor(input), "pad": .literal(.integers(window.padding)), "value": .literal(.real(value))])
  }

  private static func bias(_ call: ONNXCall) -> ONNXOperand {
    call.optional(2).map { .weight($0, "bias") } ?? .literal(.none)
  }

  private static func convolution(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    var input = try call.input(0)
    let (weight, kernel) = try weights(call)
    let window = try Window(call, kernel: kernel, input: input)
    let padding = window.isSymmetric ? window.begin : window.begin.map { _ in 0 }
    if !window.isSymmetric { input = try padded(input, window, with: 0, &graph) }
    return [
      try graph.call(
        "aten::conv\(window.rank)d",
        [
          "input": .tensor(input), "weight": .weight(weight, "weight"), "bias": bias(call),
          "stride": .literal(.integers(window.stride)), "padding": .literal(.integers(padding)),
          "dilation": .literal(.integers(window.dilation)),
          "groups": .literal(.integer(try call.integer("group", 1)))
        ])
    ]
  }

  private static func transposed(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let (weight, kernel) = try weights(call)
    guard try ["NOTSET", "VALID", ""].contains(call.text("auto_pad", "NOTSET")), !call.has("output_shape") else {
      throw call.fail(
        "the padding follows from a shape of the result, which is not known here",
        remedy: "export the network with pads instead of auto_pad or output_shape")
    }
    let window = try Window(call, kernel: kernel, input: input)
    var extra = try call.integers("output_padding") ?? window.begin.map { _ in 0 }
    guard extra.count == window.rank, extra.allSatisfy({ (0...1 << 20).contains($0) }) else {
      throw call.fail("the output padding is impossible", found: "\(extra)")
    }
    var cut = window.begin.map { _ in 0 }
    for axis in 0..<window.rank {
      let missing = window.end[axis] - window.begin[axis]
      if missing < 0 { extra[axis] -= missing } else { cut[axis] = missing }
    }
    var result = try graph.call(
      "aten::conv_transpose\(window.rank)d\(window.rank == 1 ? "" : ".input")",
      [
        "input": .tensor(input), "weight": .weight(weight, "weight"), "bias": bias(call),
        "stride": .literal(.integers(window.stride)), "padding": .literal(.integers(window.begin)),
        "output_padding": .literal(.integers(extra)),
        "groups": .literal(.integer(try call.integer("group", 1))),
        "dilation": .literal(.integers(window.dilation))
      ])
    for (axis, missing) in cut.enumerated() where missing > 0 {
      result = try graph.slice(result, axis + 2, 0, graph.fixed(-missing))
    }
    return [result]
  }

  private static func maximum(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    try call.requireOneResult()
    var input = try call.input(0)
    let window = try Window(call, kernel: kernel(call), input: input)
    // LibTorch pads by half a kernel at most.
    let isPlain = window.isSymmetric && zip(window.begin, window.kernel).allSatisfy { 2 * $0 <= $1 }
    if !isPlain { input = try padded(input, window, with: -.infinity, &graph) }
    return [
      try graph.call(
        "aten::max_pool\(window.rank)d",
        [
          "self": .tensor(input), "kernel_size": .literal(.integers(window.kernel)),
          "stride": .literal(.integers(window.stride)),
          "padding": .literal(.integers(isPlain ? window.begin : window.begin.map { _ in 0 })),
          "dilation": .literal(.integers(window.dilation)),
          "ceil_mode": .literal(.boolean(try call.integer("ceil_mode", 0) != 0))
        ])
    ]
  }

  private static func average(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let window = try Window(call, kernel: kernel(call), input: input)
    guard window.dilation.allSatisfy({ $0 == 1 }) else {
      throw call.fail("an average over a dilated window is not known here", remedy: "export it without dilations")
    }
    let countsPadding = try call.integer("count_include_pad", 0) != 0
    let isCeiling = try call.integer("ceil_mode", 0) != 0
    func pool(_ value: ONNXValue, _ padding: [Int], _ counts: Bool) throws(InputError) -> ONNXValue {
      try graph.call(
        "aten::avg_pool\(window.rank)d",
        [
          "self": .tensor(value), "kernel_size": .literal(.integers(window.kernel)),
          "stride": .literal(.integers(window.stride)), "padding": .literal(.integers(padding)),
          "ceil_mode": .literal(.boolean(isCeiling)), "count_include_pad": .literal(.boolean(counts))
        ])
    }
    let none = window.begin.map { _ in 0 }
    let isPlain = window.isSymmetric && zip(window.begin, window.kernel).allSatisfy { 2 * $0 <= $1 }
    if isPlain { return [try pool(input, window.begin, countsPadding)] }
    let sums = try pool(try padded(input, window, with: 0, &graph), none, true)
    if countsPadding { return [sums] }
    let ones = try graph.call("aten::ones_like", ["self": .tensor(input)])
    let counts = try pool(try padded(ones, window, with: 0, &graph), none, true)
    return [try graph.call("aten::div.Tensor", ["self": .tensor(sums), "other": .tensor(counts)])]
  }

  private static func global(
    _ target: String, _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    guard input.rank > 2 else {
      throw call.fail("there is nothing to pool over", found: "\(input.rank) dimensions")
    }
    return [
      try graph.call(
        target,
        [
          "self": .tensor(input), "dim": .literal(.integers(Array(2..<input.rank))),
          "keepdim": .literal(.boolean(true))
        ])
    ]
  }
}
