import QuenchTorch

/// How large a node's results can be, by what its operands stay within.
struct BoundRule {
  private let node: OperatorGraph.Node
  private let tensors: [OperatorGraph.Value: Tensor]
  private let trace: GraphTrace?
  /// The operator without its overload.
  private let name: Substring

  init(_ node: OperatorGraph.Node, _ tensors: [OperatorGraph.Value: Tensor], _ trace: GraphTrace?) {
    self.node = node
    self.tensors = tensors
    self.trace = trace
    name = (node.target.split(separator: ".").first ?? "").dropFirst("aten::".count)
  }

  /// Operators that multiply. Only their operands are looked at: those of others may lie within a fused operator.
  private static let products: Set<Substring> = [
    "conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d", "linear", "addmm", "matmul", "mm", "bmm",
    "batch_norm", "_native_batch_norm_legit_no_training", "layer_norm", "native_layer_norm", "group_norm",
    "instance_norm", "mul", "scaled_dot_product_attention"
  ]
  /// What they call what they multiply.
  private static let factors = ["input", "self", "other", "mat1", "mat2", "query", "key", "value"]
  /// Operators whose results are elements of what they read, zeros, or means of them.
  private static let selections: Set<Substring> = [
    "alias", "avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "max_pool2d", "adaptive_max_pool2d",
    "mean",
    "amax", "flatten", "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "swapaxes", "slice",
    "narrow",
    "select", "index_select", "index", "gather", "contiguous", "clone", "detach", "dropout", "cat", "stack", "roll",
    "flip", "expand", "expand_as", "repeat", "chunk", "split", "split_with_sizes", "unbind", "squeeze", "unsqueeze",
    "unflatten", "unfold", "im2col", "channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "upsample_nearest2d",
    "upsample_bilinear2d", "relu", "silu", "gelu", "hardswish", "mish", "neg", "abs", "constant_pad_nd",
    "pad"
  ]
  /// Operators whose results lie within 1.
  private static let fractions: Set<Substring> = ["sigmoid", "tanh", "hardsigmoid", "softmax", "_softmax", "erf"]

  /// The values that a product multiplies; none for other operators.
  var factors: [OperatorGraph.Value] {
    Self.products.contains(name) ? Self.factors.compactMap { node.value($0) } : []
  }

  /// - Parameter bounds: By value.
  /// - Returns: No finite number where nothing is known of the operator, or an operand may be infinite.
  func bound(_ bounds: [Double]) -> Double {
    func size(_ name: String) -> Double? {
      if let value = node.value(name) { return bounds[value.index] }
      return node.real(name).map(abs)
    }
    let sizes = (node["self"] ?? node["input"] ?? node["tensors"] ?? .none).reads.map { bounds[$0.index] }
    let largest = sizes.contains { !($0 < .infinity) } ? .infinity : sizes.max() ?? .infinity
    if Self.fractions.contains(name) { return largest < .infinity ? 1 : .infinity }
    if Self.selections.contains(name) { return max(largest, node.real("value").map(abs) ?? 0) }
    switch name {
    case "conv1d", "conv2d", "conv3d", "convolution":
      let isTransposed = node.boolean("transposed") == true
      return affine(size("input"), isTransposed ? nil : "weight", outputs: 0, bias: size("bias"))
    case "conv_transpose2d": return affine(size("input"), "weight", outputs: 1, bias: size("bias"))
    case "linear": return affine(size("input"), "weight", outputs: 0, bias: size("bias"))
    case "addmm": return affine(size("mat1"), "mat2", outputs: 1, bias: size("self"))
    case "matmul", "mm", "bmm":
      guard let first = node.value("self"), let shape = trace?.shape(first), let width = shape.last else {
        return .infinity
      }
      return (size("self") ?? .infinity) * (size("other") ?? size("mat2") ?? .infinity) * Double(width)
    case "batch_norm", "_native_batch_norm_legit_no_training": return normalized(size("input"))
    case "layer_norm", "native_layer_norm":
      return standardized(size("input"), count: node.integers("normalized_shape")?.reduce(1, *), size)
    case "group_norm", "instance_norm":
      let count = node.value("input").flatMap { trace?.shape($0) }?.dropFirst().reduce(1, *)
      return standardized(size("input"), count: count, size)
    case "scaled_dot_product_attention":
      let mask = node.value("attn_mask") == nil ? 0 : size("attn_mask") ?? .infinity
      guard let query = node.value("query"), let width = trace?.shape(query)?.last, mask < .infinity else {
        return .infinity
      }
      let scores = Double(width) * (size("query") ?? .infinity) * (size("key") ?? .infinity)
      return scores < Double(Float.greatestFiniteMagnitude) ? size("value") ?? .infinity : .infinity
    case "add", "sub":
      let scale = node["alpha"] == nil ? 1 : node.real("alpha").map(abs) ?? .infinity
      return (size("self") ?? .infinity) + (size("other") ?? .infinity) * scale
    case "mul": return (size("self") ?? .infinity) * (size("other") ?? .infinity)
    case "div":
      guard let divisor = node.real("other").map(abs), divisor > 0 else { return .infinity }
      return (size("self") ?? .infinity) / divisor
    case "leaky_relu": return largest * max(1, abs(node.real("negative_slope") ?? 0.01))
    case "relu6": return largest < .infinity ? 6 : .infinity
    case "hardtanh": return clamped(largest, node.real("min_val") ?? -1, node.real("max_val") ?? 1)
    case "clamp", "clamp_min", "clamp_max": return clamped(largest, node.real("min"), node.real("max"))
    default: return .infinity
    }
  }

  private func clamped(_ bound: Double, _ low: Double?, _ high: Double?) -> Double {
    guard bound < .infinity else { return .infinity }
    guard let low, let high else { return max(bound, abs(low ?? 0), abs(high ?? 0)) }
    return max(abs(low), abs(high))
  }

  /// The largest sum of a row's sizes times the input's, and the bias.
  private func affine(_ input: Double?, _ weight: String?, outputs: Int, bias: Double?) -> Double {
    guard let input, let weight, let value = node.value(weight), let tensor = tensors[value] else {
      return .infinity
    }
    let others = (0..<tensor.rank).filter { $0 != outputs }
    return tensor.to(.float32).abs().sum(others).max().item() * input + (bias ?? 0)
  }

  private func normalized(_ input: Double?) -> Double {
    func tensor(_ name: String) -> Tensor? { node.value(name).flatMap { tensors[$0] }?.to(.float32) }
    guard let input, let mean = tensor("running_mean"), let variance = tensor("running_var") else {
      return .infinity
    }
    let scale = (tensor("weight")?.abs() ?? mean.onesLike()) / (variance + (node.real("eps") ?? 1e-5)).sqrt()
    return ((mean.abs() + input) * scale + (tensor("bias")?.abs() ?? mean.zerosLike())).max().item()
  }

  /// Of `count` numbers with mean 0 and variance 1 none is larger than √count; their squares must not run over.
  private func standardized(_ input: Double?, count: Int?, _ size: (String) -> Double?) -> Double {
    guard let input, input <= 1e15, let count else { return .infinity }
    let weight = node.value("weight") == nil ? 1 : size("weight") ?? .infinity
    let bias = node.value("bias") == nil ? 0 : size("bias") ?? .infinity
    return Double(count).squareRoot() * weight + bias
  }
}
