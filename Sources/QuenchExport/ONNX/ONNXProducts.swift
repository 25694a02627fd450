import QuenchTorch

extension ONNXWriter {
  /// Appends a linear layer, matrix product or attention; false for another operator.
  mutating func appendProduct(_ node: Node) throws(ONNXFailure) -> Bool {
    switch node.target {
    case "aten::linear": try appendLinear(node)
    case "aten::matmul": emit("MatMul", [try input(node, "self"), try input(node, "other")], node)
    case "aten::mm", "aten::bmm": emit("MatMul", [try input(node, "self"), try input(node, "mat2")], node)
    case "aten::addmm":
      emit(
        "Gemm", [try input(node, "mat1"), try input(node, "mat2"), try input(node, "self")], node, nil,
        [("alpha", .float(node.real("alpha") ?? 1)), ("beta", .float(node.real("beta") ?? 1))])
    case "aten::baddbmm":
      guard node.real("alpha") ?? 1 == 1, node.real("beta") ?? 1 == 1 else {
        throw .unsupported(node, "its factors have no form in ONNX")
      }
      let product = emit("MatMul", [try input(node, "batch1"), try input(node, "batch2")], node, "product")
      emit("Add", [product, try input(node, "self")], node)
    case "aten::einsum":
      guard case .string(let equation)? = node["equation"], case .values(let values)? = node["tensors"] else {
        throw .unsupported(node, "it has no equation")
      }
      var inputs: [String] = []
      for value in values.compactMap(\.self) { inputs.append(try name(of: value, node)) }
      emit("Einsum", inputs, node, nil, [("equation", .string(equation))])
    case "aten::scaled_dot_product_attention": try appendAttention(node)
    default: return false
    }
    return true
  }

  private mutating func appendLinear(_ node: Node) throws(ONNXFailure) {
    let (x, weight) = (try input(node, "input"), try input(node, "weight"))
    let bias = try optional(node, "bias")
    if try shape(node, "input").count == 2 {
      emit("Gemm", [x, weight] + (bias.map { [$0] } ?? []), node, nil, [("transB", .int(1))])
      return
    }
    let columns = emit("Transpose", [weight], node, "columns", [("perm", .ints([1, 0]))])
    guard let bias else {
      emit("MatMul", [x, columns], node)
      return
    }
    emit("Add", [emit("MatMul", [x, columns], node, "product"), bias], node)
  }

  /// softmax(q·kᵀ·scale + mask)·v.
  private mutating func appendAttention(_ node: Node) throws(ONNXFailure) {
    let (query, key) = (try shape(node, "query"), try shape(node, "key"))
    guard node.boolean("enable_gqa") != true, let width = query.last, query.count > 1 else {
      throw .unsupported(node, "attention with shared heads has no form here")
    }
    var order = Array(0..<key.count)
    order.swapAt(key.count - 2, key.count - 1)
    let columns = emit("Transpose", [try input(node, "key")], node, "keys", [("perm", .ints(order))])
    let scale = try number(node.real("scale") ?? 1 / Double(width).squareRoot(), node, .real, "scale")
    let scaled = emit("Mul", [try input(node, "query"), scale], node, "queries")
    var scores = emit("MatMul", [scaled, columns], node, "scores")
    if let mask = try mask(node, queries: query[query.count - 2], keys: key[key.count - 2]) {
      scores = emit("Add", [scores, mask], node, "masked")
    }
    let weights = emit("Softmax", [scores], node, "weights", [("axis", .int(-1))])
    emit("MatMul", [weights, try input(node, "value")], node)
  }

  private mutating func mask(_ node: Node, queries: Int, keys: Int) throws(ONNXFailure) -> String? {
    if node.boolean("is_causal") == true {
      let rows = (0..<queries).flatMap { row in (0..<keys).map { $0 <= row ? Float(0) : -.infinity } }
      return try builder.constant("\(node.name)/mask", Tensor(rows, shape: [queries, keys]))
    }
    guard let value = node.value("attn_mask") else { return nil }
    let mask = try name(of: value, node)
    guard trace.dtypes[value.index] == .bool else { return mask }
    let (open, closed) = (
      try number(0, node, .real, "open"), try number(-.infinity, node, .real, "closed")
    )
    return emit("Where", [mask, open, closed], node, "mask")
  }
}
