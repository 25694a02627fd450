import QuenchSupport

/// Functions of single numbers, and arithmetic.
enum ONNXElementwise {
  static let rules: [String: ONNXRule] = {
    var rules: [String: ONNXRule] = [
      "Identity": ONNXRule { (_, call) throws(InputError) in [try call.input(0)] },
      "Min": chain("aten::minimum", .min),
      "Max": chain("aten::maximum", .max), "Sum": chain("aten::add.Tensor", .add), "Mean": ONNXRule(mean),
      "Pow": ONNXRule(power),
      "Where": ONNXRule(choice),
      "Not": ONNXRule { (graph, call) throws(InputError) in
        [try graph.call("aten::logical_not", ["self": .tensor(try call.input(0))])]
      }
    ]
    let plain = [
      "Sqrt": "sqrt", "Exp": "exp", "Log": "log", "Erf": "erf", "Ceil": "ceil", "Floor": "floor", "Round": "round",
      "Reciprocal": "reciprocal", "Sign": "sign", "Sin": "sin", "Cos": "cos", "Atan": "atan", "IsNaN": "isnan"
    ]
    for (name, target) in plain {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in
        [try graph.call("aten::\(target)", ["self": .tensor(try call.input(0))])]
      }
    }
    rules["Neg"] = ONNXRule { (graph, call) throws(InputError) in
      if case .sizes(let sizes) = try call.input(0) {
        var negated: [ONNXSize] = []
        for element in sizes.elements { negated.append(try graph.size(.neg, element)) }
        return [graph.value(negated, isScalar: sizes.isScalar)]
      }
      return [try graph.call("aten::neg", ["self": .tensor(try call.input(0))])]
    }
    rules["Abs"] = ONNXRule { (graph, call) throws(InputError) in
      let input = try call.input(0)
      if case .sizes = input { return [input] }
      return [try graph.call("aten::abs", ["self": .tensor(input)])]
    }
    let pairs: [(String, String, SizeArithmetic)] = [
      ("Add", "aten::add.Tensor", .add), ("Sub", "aten::sub.Tensor", .sub), ("Mul", "aten::mul.Tensor", .mul),
      ("Div", "aten::div.Tensor", .floordiv), ("Mod", "aten::remainder.Tensor", .mod)
    ]
    for (name, target, arithmetic) in pairs {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in [try binary(target, arithmetic, &graph, call)] }
    }
    let comparisons = [
      "Equal": "eq.Tensor", "Less": "lt.Tensor", "LessOrEqual": "le.Tensor", "Greater": "gt.Tensor",
      "GreaterOrEqual": "ge.Tensor", "And": "logical_and", "Or": "logical_or", "Xor": "logical_xor"
    ]
    for (name, target) in comparisons {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in
        let (a, b) = (try call.input(0), try call.input(1))
        if let known = try comparison(name, a, b, &graph) { return [known] }
        return [try graph.call("aten::\(target)", ["self": .tensor(a), "other": operand(b, beside: a)])]
      }
    }
    return rules
  }()

  /// A single number beside a tensor that hangs on images is a literal, as PyTorch writes it.
  static func operand(_ value: ONNXValue, beside other: ONNXValue) -> ONNXOperand {
    guard case .tensor(let tensor) = other, value.rank <= tensor.rank, value.dtype == tensor.dtype,
      value.dtype != .bool, let literal = value.literal
    else { return .tensor(value) }
    return .literal(literal)
  }

  private static func binary(
    _ target: String, _ arithmetic: SizeArithmetic, _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> ONNXValue {
    try combined(target, arithmetic, try call.input(0), try call.input(1), &graph, call)
  }

  private static func combined(
    _ target: String, _ arithmetic: SizeArithmetic, _ a: ONNXValue, _ b: ONNXValue, _ graph: inout ONNXLowering,
    _ call: ONNXCall
  ) throws(InputError) -> ONNXValue {
    if let sizes = try pairs(a, b, graph) {
      var results: [ONNXSize] = []
      for (first, second) in sizes { results.append(try graph.size(arithmetic, first, second)) }
      return graph.value(results, isScalar: a.rank == 0 && b.rank == 0)
    }
    if target == "aten::div.Tensor", !a.dtype.isFloatingPoint {
      return try graph.call(
        "aten::div.Tensor_mode",
        ["self": .tensor(a), "other": .tensor(b), "rounding_mode": .literal(.string("trunc"))])
    }
    if target == "aten::remainder.Tensor", try call.integer("fmod", 0) != 0 {
      return try graph.call("aten::fmod.Tensor", ["self": .tensor(a), "other": .tensor(b)])
    }
    guard !target.hasSuffix("imum") else {
      return try graph.call(target, ["self": .tensor(a), "other": .tensor(b)])
    }
    // LibTorch's operators are called with the tensor first where it makes no difference.
    if ["aten::add.Tensor", "aten::mul.Tensor"].contains(target), case .constant = a, case .tensor = b {
      return try graph.call(target, ["self": .tensor(b), "other": operand(a, beside: b)])
    }
    return try graph.call(target, ["self": operand(a, beside: b), "other": operand(b, beside: a)])
  }

  /// The elements of two short lists of integers of which one hangs on the images' shape, side by side; nil for others.
  private static func pairs(
    _ a: ONNXValue, _ b: ONNXValue, _ graph: ONNXLowering
  ) throws(InputError) -> [(ONNXSize, ONNXSize)]? {
    switch (a, b) {
    case (.sizes, _), (_, .sizes): break
    default: return nil
    }
    guard let first = graph.sizes(a), let second = graph.sizes(b) else { return nil }
    guard first.count == second.count || first.count == 1 || second.count == 1 else {
      throw graph.fail("sizes of different numbers are combined")
    }
    return (0..<(first.count == 1 ? second.count : first.count)).map {
      (first[first.count == 1 ? 0 : $0], second[second.count == 1 ? 0 : $0])
    }
  }

  /// What a comparison of sizes is known to say: sizes of tensors are at least 1. Nil for other values.
  private static func comparison(
    _ name: String, _ a: ONNXValue, _ b: ONNXValue, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue? {
    guard let pairs = try pairs(a, b, graph) else { return nil }
    var truths: [Bool] = []
    for (first, second) in pairs {
      let numbers = [first, second].compactMap(\.fixed)
      let isKnown = numbers.count == 2 || numbers.contains { $0 < 1 } || first.size == second.size
      let answers = zip(first.trials, second.trials).map { first, second in
        switch name {
        case "Equal": first == second
        case "Less": first < second
        case "LessOrEqual": first <= second
        case "Greater": first > second
        default: first >= second
        }
      }
      guard isKnown, !["And", "Or", "Xor"].contains(name), answers.allSatisfy({ $0 == answers[0] }) else {
        return nil
      }
      truths.append(answers[0])
    }
    return graph.constant(Tensor(truths, shape: a.rank == 0 && b.rank == 0 ? [] : [truths.count]), "")
  }

  private static func chain(_ target: String, _ arithmetic: SizeArithmetic) -> ONNXRule {
    ONNXRule { (graph, call) throws(InputError) in
      var result = try call.input(0)
      for index in call.inputs.indices.dropFirst() {
        result = try combined(target, arithmetic, result, try call.input(index), &graph, call)
      }
      return [result]
    }
  }

  private static func mean(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let sum = try chain("aten::add.Tensor", .add)(&graph, call)[0]
    let count = Double(call.inputs.count)
    return [try graph.call("aten::div.Tensor", ["self": .tensor(sum), "other": .literal(.real(count))])]
  }

  private static func power(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let (base, exponent) = (try call.input(0), try call.input(1))
    if let number = exponent.number, exponent.rank <= base.rank {
      let literal: OperatorGraph.Operand =
        base.dtype.isFloatingPoint || number != number.rounded() || abs(number) > 64
        ? .real(number) : .integer(Int(number))
      return [
        try graph.call("aten::pow.Tensor_Scalar", ["self": .tensor(base), "exponent": .literal(literal)])
      ]
    }
    return [try graph.call("aten::pow.Tensor_Tensor", ["self": .tensor(base), "exponent": .tensor(exponent)])]
  }

  private static func choice(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let (condition, a, b) = (try call.input(0), try call.input(1), try call.input(2))
    if case .constant(let constant) = condition, constant.tensor.count <= 1 << 10,
      let pairs = try pairs(a, b, graph)
    {
      let truths = constant.tensor.array(Bool.self)
      let count = truths.count == 1 ? pairs.count : truths.count
      guard pairs.count == count || pairs.count == 1 else {
        throw call.fail("sizes of different numbers are chosen from")
      }
      let elements = (0..<count).map { index in
        let pair = pairs[pairs.count == 1 ? 0 : index]
        return truths[truths.count == 1 ? 0 : index] ? pair.0 : pair.1
      }
      return [graph.value(elements, isScalar: condition.rank + a.rank + b.rank == 0)]
    }
    return [
      try graph.call("aten::where.self", ["condition": .tensor(condition), "self": .tensor(a), "other": .tensor(b)])
    ]
  }
}
