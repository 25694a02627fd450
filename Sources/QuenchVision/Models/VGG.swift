import QuenchTorch

/// The depths of Simonyan and Zisserman 2015, table 1: convolutions and linear layers.
enum VGGDepth {
  case eleven, thirteen, sixteen, nineteen

  /// The convolutions' channels, in five stages with a pooling after each.
  /// - Parameter width: Channels of the first stage; 64 as published.
  func stages(width: Int = 64) -> [[Int]] {
    let counts =
      switch self {
      case .eleven: [1, 1, 2, 2, 2]
      case .thirteen: [2, 2, 2, 2, 2]
      case .sixteen: [2, 2, 3, 3, 3]
      case .nineteen: [2, 2, 4, 4, 4]
      }
    return zip([1, 2, 4, 8, 8], counts).map { Array(repeating: width * $0, count: $1) }
  }
}

extension Architecture {
  /// VGG by torchvision's names.
  /// - Parameters:
  ///   - depth: Which.
  ///   - batchNorm: Whether a batch norm follows each convolution.
  ///   - small: For small images: linear layers of 512 on the mean over the image, instead of 4,096 on a grid of 7 × 7.
  ///   - name: Its name.
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  static func vgg(
    _ depth: VGGDepth, batchNorm: Bool, small: Bool, _ name: String, input: [Int], classes: Int
  ) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.vggFeatures(depth.stages(), bias: true, batchNorm: batchNorm, poolsLast: true)
    x = net.append("flatten", .flatten, net.append("avgpool", .adaptiveAveragePool(size: small ? 1 : 7), x))
    x = net.relu("classifier.1", net.linear("classifier.0", x, small ? 512 : 4096))
    x = net.relu("classifier.4", net.linear("classifier.3", x, small ? 512 : 4096))
    x = net.linear("classifier.6", x, classes)
    return net.build(name, initialization: .init(convolution: .kaimingFanOut, linear: .smallNormal))
  }

  /// VGG-16 with batch norm for small images: four poolings, a 2×2 average grid, three linear layers.
  /// - Parameters:
  ///   - width: Channels of the first stage; each linear layer has four times as many outputs.
  ///   - name: Its name.
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  public static func vgg16BN(
    width: Int = 64, _ name: String = "vgg16-bn", input: [Int], classes: Int
  ) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.vggFeatures(VGGDepth.sixteen.stages(width: width), bias: false, batchNorm: true, poolsLast: false)
    x = net.append("flatten", .flatten, net.append("avgpool", .adaptiveAveragePool(size: 2), x))
    x = net.relu("classifier.1", net.linear("classifier.0", x, 4 * width))
    x = net.relu("classifier.3", net.linear("classifier.2", x, 4 * width))
    x = net.linear("classifier.4", x, classes)
    return net.build(name, initialization: .init(convolution: .kaimingFanOut, linear: .smallNormal))
  }

  /// RepVGG (Ding et al. 2021) as it is trained, for small images: each block sums a 3×3 convolution, a 1×1 convolution
  /// and, where shapes allow, its input, each normalized.
  /// - Parameters:
  ///   - widths: What multiplies 64, 128, 256 and 512 channels.
  ///   - name: Its name.
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  static func repVGG(widths: [Double], _ name: String, input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    let channels = zip([64, 128, 256, 512], widths).map { Int(Double($0) * $1) }
    var x = net.repVGGBlock("stage0", net.input, min(64, channels[0]), stride: 1)
    for (stage, (width, count)) in zip(channels, [2, 4, 14, 1]).enumerated() {
      for block in 0..<count {
        let stride = stage > 0 && block == 0 ? 2 : 1
        x = net.repVGGBlock("stage\(stage + 1).\(block)", x, width, stride: stride)
      }
    }
    x = net.linear("linear", net.globalAverage(x), classes)
    return net.build(name)
  }
}

extension ArchitectureBuilder {
  /// The convolutions of a VGG, numbered as PyTorch numbers a sequence.
  fileprivate mutating func vggFeatures(
    _ stages: [[Int]], bias: Bool, batchNorm: Bool, poolsLast: Bool
  ) -> Value {
    var x = input
    var index = 0
    for (stage, widths) in stages.enumerated() {
      for width in widths {
        x = conv("features.\(index)", x, width, bias: bias)
        index += 1
        if batchNorm {
          x = self.batchNorm("features.\(index)", x)
          index += 1
        }
        x = relu("features.\(index)", x)
        index += 1
      }
      guard poolsLast || stage < stages.count - 1 else { continue }
      x = append("features.\(index)", .maxPool(kernel: 2, stride: 2, padding: 0), x)
      index += 1
    }
    return x
  }

  fileprivate mutating func repVGGBlock(_ name: String, _ x: Value, _ width: Int, stride: Int) -> Value {
    let dense = batchNorm("\(name).rbr_dense.bn", conv("\(name).rbr_dense.conv", x, width, stride: stride))
    let point = batchNorm("\(name).rbr_1x1.bn", conv("\(name).rbr_1x1.conv", x, width, kernel: 1, stride: stride))
    var sum = add("\(name).add", dense, point)
    if stride == 1, x.channels == width {
      sum = add("\(name).add_identity", sum, batchNorm("\(name).rbr_identity", x))
    }
    return relu("\(name).nonlinearity", sum)
  }
}
