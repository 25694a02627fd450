import QuenchTorch

extension ONNXGraphBuilder {
  /// Appends the normalisation of images by the architecture's mean and standard deviation, a channel each.
  /// - Parameter output: The name of the value that it makes; must end as no constant's name does.
  mutating func normalize(_ images: String, _ architecture: Architecture, as output: String) throws(TooLarge) {
    guard let input = architecture.nodes.first?.name, !architecture.mean.isEmpty else {
      add("Identity", [images], as: output, named: "input")
      return
    }
    func perChannel(_ values: [Double]) -> Tensor { Tensor(values.map(Float.init), shape: [values.count, 1, 1]) }
    let mean = try constant("\(input)/mean", perChannel(architecture.mean))
    let scale = try constant("\(input)/scale", perChannel(architecture.standardDeviation.map { 1 / $0 }))
    let centered = add("Sub", [images, mean], as: "\(input)/centered", named: "\(input)/sub")
    add("Mul", [centered, scale], as: output, named: "\(input)/mul")
  }

  /// Appends what `node` computes.
  /// - Parameters:
  ///   - node: Any but the first of an architecture; its weights are constants under their own names.
  ///   - inputs: The values that it reads, with the shapes of one sample.
  ///   - output: The name of the value that it makes.
  mutating func append(
    _ node: Architecture.Node, reading inputs: [(name: String, shape: [Int])], as output: String
  ) throws(TooLarge) {
    let names = inputs.map(\.name)
    let shape = inputs.first?.shape ?? []
    let parameters = node.layer.parameters.map { "\(node.name).\($0.name)" }
    func add(_ type: String, _ inputs: [String], _ attributes: KeyValuePairs<String, Attribute> = [:]) {
      self.add(type, inputs, as: output, named: node.name, attributes)
    }
    switch node.layer {
    case .input: add("Identity", names)
    case .conv2d(let conv):
      add(
        "Conv", names + parameters,
        [
          "kernel_shape": .ints([conv.kernel, conv.kernel]), "strides": .ints([conv.stride, conv.stride]),
          "pads": .ints(.init(repeating: conv.padding, count: 4)), "group": .int(conv.groups)
        ])
    case .batchNorm(let norm):
      let statistics = ["running_mean", "running_var"].map { "\(node.name).\($0)" }
      add("BatchNormalization", names + parameters + statistics, ["epsilon": .float(norm.epsilon)])
    case .linear: add("Gemm", names + parameters, ["transB": .int(1)])
    case .relu: add("Relu", names)
    case .sigmoid: add("Sigmoid", names)
    case .tanh: add("Tanh", names)
    case .convTranspose2d(let conv):
      add(
        "ConvTranspose", names + parameters,
        [
          "kernel_shape": .ints([conv.kernel, conv.kernel]), "strides": .ints([conv.stride, conv.stride]),
          "pads": .ints(.init(repeating: conv.padding, count: 4))
        ])
    case .maxPool(let kernel, let stride, let padding):
      add(
        "MaxPool", names,
        [
          "kernel_shape": .ints([kernel, kernel]), "strides": .ints([stride, stride]),
          "pads": .ints(.init(repeating: padding, count: 4))
        ])
    case .averagePool(let kernel, let stride):
      add("AveragePool", names, ["kernel_shape": .ints([kernel, kernel]), "strides": .ints([stride, stride])])
    case .adaptiveAveragePool(size: 1): add("GlobalAveragePool", names)
    case .adaptiveAveragePool(let size):
      let windows = shape.dropFirst().map { PoolingWindows(side: $0, parts: size) }
      let regular = windows.compactMap(\.regular)
      if regular.count == 2 {
        add(
          "AveragePool", names,
          ["kernel_shape": .ints(regular.map(\.kernel)), "strides": .ints(regular.map(\.stride))])
      } else {
        try appendAveraging(windows, of: names, as: output, named: node.name)
      }
    case .flatten: add("Flatten", names, ["axis": .int(1)])
    case .imported: preconditionFailure("an imported network is not written as ONNX")
    case .add: add("Add", names)
    case .subtract: add("Sub", names)
    case .zeroPadShortcut(let stride, let positions, let channels):
      try appendShortcut(
        stride: stride, positions: positions, channels: channels, of: names, shape, as: output, named: node.name)
    }
  }
}

extension ONNXGraphBuilder {
  /// Appends the mean over windows of any sizes, as two products: rows of weights × image × columns of weights.
  private mutating func appendAveraging(
    _ windows: [PoolingWindows], of images: [String], as output: String, named node: String
  ) throws(TooLarge) {
    for window in windows { try requireRoom(for: window.elements * DType.float32.byteCount) }
    let rows = try constant("\(node)/rows", windows[0].weights)
    let columns = try constant("\(node)/columns", windows[1].weights.transposed())
    let halfway = add("MatMul", [rows] + images, as: "\(node)/averaged_rows", named: "\(node)/rows")
    add("MatMul", [halfway, columns], as: output, named: "\(node)/columns")
  }

  /// Appends ``/QuenchTorch/Layer/zeroPadShortcut(stride:positions:channels:)``.
  private mutating func appendShortcut(
    stride: Int, positions: [Int], channels: Int, of images: [String], _ shape: [Int], as output: String,
    named node: String
  ) throws(TooLarge) {
    func integers(_ name: String, _ values: [Int]) throws(TooLarge) -> String {
      try constant("\(node)/\(name)", Tensor(values))
    }
    var picked = images
    if stride > 1 {
      picked += [
        try integers("begins", [0, 0]), try integers("ends", Array(shape.dropFirst())),
        try integers("axes", [2, 3]), try integers("steps", [stride, stride])
      ]
      picked = [add("Slice", picked, as: "\(node)/picked", named: "\(node)/slice")]
    }
    if let first = positions.first, positions == Array(first..<first + positions.count) {
      let pads = try integers("pads", [0, first, 0, 0, 0, channels - first - positions.count, 0, 0])
      add("Pad", picked + [pads], as: output, named: "\(node)/pad")
      return
    }
    // A channel of zeros behind the others is what those without a source read.
    var sources = [Int](repeating: positions.count, count: channels)
    for (index, position) in positions.enumerated() { sources[position] = index }
    let pads = try integers("pads", [0, 0, 0, 0, 0, 1, 0, 0])
    let padded = add("Pad", picked + [pads], as: "\(node)/padded", named: "\(node)/pad")
    let order = try integers("sources", sources)
    add("Gather", [padded, order], as: output, named: "\(node)/gather", ["axis": .int(1)])
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
