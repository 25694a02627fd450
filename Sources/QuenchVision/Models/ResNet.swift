import QuenchTorch

extension Architecture {
  /// The ResNets for CIFAR (He et al. 2016, section 4.2): a 3×3 stem of 16 channels, three stages of (depth - 2) /
  /// 6 basic blocks with 16, 32 and 64 channels, shortcuts without parameters (option A).
  /// - Parameters:
  ///   - depth: 20, 32, 44, 56, 110: 6n + 2.
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  public static func cifarResNet(depth: Int, input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.conv("conv1", net.input, 16)
    x = net.relu("relu", net.batchNorm("bn1", x))
    for (stage, width) in [16, 32, 64].enumerated() {
      for block in 0..<(depth - 2) / 6 {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let skip = stride == 1 ? x : net.zeroPadShortcut("\(name).shortcut", x, width)
        x = net.basicBlock(name, x, width, stride: stride, skip: skip)
      }
    }
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build("resnet\(depth)", initialization: .init(convolution: .kaimingFanIn, linear: .kaimingFanIn))
  }

  /// ResNet-18: basic blocks, projection shortcuts.
  public static func resNet18(input: [Int], classes: Int, imageNetStem: Bool) -> Architecture {
    resNet(
      "resnet18", blocks: [2, 2, 2, 2], expansion: 1, input: input, classes: classes, imageNetStem: imageNetStem)
  }

  /// ResNet-50: bottleneck blocks with the stride on the 3×3 convolution, projection shortcuts.
  public static func resNet50(input: [Int], classes: Int, imageNetStem: Bool) -> Architecture {
    resNet(
      "resnet50", blocks: [3, 4, 6, 3], expansion: 4, input: input, classes: classes, imageNetStem: imageNetStem)
  }

  private static func resNet(
    _ name: String, blocks: [Int], expansion: Int, input: [Int], classes: Int, imageNetStem: Bool
  ) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.input
    if imageNetStem {
      x = net.conv("conv1", x, 64, kernel: 7, stride: 2)
      x = net.relu("relu", net.batchNorm("bn1", x))
      x = net.append("maxpool", .maxPool(kernel: 3, stride: 2, padding: 1), x)
    } else {
      x = net.relu("relu", net.batchNorm("bn1", net.conv("conv1", x, 64)))
    }
    for (stage, (width, count)) in zip([64, 128, 256, 512], blocks).enumerated() {
      for block in 0..<count {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let changes = stride != 1 || x.channels != width * expansion
        let skip = changes ? net.projection("\(name).downsample", x, width * expansion, stride: stride) : x
        x =
          expansion == 1
          ? net.basicBlock(name, x, width, stride: stride, skip: skip)
          : net.bottleneck(name, x, width, stride: stride, skip: skip)
      }
    }
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build(
      imageNetStem ? "\(name)-imagenet" : name,
      initialization: imageNetStem ? .init(convolution: .kaimingFanOut) : .init())
  }

  /// Wide ResNet (Zagoruyko and Komodakis 2016): pre-activation blocks, batch norm before each convolution.
  /// - Parameters:
  ///   - depth: 6n + 4.
  ///   - width: How many times wider than the plain network.
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  public static func wideResNet(depth: Int, width: Int, input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.conv("conv1", net.input, 16)
    for (stage, channels) in [16, 32, 64].map({ $0 * width }).enumerated() {
      for block in 0..<(depth - 4) / 6 {
        let name = "block\(stage + 1).layer.\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let active = net.relu("\(name).relu1", net.batchNorm("\(name).bn1", x))
        let skip =
          x.channels == channels && stride == 1
          ? x : net.conv("\(name).convShortcut", active, channels, kernel: 1, stride: stride)
        var h = net.conv("\(name).conv1", active, channels, stride: stride)
        h = net.relu("\(name).relu2", net.batchNorm("\(name).bn2", h))
        x = net.add("\(name).add", net.conv("\(name).conv2", h, channels), skip)
      }
    }
    x = net.relu("relu", net.batchNorm("bn1", x))
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build("wrn-\(depth)-\(width)", initialization: .init(convolution: .kaimingFanOut))
  }
}

extension ArchitectureBuilder {
  fileprivate mutating func basicBlock(
    _ name: String, _ x: Value, _ width: Int, stride: Int, skip: Value
  ) -> Value {
    var h = conv("\(name).conv1", x, width, stride: stride)
    h = relu("\(name).relu1", batchNorm("\(name).bn1", h))
    h = batchNorm("\(name).bn2", conv("\(name).conv2", h, width))
    return relu("\(name).relu2", add("\(name).add", h, skip))
  }

  fileprivate mutating func bottleneck(
    _ name: String, _ x: Value, _ width: Int, stride: Int, skip: Value
  ) -> Value {
    var h = conv("\(name).conv1", x, width, kernel: 1)
    h = relu("\(name).relu1", batchNorm("\(name).bn1", h))
    h = conv("\(name).conv2", h, width, stride: stride)
    h = relu("\(name).relu2", batchNorm("\(name).bn2", h))
    h = batchNorm("\(name).bn3", conv("\(name).conv3", h, width * 4, kernel: 1))
    return relu("\(name).relu3", add("\(name).add", h, skip))
  }

  /// A strided 1×1 convolution with batch norm.
  fileprivate mutating func projection(_ name: String, _ x: Value, _ outputs: Int, stride: Int) -> Value {
    batchNorm("\(name).1", conv("\(name).0", x, outputs, kernel: 1, stride: stride))
  }

  /// Halves the image and puts the channels in the middle of `outputs`.
  fileprivate mutating func zeroPadShortcut(_ name: String, _ x: Value, _ outputs: Int) -> Value {
    let first = (outputs - x.channels) / 2
    let positions = Array(first..<first + x.channels)
    return append(name, .zeroPadShortcut(stride: 2, positions: positions, channels: outputs), x)
  }
}
