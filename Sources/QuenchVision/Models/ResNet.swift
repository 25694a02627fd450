import QuenchTorch

/// Which ResNet of four stages.
struct ResNetForm {
  /// Blocks in each stage.
  var blocks: [Int]
  /// Whether blocks are bottlenecks of three convolutions, four times as wide outside.
  var isBottleneck = true
  /// Channels of the stem and of the first stage's blocks; each later stage has twice as many.
  var width = 64
  /// The 7×7 stem with pooling, for large images.
  var hasImageNetStem = false
  /// Of the 3×3 convolution in a bottleneck: how many, and how wide in the first stage.
  var groups = 1
  var groupWidth = 64

  static let depth18 = ResNetForm(blocks: [2, 2, 2, 2], isBottleneck: false)
  static let depth34 = ResNetForm(blocks: [3, 4, 6, 3], isBottleneck: false)
  static let depth50 = ResNetForm(blocks: [3, 4, 6, 3])
  static let depth101 = ResNetForm(blocks: [3, 4, 23, 3])
  static let depth152 = ResNetForm(blocks: [3, 8, 36, 3])

  var imageNet: ResNetForm {
    var form = self
    form.hasImageNetStem = true
    return form
  }

  func ofWidth(_ width: Int) -> ResNetForm {
    var form = self
    form.width = width
    return form
  }

  func grouped(_ groups: Int, of width: Int) -> ResNetForm {
    var form = self
    (form.groups, form.groupWidth) = (groups, width)
    return form
  }
}

extension Architecture {
  /// The ResNets for CIFAR (He et al. 2016, section 4.2): a 3×3 stem of 16 channels, three stages of (depth - 2) /
  /// 6 basic blocks with 16, 32 and 64 channels.
  /// - Parameters:
  ///   - depth: 20, 32, 44, 56, 110: 6n + 2.
  ///   - projects: Whether shortcuts that change the shape are convolutions (option B), or have no parameters (option A).
  ///   - input: `[channels, height, width]` of one image.
  ///   - classes: How many.
  public static func cifarResNet(
    depth: Int, projects: Bool = false, input: [Int], classes: Int
  ) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.conv("conv1", net.input, 16)
    x = net.relu("relu", net.batchNorm("bn1", x))
    for (stage, width) in [16, 32, 64].enumerated() {
      for block in 0..<(depth - 2) / 6 {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        var skip = x
        if stride > 1 {
          skip =
            projects
            ? net.projection("\(name).downsample", x, width, stride: stride)
            : net.zeroPadShortcut("\(name).shortcut", x, width)
        }
        x = net.basicBlock(name, x, width, stride: stride, skip: skip)
      }
    }
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build(
      "\(projects ? "cifar-" : "")resnet\(depth)",
      initialization: .init(convolution: .kaimingFanIn, linear: .kaimingFanIn))
  }

  /// A ResNet of four stages (He et al. 2016), the stride of bottlenecks on the 3×3 convolution, projection shortcuts.
  static func resNet(_ form: ResNetForm, _ name: String, input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.input
    if form.hasImageNetStem {
      x = net.conv("conv1", x, form.width, kernel: 7, stride: 2)
      x = net.relu("relu", net.batchNorm("bn1", x))
      x = net.append("maxpool", .maxPool(kernel: 3, stride: 2, padding: 1), x)
    } else {
      x = net.relu("relu", net.batchNorm("bn1", net.conv("conv1", x, form.width)))
    }
    for (stage, count) in form.blocks.enumerated() {
      let width = form.width << stage
      let outputs = form.isBottleneck ? 4 * width : width
      for block in 0..<count {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let changes = stride != 1 || x.channels != outputs
        let skip = changes ? net.projection("\(name).downsample", x, outputs, stride: stride) : x
        x =
          form.isBottleneck
          ? net.bottleneck(name, x, width * form.groupWidth / 64, form, outputs, stride: stride, skip: skip)
          : net.basicBlock(name, x, width, stride: stride, skip: skip)
      }
    }
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build(name, initialization: form.hasImageNetStem ? .init(convolution: .kaimingFanOut) : .init())
  }

  /// ResNet-18 of pre-activation blocks for small images (He et al. 2016b): batch norm before each convolution, none after
  /// the last.
  static func preactResNet18(input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.conv("conv1", net.input, 64)
    for (stage, width) in [64, 128, 256, 512].enumerated() {
      for block in 0..<2 {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        let active = net.relu("\(name).relu1", net.batchNorm("\(name).bn1", x))
        let skip =
          stride == 1 ? x : net.conv("\(name).shortcut.0", active, width, kernel: 1, stride: stride)
        x = net.preactivated(name, active, width, stride: stride, skip: skip)
      }
    }
    x = net.linear("linear", net.globalAverage(x), classes)
    return net.build("preact-resnet18")
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
        x = net.preactivated(name, active, channels, stride: stride, skip: skip)
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

  /// The two convolutions of a block whose input `active` has been normalized.
  fileprivate mutating func preactivated(
    _ name: String, _ active: Value, _ width: Int, stride: Int, skip: Value
  ) -> Value {
    var h = conv("\(name).conv1", active, width, stride: stride)
    h = relu("\(name).relu2", batchNorm("\(name).bn2", h))
    return add("\(name).add", conv("\(name).conv2", h, width), skip)
  }

  fileprivate mutating func bottleneck(
    _ name: String, _ x: Value, _ groupWidth: Int, _ form: ResNetForm, _ outputs: Int, stride: Int, skip: Value
  ) -> Value {
    let width = groupWidth * form.groups
    var h = conv("\(name).conv1", x, width, kernel: 1)
    h = relu("\(name).relu1", batchNorm("\(name).bn1", h))
    let grouped = Conv2d(
      inputs: width, outputs: width, kernel: 3, stride: stride, padding: 1, groups: form.groups)
    h = append("\(name).conv2", .conv2d(grouped), h)
    h = relu("\(name).relu2", batchNorm("\(name).bn2", h))
    h = batchNorm("\(name).bn3", conv("\(name).conv3", h, outputs, kernel: 1))
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
