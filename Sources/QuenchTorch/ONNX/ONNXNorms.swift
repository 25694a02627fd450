import QuenchSupport

/// Normalizations and dropout.
enum ONNXNorms {
  static let rules: [String: ONNXRule] = [
    "BatchNormalization": ONNXRule(batch), "LayerNormalization": ONNXRule(layer),
    "InstanceNormalization": ONNXRule(instance),
    "GroupNormalization": ONNXRule(group), "LRN": ONNXRule(local), "LpNormalization": ONNXRule(unit),
    "Dropout": ONNXRule(dropout)
  ]

  /// A batch norm in evaluation mode trains: its training flag is the network's.
  private static func batch(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    try call.requireOneResult()
    guard try call.integer("training_mode", 0) == 0 else {
      throw call.fail("the model was exported in training mode", remedy: "export it after network.eval()")
    }
    return [
      try graph.call(
        "aten::batch_norm",
        [
          "input": .tensor(try call.input(0)), "weight": .weight(try call.input(1), "weight"),
          "bias": .weight(try call.input(2), "bias"), "running_mean": .statistic(try call.input(3), "running_mean"),
          "running_var": .statistic(try call.input(4), "running_var"), "training": .literal(.boolean(false)),
          "momentum": .literal(.real(1 - Double(Float(try call.real("momentum", 0.9))))),
          "eps": .literal(.real(try call.real("epsilon", 1e-5))), "cudnn_enabled": .literal(.boolean(true))
        ])
    ]
  }

  private static func layer(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    try call.requireOneResult()
    let input = try call.input(0)
    let axis = try call.axis(try call.integer("axis", -1), rank: input.rank)
    var shape: [Int] = []
    for dimension in axis..<input.rank {
      guard let size = input.size(dimension) else {
        throw call.fail("the normalized sizes hang on the images' shape", remedy: ONNXRemedy.fixedShape)
      }
      shape.append(size)
    }
    func fitted(_ value: ONNXValue) throws(InputError) -> ONNXValue {
      guard case .constant(let constant) = value, constant.tensor.shape != shape else { return value }
      return try graph.call("aten::expand", ["self": .tensor(value), "size": .literal(.integers(shape))])
    }
    let weight = try fitted(try call.input(1))
    var bias = ONNXOperand.literal(.none)
    if let value = call.optional(2) { bias = .weight(try fitted(value), "bias") }
    return [
      try graph.call(
        "aten::layer_norm",
        [
          "input": .tensor(input), "normalized_shape": .literal(.integers(shape)),
          "weight": .weight(weight, "weight"), "bias": bias, "eps": .literal(.real(try call.real("epsilon", 1e-5)))
        ])
    ]
  }

  private static func instance(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    [
      try graph.call(
        "aten::instance_norm",
        [
          "input": .tensor(try call.input(0)), "weight": .weight(try call.input(1), "weight"),
          "bias": .weight(try call.input(2), "bias"), "running_mean": .literal(.none),
          "running_var": .literal(.none), "use_input_stats": .literal(.boolean(true)),
          "momentum": .literal(.real(0.1)), "eps": .literal(.real(try call.real("epsilon", 1e-5))),
          "cudnn_enabled": .literal(.boolean(true))
        ])
    ]
  }

  /// Before opset 21 there is one factor a group.
  private static func group(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let groups = try call.integer("num_groups", 1)
    guard input.rank > 1, let channels = input.size(1), groups > 0, channels.isMultiple(of: groups) else {
      throw call.fail("the channels can't be split into so many groups", found: "\(groups)")
    }
    func fitted(_ value: ONNXValue) throws(InputError) -> ONNXValue {
      guard value.rank == 1, value.size(0) == groups, groups != channels else { return value }
      return try graph.call(
        "aten::repeat_interleave.self_int",
        ["self": .tensor(value), "repeats": .literal(.integer(channels / groups)), "dim": .literal(.integer(0))])
    }
    let (weight, bias) = (try fitted(try call.input(1)), try fitted(try call.input(2)))
    return [
      try graph.call(
        "aten::group_norm",
        [
          "input": .tensor(input), "num_groups": .literal(.integer(groups)), "weight": .weight(weight, "weight"),
          "bias": .weight(bias, "bias"), "eps": .literal(.real(try call.real("epsilon", 1e-5)))
        ])
    ]
  }

  /// Across channels (Krizhevsky et al. 2012, section 3.3).
  private static func local(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let size = try call.integer("size", 1)
    guard input.rank == 4, (1...1 << 16).contains(size) else {
      throw call.fail("the size or the input's shape is impossible", found: "\(size)")
    }
    var sum = try graph.call("aten::square", ["self": .tensor(input)])
    sum = try graph.call("aten::unsqueeze", ["self": .tensor(sum), "dim": .literal(.integer(1))])
    sum = try graph.call(
      "aten::constant_pad_nd",
      [
        "self": .tensor(sum), "pad": .literal(.integers([0, 0, 0, 0, (size - 1) / 2, size / 2])),
        "value": .literal(.real(0))
      ])
    sum = try graph.call(
      "aten::avg_pool3d",
      [
        "self": .tensor(sum), "kernel_size": .literal(.integers([size, 1, 1])),
        "stride": .literal(.integers([1, 1, 1]))
      ])
    sum = try graph.call("aten::squeeze.dim", ["self": .tensor(sum), "dim": .literal(.integer(1))])
    sum = try graph.call(
      "aten::mul.Tensor", ["self": .tensor(sum), "other": .literal(.real(try call.real("alpha", 1e-4)))])
    sum = try graph.call(
      "aten::add.Tensor", ["self": .tensor(sum), "other": .literal(.real(try call.real("bias", 1)))])
    sum = try graph.call(
      "aten::pow.Tensor_Scalar", ["self": .tensor(sum), "exponent": .literal(.real(try call.real("beta", 0.75)))])
    return [try graph.call("aten::div.Tensor", ["self": .tensor(input), "other": .tensor(sum)])]
  }

  private static func unit(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    let axis = try call.axis(try call.integer("axis", -1), rank: input.rank)
    let norm = try graph.call(
      "aten::linalg_vector_norm",
      [
        "self": .tensor(input), "ord": .literal(.real(Double(try call.integer("p", 2)))),
        "dim": .literal(.integers([axis])), "keepdim": .literal(.boolean(true))
      ])
    return [try graph.call("aten::div.Tensor", ["self": .tensor(input), "other": .tensor(norm)])]
  }

  private static func dropout(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    try call.requireOneResult()
    let standard = try call.real("ratio", 0.5)
    let ratio = call.optional(1)?.number ?? standard
    guard ratio > 0 else { return [try call.input(0)] }
    return [
      try graph.call(
        "aten::dropout",
        [
          "input": .tensor(try call.input(0)), "p": .literal(.real(ratio)), "train": .literal(.boolean(false))
        ])
    ]
  }
}
