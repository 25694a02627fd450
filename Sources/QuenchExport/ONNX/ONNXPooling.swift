import QuenchTorch

extension ONNXWriter {
  /// Appends a pool, a mean, a sum or a norm; false for another operator.
  mutating func appendPooling(_ node: Node) throws(ONNXFailure) -> Bool {
    switch node.target {
    case "aten::max_pool2d": emit("MaxPool", [try input(node, "self")], node, nil, try windows(node))
    case "aten::avg_pool2d":
      if let divisor = node["divisor_override"], divisor != .none {
        throw .unsupported(node, "a divisor of its own has no form in ONNX")
      }
      emit("AveragePool", [try input(node, "self")], node, nil, try windows(node))
    case "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d":
      try appendAdaptivePool(node)
    case "aten::adaptive_max_pool2d":
      guard node.integers("output_size").map({ $0.allSatisfy { $0 == 1 } }) == true, node.defines.count == 1 else {
        throw .unsupported(node, "a maximum over several parts has no form in ONNX")
      }
      emit("GlobalMaxPool", [try input(node, "self")], node)
    case "aten::mean.dim", "aten::amax":
      let isMean = node.target == "aten::mean.dim"
      let rank = try shape(node, "self").count
      let axes = try axes(node)
      let keeps = node.boolean("keepdim") ?? false
      let x = try input(node, "self", as: .real)
      if isMean, rank == 4, keeps, axes == [2, 3] {
        emit("GlobalAveragePool", [x], node)
      } else {
        emit(
          isMean ? "ReduceMean" : "ReduceMax", [x], node, nil,
          [("axes", .ints(axes)), ("keepdims", .int(keeps ? 1 : 0))])
      }
    case "aten::sum.dim_IntList":
      let axes = try axes(node)
      let inputs = [try input(node, "self", as: kind(of: node)), try integers(axes, node, "axes")]
      emit("ReduceSum", inputs, node, nil, [("keepdims", .int(node.boolean("keepdim") == true ? 1 : 0))])
    case "aten::linalg_vector_norm":
      let types = [1.0: "ReduceL1", 2: "ReduceL2"]
      guard let type = types[node.real("ord") ?? 2] else {
        throw .unsupported(node, "a norm other than the first two has no form in ONNX")
      }
      let axes = try axes(node)
      emit(
        type, [try input(node, "self")], node, nil,
        [("axes", .ints(axes)), ("keepdims", .int(node.boolean("keepdim") == true ? 1 : 0))])
    default: return false
    }
    return true
  }

  /// What a mean, sum or norm runs over.
  private func axes(_ node: Node) throws(ONNXFailure) -> [Int] {
    if let axes = node.integers("dim") { return axes }
    return Array(0..<(try shape(node, "self").count))
  }

  private func windows(_ node: Node) throws(ONNXFailure) -> Attributes {
    func pair(_ name: String) -> [Int]? {
      node.integers(name).flatMap { $0.isEmpty ? nil : $0.count == 1 ? $0 + $0 : $0 }
    }
    guard let kernel = pair("kernel_size") else { throw .unsupported(node, "its windows have no size") }
    var attributes: Attributes = [
      ("kernel_shape", .ints(kernel)), ("strides", .ints(pair("stride") ?? kernel))
    ]
    let padding = pair("padding") ?? [0, 0]
    let isMean = node.target == "aten::avg_pool2d"
    if !isMean || padding != [0, 0] { attributes.append(("pads", .ints(padding + padding))) }
    if isMean, padding != [0, 0], node.boolean("count_include_pad") ?? true {
      attributes.append(("count_include_pad", .int(1)))
    }
    if let dilation = pair("dilation"), dilation != [1, 1] { attributes.append(("dilations", .ints(dilation))) }
    if node.boolean("ceil_mode") == true { attributes.append(("ceil_mode", .int(1))) }
    return attributes
  }

  private mutating func appendAdaptivePool(_ node: Node) throws(ONNXFailure) {
    let x = try input(node, "self")
    let shape = try shape(node, "self")
    let isPlane = node.target != "aten::adaptive_avg_pool1d"
    guard var parts = node.integers("output_size"), shape.count == (isPlane ? 4 : 3) else {
      throw .unsupported(node, "its parts or its images are of no fixed size")
    }
    if isPlane, parts.count == 1 { parts += parts }
    let sides = shape.dropFirst(2)
    guard parts.count == sides.count else { throw .unsupported(node, "its parts are of no fixed size") }
    if parts.allSatisfy({ $0 == 1 }) {
      emit("GlobalAveragePool", [x], node)
      return
    }
    let windows = zip(sides, parts).map { PoolingWindows(side: $0, parts: $1) }
    let regular = windows.compactMap(\.regular)
    if regular.count == windows.count {
      emit(
        "AveragePool", [x], node, nil,
        [("kernel_shape", .ints(regular.map(\.kernel))), ("strides", .ints(regular.map(\.stride)))])
    } else {
      try appendAveraging(windows, of: x, node)
    }
  }

  /// Appends the mean over windows of any sizes, as products: rows of weights × image × columns of weights.
  private mutating func appendAveraging(
    _ windows: [PoolingWindows], of images: String, _ node: Node
  ) throws(ONNXFailure) {
    for window in windows { try builder.requireRoom(for: window.elements * DType.float32.byteCount) }
    var images = images
    if windows.count == 2 {
      let rows = try builder.constant("\(node.name)/rows", windows[0].weights)
      images = emit("MatMul", [rows, images], node, "averaged_rows")
    }
    let columns = try builder.constant(
      "\(node.name)/columns", windows[windows.count - 1].weights.transposed())
    emit("MatMul", [images, columns], node)
  }
}

/// The windows along one side of an image that adaptive pooling takes means over: part `i` begins at ⌊i·side/parts⌋ and
/// ends before ⌈(i + 1)·side/parts⌉.
struct PoolingWindows {
  let side: Int
  let parts: Int

  private var windows: [Range<Int>] {
    (0..<parts).map { $0 * side / parts..<(($0 + 1) * side + parts - 1) / parts }
  }

  /// Kernel and stride, where all windows are of one size and equally far apart.
  var regular: (kernel: Int, stride: Int)? {
    let windows = windows
    let kernel = windows[0].count
    let stride = parts == 1 ? 1 : windows[1].lowerBound
    let isRegular = windows.enumerated().allSatisfy { $1 == $0 * stride..<$0 * stride + kernel }
    return stride > 0 && isRegular ? (kernel, stride) : nil
  }

  /// The number of elements of ``weights``.
  var elements: Int { parts * side }

  /// What each pixel counts in each mean, `[parts, side]`.
  var weights: Tensor {
    var values = [Float](repeating: 0, count: elements)
    for (part, window) in windows.enumerated() {
      for pixel in window { values[part * side + pixel] = 1 / Float(window.count) }
    }
    return Tensor(values, shape: [parts, side])
  }
}
