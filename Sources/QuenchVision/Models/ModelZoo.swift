import QuenchSupport
import QuenchTorch

/// The networks that can be built by name.
public enum ModelName: String, CaseIterable, Codable, Sendable {
  case smallCNN = "small-cnn"
  case resnet20
  case resnet32
  case resnet44
  case resnet56
  case resnet110
  case resnet18
  case resnet50
  case resnet18ImageNet = "resnet18-imagenet"
  case resnet50ImageNet = "resnet50-imagenet"
  case vgg16BN = "vgg16-bn"
  case wideResNet16x4 = "wrn-16-4"
  case wideResNet28x4 = "wrn-28-4"
  case wideResNet28x10 = "wrn-28-10"
  case dncnn

  /// - Throws: `InputError` that lists the names.
  public init(parsing name: String) throws(InputError) {
    guard let model = ModelName(rawValue: name) else {
      throw InputError(
        "unknown model", at: "model", expected: ModelName.allCases.map(\.rawValue).joined(separator: ", "),
        found: "'\(name)'")
    }
    self = model
  }

  /// What it is and where it comes from, in one line.
  public var summary: String {
    switch self {
    case .smallCNN: "four 3x3 convolutions and two poolings, for first tries and tests"
    case .resnet20, .resnet32, .resnet44, .resnet56, .resnet110:
      "CIFAR ResNet, widths 16/32/64, parameter-free shortcuts (He et al. 2016, section 4.2)"
    case .resnet18, .resnet50: "ResNet with a 3x3 stem for small images (He et al. 2016)"
    case .resnet18ImageNet, .resnet50ImageNet: "ResNet with the 7x7 stem and max-pooling, torchvision's names"
    case .vgg16BN: "VGG-16 with batch norm for small images (Simonyan and Zisserman 2015)"
    case .wideResNet16x4, .wideResNet28x4, .wideResNet28x10:
      "Wide ResNet, pre-activation (Zagoruyko and Komodakis 2016)"
    case .dncnn: "denoiser that predicts the noise, 17 layers (Zhang et al. 2017)"
    }
  }

  /// Whether the output is a class for each image; a denoiser answers an image.
  public var isClassifier: Bool { self != .dncnn }

  /// The architecture for images `[channels, height, width]` and a number of classes.
  public func architecture(input: [Int], classes: Int) -> Architecture {
    switch self {
    case .smallCNN: .smallCNN(input: input, classes: classes)
    case .resnet20: .cifarResNet(depth: 20, input: input, classes: classes)
    case .resnet32: .cifarResNet(depth: 32, input: input, classes: classes)
    case .resnet44: .cifarResNet(depth: 44, input: input, classes: classes)
    case .resnet56: .cifarResNet(depth: 56, input: input, classes: classes)
    case .resnet110: .cifarResNet(depth: 110, input: input, classes: classes)
    case .resnet18: .resNet18(input: input, classes: classes, imageNetStem: false)
    case .resnet50: .resNet50(input: input, classes: classes, imageNetStem: false)
    case .resnet18ImageNet: .resNet18(input: input, classes: classes, imageNetStem: true)
    case .resnet50ImageNet: .resNet50(input: input, classes: classes, imageNetStem: true)
    case .vgg16BN: .vgg16BN(input: input, classes: classes)
    case .wideResNet16x4: .wideResNet(depth: 16, width: 4, input: input, classes: classes)
    case .wideResNet28x4: .wideResNet(depth: 28, width: 4, input: input, classes: classes)
    case .wideResNet28x10: .wideResNet(depth: 28, width: 10, input: input, classes: classes)
    case .dncnn: .dnCNN(input: input)
    }
  }
}
