import QuenchSupport

/// Activation functions.
enum ONNXActivations {
  static let rules: [String: ONNXRule] = {
    var rules: [String: ONNXRule] = [
      "LeakyRelu": ONNXRule { (graph, call) throws(InputError) in
        let slope = try call.real("alpha", 0.01)
        return [
          try graph.call(
            "aten::leaky_relu", ["self": .tensor(try call.input(0)), "negative_slope": .literal(.real(slope))])
        ]
      },
      "Elu": ONNXRule { (graph, call) throws(InputError) in [try elu(&graph, call, alpha: 1, scale: 1)] },
      "Selu": ONNXRule { (graph, call) throws(InputError) in
        [try elu(&graph, call, alpha: 1.67326319217681884765625, scale: 1.05070102214813232421875)]
      },
      "Celu": ONNXRule { (graph, call) throws(InputError) in
        [
          try graph.call(
            "aten::celu",
            ["self": .tensor(try call.input(0)), "alpha": .literal(.real(try call.real("alpha", 1)))])
        ]
      },
      "ThresholdedRelu": ONNXRule { (graph, call) throws(InputError) in
        [
          try graph.call(
            "aten::threshold",
            [
              "self": .tensor(try call.input(0)), "threshold": .literal(.real(try call.real("alpha", 1))),
              "value": .literal(.real(0))
            ])
        ]
      },
      "Gelu": ONNXRule { (graph, call) throws(InputError) in
        [
          try graph.call(
            "aten::gelu",
            [
              "self": .tensor(try call.input(0)),
              "approximate": .literal(.string(try call.text("approximate", "none")))
            ])
        ]
      },
      "Softsign": ONNXRule { (graph, call) throws(InputError) in
        let input = try call.input(0)
        let size = try graph.call("aten::abs", ["self": .tensor(input)])
        let divisor = try graph.call("aten::add.Tensor", ["self": .tensor(size), "other": .literal(.real(1))])
        return [try graph.call("aten::div.Tensor", ["self": .tensor(input), "other": .tensor(divisor)])]
      },
      "HardSigmoid": ONNXRule(hardSigmoid), "PRelu": ONNXRule(parametric), "Clip": ONNXRule(clip),
      "Softmax": ONNXRule(softmax), "LogSoftmax": ONNXRule(softmax)
    ]
    let plain = [
      "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Mish": "mish", "HardSwish": "hardswish",
      "Softplus": "softplus"
    ]
    for (name, target) in plain {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in
        [try graph.call("aten::\(target)", ["self": .tensor(try call.input(0))])]
      }
    }
    return rules
  }()

  private static func elu(
    _ graph: inout ONNXLowering, _ call: ONNXCall, alpha: Double, scale: Double
  ) throws(InputError) -> ONNXValue {
    try graph.call(
      "aten::elu",
      [
        "self": .tensor(try call.input(0)), "alpha": .literal(.real(try call.real("alpha", alpha))),
        "scale": .literal(.real(try call.real("gamma", scale)))
      ])
  }

  private static func hardSigmoid(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let (alpha, beta) = (try call.real("alpha", 0.2), try call.real("beta", 0.5))
    let input = try call.input(0)
    if abs(alpha - 1.0 / 6) < 1e-6, beta == 0.5 {
      return [try graph.call("aten::hardsigmoid", ["self": .tensor(input)])]
    }
    var result = try graph.call("aten::mul.Tensor", ["self": .tensor(input), "other": .literal(.real(alpha))])
    result = try graph.call("aten::add.Tensor", ["self": .tensor(result), "other": .literal(.real(beta))])
    return [
      try graph.call(
        "aten::clamp", ["self": .tensor(result), "min": .literal(.real(0)), "max": .literal(.real(1))])
    ]
  }

  /// One slope, or one a channel.
  private static func parametric(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let (input, slope) = (try call.input(0), try call.input(1))
    if case .constant(let constant) = slope, input.rank > 1,
      constant.tensor.count == 1
        || (constant.tensor.count == input.size(1) && slope.rank == input.rank - 1
          && slope.size(0) == input.size(1))
    {
      let weight =
        slope.rank == 1
        ? slope
        : try graph.call("aten::reshape", ["self": .tensor(slope), "shape": .literal(.integers([-1]))])
      return [try graph.call("aten::prelu", ["self": .tensor(input), "weight": .weight(weight, "weight")])]
    }
    let positive = try graph.call("aten::relu", ["self": .tensor(input)])
    let negative = try graph.call("aten::sub.Tensor", ["self": .tensor(input), "other": .tensor(positive)])
    let scaled = try graph.call("aten::mul.Tensor", ["self": .tensor(negative), "other": .weight(slope, "weight")])
    return [try graph.call("aten::add.Tensor", ["self": .tensor(positive), "other": .tensor(scaled)])]
  }

  private static func clip(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var result = try call.input(0)
    var bounds: [ONNXOperand] = []
    for (name, index) in [("min", 1), ("max", 2)] {
      if call.has(name) {
        bounds.append(.literal(.real(try call.real(name, 0))))
      } else if let value = call.optional(index) {
        guard let literal = value.literal else {
          let target = name == "min" ? "aten::maximum" : "aten::minimum"
          result = try graph.call(target, ["self": .tensor(result), "other": .tensor(value)])
          bounds.append(.literal(.none))
          continue
        }
        bounds.append(.literal(literal))
      } else {
        bounds.append(.literal(.none))
      }
    }
    let isFree = bounds.allSatisfy { if case .literal(.none) = $0 { true } else { false } }
    if isFree { return [result] }
    return [try graph.call("aten::clamp", ["self": .tensor(result), "min": bounds[0], "max": bounds[1]])]
  }

  /// Before opset 13 over all dimensions from the axis on.
  private static func softmax(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let target = call.node.type == "Softmax" ? "aten::softmax.int" : "aten::log_softmax.int"
    let input = try call.input(0)
    let axis = try call.axis(try call.integer("axis", call.opset < 13 ? 1 : -1), rank: input.rank)
    guard call.opset < 13, axis + 1 < input.rank else {
      return [try graph.call(target, ["self": .tensor(input), "dim": .literal(.integer(axis))])]
    }
    let flat = try graph.call(
      "aten::flatten.using_ints",
      ["self": .tensor(input), "start_dim": .literal(.integer(axis)), "end_dim": .literal(.integer(-1))])
    let result = try graph.call(target, ["self": .tensor(flat), "dim": .literal(.integer(axis))])
    let shape = (0..<input.rank).map { graph.size(of: input, $0) }
    return [try graph.call("aten::reshape", ["self": .tensor(result), "shape": .sizes(shape)])]
  }
}
