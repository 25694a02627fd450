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
  case resnet18Width16 = "resnet18-w16"
  case resnet34
  case resnet50
  case resnet101
  case resnet152
  case resnet18ImageNet = "resnet18-imagenet"
  case resnet34ImageNet = "resnet34-imagenet"
  case resnet50ImageNet = "resnet50-imagenet"
  case resnet101ImageNet = "resnet101-imagenet"
  case resnet152ImageNet = "resnet152-imagenet"
  case wideResNet50x2 = "wide_resnet50_2"
  case wideResNet101x2 = "wide_resnet101_2"
  case resNeXt50 = "resnext50_32x4d"
  case resNeXt101 = "resnext101_32x8d"
  case preactResNet18 = "preact-resnet18"
  case vgg16BN = "vgg16-bn"
  case vgg16BNWidth16 = "vgg16-bn-w16"
  case vgg11
  case vgg13
  case vgg16
  case vgg19
  case vgg11BatchNorm = "vgg11_bn"
  case vgg13BatchNorm = "vgg13_bn"
  case vgg16BatchNorm = "vgg16_bn"
  case vgg19BatchNorm = "vgg19_bn"
  case wideResNet16x4 = "wrn-16-4"
  case wideResNet28x4 = "wrn-28-4"
  case wideResNet28x10 = "wrn-28-10"
  case wideResNet34x10 = "wrn-34-10"
  case cifarResNet20 = "cifar-resnet20"
  case cifarResNet32 = "cifar-resnet32"
  case cifarResNet44 = "cifar-resnet44"
  case cifarResNet56 = "cifar-resnet56"
  case cifarVGG11 = "cifar-vgg11_bn"
  case cifarVGG13 = "cifar-vgg13_bn"
  case cifarVGG16 = "cifar-vgg16_bn"
  case cifarVGG19 = "cifar-vgg19_bn"
  case cifarRepVGGA0 = "cifar-repvgg_a0"
  case cifarRepVGGA1 = "cifar-repvgg_a1"
  case cifarRepVGGA2 = "cifar-repvgg_a2"
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
    case .resnet18, .resnet34, .resnet50, .resnet101, .resnet152:
      "ResNet with a 3x3 stem for small images (He et al. 2016)"
    case .resnet18Width16: "ResNet-18 for small images with 16 to 128 channels, a quarter of the usual"
    case .resnet18ImageNet, .resnet34ImageNet, .resnet50ImageNet, .resnet101ImageNet, .resnet152ImageNet:
      "ResNet with the 7x7 stem and max-pooling, torchvision's names"
    case .wideResNet50x2, .wideResNet101x2:
      "ResNet with bottlenecks twice as wide, torchvision's (Zagoruyko and Komodakis 2016)"
    case .resNeXt50, .resNeXt101: "ResNet with grouped convolutions, torchvision's (Xie et al. 2017)"
    case .preactResNet18: "pre-activation ResNet for small images (He et al. 2016b)"
    case .vgg16BN: "VGG-16 with batch norm for small images (Simonyan and Zisserman 2015)"
    case .vgg16BNWidth16: "VGG-16 with batch norm for small images with 16 to 128 channels, a quarter of the usual"
    case .vgg11, .vgg13, .vgg16, .vgg19: "VGG, torchvision's (Simonyan and Zisserman 2015)"
    case .vgg11BatchNorm, .vgg13BatchNorm, .vgg16BatchNorm, .vgg19BatchNorm: "VGG with batch norm, torchvision's"
    case .wideResNet16x4, .wideResNet28x4, .wideResNet28x10, .wideResNet34x10:
      "Wide ResNet, pre-activation (Zagoruyko and Komodakis 2016)"
    case .cifarResNet20, .cifarResNet32, .cifarResNet44, .cifarResNet56:
      "CIFAR ResNet with convolutions as shortcuts (He et al. 2016, option B), as pytorch-cifar-models has it"
    case .cifarVGG11, .cifarVGG13, .cifarVGG16, .cifarVGG19:
      "VGG with batch norm and linear layers of 512, as pytorch-cifar-models has it"
    case .cifarRepVGGA0, .cifarRepVGGA1, .cifarRepVGGA2:
      "RepVGG for small images (Ding et al. 2021), as pytorch-cifar-models has it"
    case .dncnn: "denoiser that predicts the noise, 17 layers (Zhang et al. 2017)"
    }
  }

  /// Whether the output is a class for each image; a denoiser answers an image.
  public var isClassifier: Bool { self != .dncnn }

  /// Whether it was made for images of 224 x 224 pixels in 1,000 classes; the others were for 32 x 32 in ten.
  public var takesLargeImages: Bool {
    switch self {
    case .resnet18ImageNet, .resnet34ImageNet, .resnet50ImageNet, .resnet101ImageNet, .resnet152ImageNet,
      .wideResNet50x2, .wideResNet101x2, .resNeXt50, .resNeXt101, .vgg11, .vgg13, .vgg16, .vgg19, .vgg11BatchNorm,
      .vgg13BatchNorm, .vgg16BatchNorm, .vgg19BatchNorm:
      true
    case .smallCNN, .resnet20, .resnet32, .resnet44, .resnet56, .resnet110, .resnet18, .resnet18Width16, .resnet34,
      .resnet50, .resnet101, .resnet152, .preactResNet18, .vgg16BN, .vgg16BNWidth16, .wideResNet16x4,
      .wideResNet28x4,
      .wideResNet28x10, .wideResNet34x10, .cifarResNet20, .cifarResNet32, .cifarResNet44, .cifarResNet56,
      .cifarVGG11, .cifarVGG13,
      .cifarVGG16, .cifarVGG19, .cifarRepVGGA0, .cifarRepVGGA1, .cifarRepVGGA2, .dncnn:
      false
    }
  }

  /// The architecture for images `[channels, height, width]` and a number of classes.
  public func architecture(input: [Int], classes: Int) -> Architecture {
    func resNet(_ form: ResNetForm) -> Architecture { .resNet(form, rawValue, input: input, classes: classes) }
    func cifar(_ depth: Int, projects: Bool = false) -> Architecture {
      .cifarResNet(depth: depth, projects: projects, input: input, classes: classes)
    }
    func wide(_ depth: Int, _ width: Int) -> Architecture {
      .wideResNet(depth: depth, width: width, input: input, classes: classes)
    }
    func vgg(_ depth: VGGDepth, batchNorm: Bool = true, small: Bool = false) -> Architecture {
      .vgg(depth, batchNorm: batchNorm, small: small, rawValue, input: input, classes: classes)
    }
    func repVGG(_ widths: [Double]) -> Architecture {
      .repVGG(widths: widths, rawValue, input: input, classes: classes)
    }
    return switch self {
    case .smallCNN: .smallCNN(input: input, classes: classes)
    case .resnet20: cifar(20)
    case .resnet32: cifar(32)
    case .resnet44: cifar(44)
    case .resnet56: cifar(56)
    case .resnet110: cifar(110)
    case .resnet18: resNet(.depth18)
    case .resnet18Width16: resNet(.depth18.ofWidth(16))
    case .resnet34: resNet(.depth34)
    case .resnet50: resNet(.depth50)
    case .resnet101: resNet(.depth101)
    case .resnet152: resNet(.depth152)
    case .resnet18ImageNet: resNet(.depth18.imageNet)
    case .resnet34ImageNet: resNet(.depth34.imageNet)
    case .resnet50ImageNet: resNet(.depth50.imageNet)
    case .resnet101ImageNet: resNet(.depth101.imageNet)
    case .resnet152ImageNet: resNet(.depth152.imageNet)
    case .wideResNet50x2: resNet(.depth50.imageNet.grouped(1, of: 128))
    case .wideResNet101x2: resNet(.depth101.imageNet.grouped(1, of: 128))
    case .resNeXt50: resNet(.depth50.imageNet.grouped(32, of: 4))
    case .resNeXt101: resNet(.depth101.imageNet.grouped(32, of: 8))
    case .preactResNet18: .preactResNet18(input: input, classes: classes)
    case .vgg16BN: .vgg16BN(input: input, classes: classes)
    case .vgg16BNWidth16: .vgg16BN(width: 16, rawValue, input: input, classes: classes)
    case .vgg11: vgg(.eleven, batchNorm: false)
    case .vgg13: vgg(.thirteen, batchNorm: false)
    case .vgg16: vgg(.sixteen, batchNorm: false)
    case .vgg19: vgg(.nineteen, batchNorm: false)
    case .vgg11BatchNorm: vgg(.eleven)
    case .vgg13BatchNorm: vgg(.thirteen)
    case .vgg16BatchNorm: vgg(.sixteen)
    case .vgg19BatchNorm: vgg(.nineteen)
    case .wideResNet16x4: wide(16, 4)
    case .wideResNet28x4: wide(28, 4)
    case .wideResNet28x10: wide(28, 10)
    case .wideResNet34x10: wide(34, 10)
    case .cifarResNet20: cifar(20, projects: true)
    case .cifarResNet32: cifar(32, projects: true)
    case .cifarResNet44: cifar(44, projects: true)
    case .cifarResNet56: cifar(56, projects: true)
    case .cifarVGG11: vgg(.eleven, small: true)
    case .cifarVGG13: vgg(.thirteen, small: true)
    case .cifarVGG16: vgg(.sixteen, small: true)
    case .cifarVGG19: vgg(.nineteen, small: true)
    case .cifarRepVGGA0: repVGG([0.75, 0.75, 0.75, 2.5])
    case .cifarRepVGGA1: repVGG([1, 1, 1, 2.5])
    case .cifarRepVGGA2: repVGG([1.5, 1.5, 1.5, 2.75])
    case .dncnn: .dnCNN(input: input)
    }
  }
}
