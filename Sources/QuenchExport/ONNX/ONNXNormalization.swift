import QuenchTorch

extension ONNXWriter {
  /// Appends the normalisation of images by the architecture's mean and standard deviation, a channel each.
  /// - Returns: What the file calls the images then.
  static func normalize(
    _ images: String, _ architecture: Architecture, in builder: inout ONNXGraphBuilder
  ) throws(ONNXFailure) -> String {
    guard !architecture.mean.isEmpty else {
      return builder.add("Identity", [images], as: ["input/output"], named: "input")[0]
    }
    func perChannel(_ values: [Double]) -> Tensor { Tensor(values.map(Float.init), shape: [values.count, 1, 1]) }
    let mean = try builder.constant("input/mean", perChannel(architecture.mean))
    let scale = try builder.constant("input/scale", perChannel(architecture.standardDeviation.map { 1 / $0 }))
    let centered = builder.add("Sub", [images, mean], as: ["input/centered"], named: "input/sub")
    return builder.add("Mul", [centered[0], scale], as: ["input/output"], named: "input/mul")[0]
  }

  /// Appends a norm or softmax; false for another operator.
  mutating func appendNormalization(_ node: Node) throws(ONNXFailure) -> Bool {
    switch node.target {
    case "aten::batch_norm", "aten::_native_batch_norm_legit_no_training":
      let channels = try shape(node, "running_mean")
      let inputs = [
        try input(node, "input"), try scale(node, "weight", channels, 1), try scale(node, "bias", channels, 0),
        try input(node, "running_mean"), try input(node, "running_var")
      ]
      emit("BatchNormalization", inputs, node, nil, [("epsilon", .float(node.real("eps") ?? 1e-5))])
    case "aten::layer_norm", "aten::native_layer_norm":
      guard let shape = node.integers("normalized_shape") else {
        throw .unsupported(node, "what it normalizes is of no fixed size")
      }
      let inputs = [
        try input(node, "input"), try scale(node, "weight", shape, 1), try scale(node, "bias", shape, 0)
      ]
      emit(
        "LayerNormalization", inputs, node, nil,
        [("axis", .int(-shape.count)), ("epsilon", .float(node.real("eps") ?? 1e-5))])
    case "aten::group_norm": try appendGroupNorm(node)
    case "aten::instance_norm":
      guard node.value("running_mean") == nil else {
        throw .unsupported(node, "running statistics of single images have no form in ONNX")
      }
      let channels = [try shape(node, "input")[1]]
      let inputs = [
        try input(node, "input"), try scale(node, "weight", channels, 1), try scale(node, "bias", channels, 0)
      ]
      emit("InstanceNormalization", inputs, node, nil, [("epsilon", .float(node.real("eps") ?? 1e-5))])
    case "aten::softmax.int", "aten::_softmax", "aten::log_softmax.int", "aten::_log_softmax":
      let type = node.target.contains("log") ? "LogSoftmax" : "Softmax"
      emit(type, [try input(node, "self", as: .real)], node, nil, [("axis", .int(node.integer("dim") ?? -1))])
    default: return false
    }
    return true
  }

  /// A norm's factor or summand; all ones or zeros where it has none.
  private mutating func scale(
    _ node: Node, _ name: String, _ shape: [Int], _ fallback: Double
  ) throws(ONNXFailure) -> String {
    if let own = try optional(node, name) { return own }
    return try builder.constant("\(node.name)/\(name)", Tensor.full(shape, fallback))
  }

  /// Each group is normalised as one channel; then come factor and summand of each channel.
  private mutating func appendGroupNorm(_ node: Node) throws(ONNXFailure) {
    let x = try input(node, "input")
    let shape = try shape(node, "input")
    guard let groups = node.integer("num_groups"), shape.count > 2 else {
      throw .unsupported(node, "it has no groups of images' channels")
    }
    let grouped = emit("Reshape", [x, try integers([0, groups, -1], node, "groups")], node, "grouped")
    let ones = try builder.constant("\(node.name)/ones", Tensor.ones([groups]))
    let zeros = try builder.constant("\(node.name)/zeros", Tensor.zeros([groups]))
    let normal = emit(
      "InstanceNormalization", [grouped, ones, zeros], node, "normalized",
      [("epsilon", .float(node.real("eps") ?? 1e-5))])
    let whole = emit("Shape", [x], node, "shape")
    var result = emit("Reshape", [normal, whole], node, "whole")
    let channels = try integers([-1] + [Int](repeating: 1, count: shape.count - 2), node, "channels")
    for (name, type) in [("weight", "Mul"), ("bias", "Add")] {
      guard let own = try optional(node, name) else { continue }
      let column = emit("Reshape", [own, channels], node, "\(name)_column")
      result = emit(type, [result, column], node, "\(name)_applied")
    }
    pass(result, node)
  }
}
