import QuenchTorch
import QuenchVision
import Testing

@Suite("Model zoo")
struct ModelZooTests {
  struct Counts: CustomTestStringConvertible {
    let model: ModelName
    let classes: Int
    let size: Int
    let prunable: Int
    let total: Int
    let multiplyAdds: Int
    var testDescription: String { "\(model.rawValue), \(classes) classes, \(size) pixels" }
  }

  /// Counts of the same networks in PyTorch: convolutions and linear layers are prunable. The published Wide ResNet has
  /// an unused block of 1.6 M weights, so it is left out.
  static let published = [
    Counts(model: .resnet20, classes: 10, size: 32, prunable: 268_336, total: 269_722, multiplyAdds: 40_551_040),
    Counts(model: .resnet20, classes: 100, size: 32, prunable: 274_096, total: 275_572, multiplyAdds: 40_556_800),
    Counts(model: .resnet56, classes: 10, size: 32, prunable: 848_944, total: 853_018, multiplyAdds: 125_485_696),
    Counts(
      model: .resnet18, classes: 10, size: 32, prunable: 11_164_352, total: 11_173_962, multiplyAdds: 555_422_720),
    Counts(
      model: .resnet18, classes: 200, size: 64, prunable: 11_261_632, total: 11_271_432, multiplyAdds: 2_221_772_800
    ),
    Counts(
      model: .resnet18ImageNet, classes: 1000, size: 224, prunable: 11_678_912, total: 11_689_512,
      multiplyAdds: 1_814_073_344),
    Counts(
      model: .resnet50, classes: 10, size: 32, prunable: 23_467_712, total: 23_520_842, multiplyAdds: 1_297_829_888),
    Counts(
      model: .resnet50ImageNet, classes: 1000, size: 224, prunable: 25_502_912, total: 25_557_032,
      multiplyAdds: 4_089_184_256),
    Counts(
      model: .vgg16BN, classes: 10, size: 32, prunable: 15_302_848, total: 15_311_818, multiplyAdds: 313_788_928)
  ]

  @Test("parameters and multiply-adds are the published ones", arguments: published)
  func counts(_ expected: Counts) {
    let architecture = expected.model.architecture(
      input: [3, expected.size, expected.size], classes: expected.classes)
    #expect(architecture.parameterCount == expected.total)
    #expect(architecture.multiplyAdds == expected.multiplyAdds)
    #expect(architecture.outputShape == [expected.classes])
    if expected.size == 32 && expected.model != .resnet50 {
      let network = Network(architecture, seed: 1)
      #expect(network.prunable.reduce(0) { $0 + network.parameters[$1].tensor.count } == expected.prunable)
    }
  }

  /// Learned numbers of torchvision 0.29's networks of 1,000 classes and of pytorch-cifar-models' of ten.
  static let collections: [(ModelName, Int)] = [
    (.resnet34ImageNet, 21_797_672), (.resnet101ImageNet, 44_549_160), (.resnet152ImageNet, 60_192_808),
    (.wideResNet50x2, 68_883_240), (.wideResNet101x2, 126_886_696), (.resNeXt50, 25_028_904),
    (.resNeXt101, 88_791_336), (.vgg11, 132_863_336), (.vgg13, 133_047_848), (.vgg16, 138_357_544),
    (.vgg19, 143_667_240), (.vgg11BatchNorm, 132_868_840), (.vgg13BatchNorm, 133_053_736),
    (.vgg16BatchNorm, 138_365_992), (.vgg19BatchNorm, 143_678_248), (.cifarResNet20, 272_474),
    (.cifarResNet32, 466_906), (.cifarResNet44, 661_338), (.cifarResNet56, 855_770), (.cifarVGG11, 9_756_426),
    (.cifarVGG13, 9_941_322), (.cifarVGG16, 15_253_578), (.cifarVGG19, 20_565_834), (.cifarRepVGGA0, 7_840_874),
    (.cifarRepVGGA1, 12_824_202), (.cifarRepVGGA2, 26_815_690), (.preactResNet18, 11_171_146)
  ]

  @Test("networks of public collections have as many parameters as there") func publicCollections() throws {
    for (model, count) in Self.collections {
      #expect(model.usualArchitecture.parameterCount == count, "\(model.rawValue)")
      try model.usualArchitecture.validate(at: model.rawValue)
    }
  }

  @Test("every model answers for 1 and 3 channels and any class count", arguments: ModelName.allCases)
  func answers(_ model: ModelName) {
    for channels in [1, 3] {
      let size = model.takesLargeImages ? 64 : 32
      let architecture = model.architecture(input: [channels, size, size], classes: 7)
      guard architecture.parameterCount < 12_000_000 else { continue }
      let network = Network(architecture, seed: 3)
      let x = Tensor.uniform([2, channels, size, size], using: Generator(seed: 1))
      let y = withoutGradient { network(x) }
      #expect(y.shape == [2] + architecture.outputShape)
      #expect(y.isFinite().all())
    }
  }

  /// Batch-norm statistics and affine values as after training, so that folding has something to get wrong.
  static func trained(_ model: ModelName, input: [Int]) -> Network {
    let architecture = model.architecture(input: input, classes: 10)
      .normalizing(
        mean: Array(repeating: 0.45, count: input[0]), standardDeviation: Array(repeating: 0.25, count: input[0]))
    let network = Network(architecture, seed: 5)
    let generator = Generator(seed: 9)
    withoutGradient {
      for entry in network.parameters where entry.tensor.rank == 1 {
        let mean = entry.name.hasSuffix("weight") ? 1.0 : 0
        entry.tensor.fillNormal(mean: mean, standardDeviation: 0.2, using: generator)
      }
      for entry in network.buffers where entry.tensor.rank == 1 {
        if entry.name.hasSuffix("running_var") {
          entry.tensor.fillUniform(0.5, 2, using: generator)
        } else {
          entry.tensor.fillNormal(standardDeviation: 0.3, using: generator)
        }
      }
    }
    return network
  }

  @Test(
    "a folded network and an inference plan answer as the eager network does",
    arguments: [ModelName.resnet20, .resnet18, .vgg16BN, .wideResNet16x4, .smallCNN, .dncnn])
  func plan(_ model: ModelName) {
    let network = Self.trained(model, input: [3, 32, 32])
    let x = Tensor.uniform([5, 3, 32, 32], using: Generator(seed: 2))
    let expected = withoutGradient { network(x) }
    let largest = expected.abs().max().item()
    let folded = withoutGradient { network.foldingBatchNorm()(x) }
    #expect((folded - expected).abs().max().item() <= 1e-4 * largest)
    let plan = InferencePlan(network, dtype: .float32)
    #expect((plan(x) - expected).abs().max().item() <= 1e-4 * largest)
    #expect(plan(x).isEqual(to: plan(x)), "a plan must not overwrite what it was given")
  }
}
