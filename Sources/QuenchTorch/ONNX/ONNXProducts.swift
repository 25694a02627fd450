import QuenchSupport

/// Matrix products.
enum ONNXProducts {
  static let rules: [String: ONNXRule] = [
    "Gemm": ONNXRule(general), "MatMul": ONNXRule(product), "Einsum": ONNXRule(einsum)
  ]

  /// With weights as PyTorch keeps a linear layer's, `[outputs, inputs]`.
  private static func general(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var (a, b) = (try call.input(0), try call.input(1))
    guard a.rank == 2, b.rank == 2 else {
      throw call.fail("the operands are no matrices", found: "\(a.rank) and \(b.rank) dimensions")
    }
    let (alpha, beta) = (try call.real("alpha", 1), try call.real("beta", 1))
    if try call.integer("transA", 0) != 0 { a = try graph.transposed(a) }
    if try call.integer("transB", 0) == 0 { b = try graph.transposed(b) }
    if alpha != 1 { b = try scaled(b, by: alpha, &graph) }
    var bias = call.optional(2)
    if let value = bias, beta != 1 { bias = try scaled(value, by: beta, &graph) }
    let isVector = bias.map { $0.rank == 1 && $0.size(0) != nil && $0.size(0) == b.size(0) } ?? true
    let result = try graph.call(
      "aten::linear",
      [
        "input": .tensor(a), "weight": .weight(b, "weight"),
        "bias": isVector ? bias.map { .weight($0, "bias") } ?? .literal(.none) : .literal(.none)
      ])
    guard !isVector, let bias else { return [result] }
    return [try graph.call("aten::add.Tensor", ["self": .tensor(result), "other": .weight(bias, "bias")])]
  }

  private static func scaled(
    _ value: ONNXValue, by factor: Double, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    try graph.call("aten::mul.Tensor", ["self": .tensor(value), "other": .literal(.real(factor))])
  }

  private static func product(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let (a, b) = (try call.input(0), try call.input(1))
    if case .tensor = a, case .constant(let constant) = b, constant.tensor.rank == 2,
      constant.tensor.dtype.isFloatingPoint
    {
      return [
        try graph.call(
          "aten::linear",
          [
            "input": .tensor(a), "weight": .weight(try graph.transposed(b), "weight"), "bias": .literal(.none)
          ])
      ]
    }
    return [try graph.call("aten::matmul", ["self": .tensor(a), "other": .tensor(b)])]
  }

  private static func einsum(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var tensors: [ONNXValue] = []
    for index in call.inputs.indices { tensors.append(try call.input(index)) }
    return [
      try graph.call(
        "aten::einsum",
        ["equation": .literal(.string(try call.text("equation", ""))), "tensors": .tensors(tensors)])
    ]
  }
}
