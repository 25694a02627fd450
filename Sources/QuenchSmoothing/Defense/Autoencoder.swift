import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The autoencoders of Zhang et al. 2022: strided convolutions down to a code, transposed ones back, each followed by a
/// ReLU, the last by a sigmoid.
public enum AutoencoderName: String, CaseIterable, Codable, Sendable {
  case cifar48 = "cifar-48"
  case cifar96 = "cifar-96"
  /// The paper's for CIFAR-10.
  case cifar192 = "cifar-192"
  case cifar192Wide = "cifar-192-wide"
  case cifar384 = "cifar-384"
  case cifar768 = "cifar-768"
  case cifar768Wide = "cifar-768-wide"
  case cifar1536 = "cifar-1536"
  case cifar2048 = "cifar-2048"
  /// For 28×28 grey images: MNIST, Fashion-MNIST.
  case mnist192 = "mnist-192"
  case stl576 = "stl-576"
  case imageNet1152 = "imagenet-1152"
  case imageNet1728 = "imagenet-1728"
  case imageNet2304 = "imagenet-2304"
  case imageNet3456 = "imagenet-3456"

  /// `[channels, height, width]` of one image.
  public var inputShape: [Int] {
    switch self {
    case .mnist192: [1, 28, 28]
    case .stl576: [3, 96, 96]
    case .imageNet1152, .imageNet1728, .imageNet2304, .imageNet3456: [3, 224, 224]
    default: [3, 32, 32]
    }
  }

  /// Kernel, stride and padding of each convolution, and its channels.
  private var layers: [(kernel: Int, stride: Int, padding: Int, channels: Int)] {
    let small = [(4, 4, 0), (3, 3, 2), (4, 2, 1), (2, 2, 0)]
    let (shapes, channels): ([(Int, Int, Int)], [Int]) =
      switch self {
      case .cifar48: (small, [6, 12, 24, 48])
      case .cifar96: (small, [12, 24, 48, 96])
      case .cifar192: (small, [24, 48, 96, 192])
      case .cifar192Wide: (small, [32, 48, 96, 192])
      case .cifar384: (small, [24, 48, 96])
      case .cifar768Wide: (small, [32, 48])
      case .cifar768: ([(4, 4, 0), (4, 2, 1)], [24, 48])
      case .cifar1536: (small, [24])
      case .cifar2048: (small, [32])
      case .mnist192: ([(4, 2, 1), (5, 3, 0)], [3, 12])
      case .stl576: ([(5, 3, 1), (4, 4, 0), (3, 3, 2), (4, 2, 1), (2, 2, 0)], [18, 72, 144, 288, 576])
      case .imageNet1152: (Self.large, [24, 48, 96, 192, 384, 1152])
      case .imageNet1728: (Self.large, [36, 72, 144, 288, 576, 1728])
      case .imageNet2304: (Self.large, [48, 96, 192, 384, 768, 2304])
      case .imageNet3456: (Self.large, [48, 96, 288, 576, 1152, 3456])
      }
    return zip(shapes, channels).map { ($0.0.0, $0.0.1, $0.0.2, $0.1) }
  }

  private static let large = [(8, 6, 0), (3, 2, 0), (3, 3, 0), (2, 2, 1), (2, 2, 1), (3, 3, 0)]

  /// Image to code, `[channels, height, width]` of the code.
  public var encoder: Architecture {
    var net = ArchitectureBuilder(input: inputShape)
    var x = net.input
    for (index, layer) in layers.enumerated() {
      x = net.conv(
        "encoder.\(2 * index)", x, layer.channels, kernel: layer.kernel, stride: layer.stride,
        padding: layer.padding, bias: true)
      x = net.relu("encoder.\(2 * index + 1)", x)
    }
    return net.build("\(rawValue)-encoder")
  }

  /// Code to image.
  public var decoder: Architecture {
    var net = ArchitectureBuilder(input: encoder.outputShape)
    var x = net.input
    let outputs = layers.dropLast().map(\.channels).reversed() + [inputShape[0]]
    for (index, (layer, channels)) in zip(layers.reversed(), outputs).enumerated() {
      x = net.convTranspose(
        "decoder.\(2 * index)", x, channels, kernel: layer.kernel, stride: layer.stride, padding: layer.padding)
      let name = "decoder.\(2 * index + 1)"
      x = index == layers.count - 1 ? net.sigmoid(name, x) : net.relu(name, x)
    }
    return net.build("\(rawValue)-decoder")
  }

  /// Numbers in a code.
  public var codeSize: Int { encoder.outputShape.reduce(1, *) }

  /// The smallest that takes such images; nil: none does.
  public static func usual(for shape: [Int]) -> AutoencoderName? {
    switch shape {
    case [3, 32, 32]: .cifar192
    case [1, 28, 28]: .mnist192
    case [3, 96, 96]: .stl576
    case [3, 224, 224]: .imageNet1152
    default: nil
    }
  }

  /// - Throws: `InputError` that lists the names.
  public init(parsing name: String) throws(InputError) {
    guard let known = AutoencoderName(rawValue: name) else {
      throw InputError(
        "unknown autoencoder", expected: Self.allCases.map(\.rawValue).joined(separator: ", "), found: "'\(name)'")
    }
    self = known
  }
}

/// The denoiser of Zhang et al. 2022 and of Salman et al. 2020: DnCNN with the public code's initial weights, so that a
/// fresh one answers its input unchanged.
public struct Denoiser: InlineGroup, Hashable, Sendable {
  /// Convolutions.
  public var depth = 17
  /// Channels between them.
  public var width = 64
  /// How much of a batch norm's running statistics comes from the last batch.
  public var normMomentum = 0.95

  enum CodingKeys: String, CodingKey {
    case depth = "denoiserDepth"
    case width = "denoiserWidth"
    case normMomentum
  }

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting((3...100).contains(depth), "denoiser-depth", "3 to 100", depth)
    try requireSetting((1...1024).contains(width), "denoiser-width", "1 to 1024", width)
    try requireSetting(
      normMomentum > 0 && normMomentum <= 1, "norm-momentum", "above 0 and at most 1", normMomentum)
  }

  public init(depth: Int = 17, width: Int = 64, normMomentum: Double = 0.95) {
    self.depth = depth
    self.width = width
    self.normMomentum = normMomentum
  }

  /// A fresh network for images `[channels, height, width]`: orthogonal weights, those of the last layer 0.
  public func network(input: [Int], seed: UInt64, device: Device = .cpu) -> Network {
    let architecture = Architecture.dnCNN(input: input, depth: depth, width: width, norm: (1e-4, normMomentum))
    let network = Network(architecture, seed: seed, device: device)
    let generator = Generator(seed: seed, for: "denoiser")
    withoutGradient {
      let convolutions = network.parameters.filter { $0.tensor.rank == 4 }
      for convolution in convolutions {
        convolution.tensor.copy(from: .orthogonal(convolution.tensor.shape, using: generator))
      }
      convolutions.last?.tensor.fill(with: 0)
      for bias in network.parameters where bias.name == "dncnn.0.bias" { bias.tensor.fill(with: 0) }
    }
    return network
  }
}
