import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchPruning

@Suite("Counts after cutting")
struct SlimmingCountTests {
  struct Counts: CustomTestStringConvertible {
    let model: ModelName
    let innerOnly: Bool
    var classes = 10
    var side = 32
    var prunable: Int?
    let total: Int
    let multiplyAdds: Int
    var testDescription: String { "\(model.rawValue), \(innerOnly ? "inner" : "all") channels halved" }
  }

  /// Computed with PyTorch; the ImageNet ResNet-18 is what Torch-Pruning prints for the same cut.
  static let published = [
    Counts(model: .resnet20, innerOnly: true, prunable: 134_704, total: 135_754, multiplyAdds: 20_497_024),
    Counts(model: .resnet56, innerOnly: true, prunable: 425_008, total: 428_074, multiplyAdds: 62_964_352),
    Counts(model: .resnet18, innerOnly: true, prunable: 5_671_616, total: 5_679_306, multiplyAdds: 281_744_384),
    Counts(model: .resnet18, innerOnly: false, prunable: 2_792_800, total: 2_797_610, multiplyAdds: 139_299_328),
    Counts(
      model: .resnet18ImageNet, innerOnly: false, classes: 1000, side: 224, prunable: nil, total: 3_055_880,
      multiplyAdds: 483_149_824),
    Counts(model: .vgg16BN, innerOnly: true, prunable: 4_008_288, total: 4_013_034, multiplyAdds: 79_071_744)
  ]

  @Test("are the published ones", arguments: published)
  func counts(_ expected: Counts) throws {
    let architecture = expected.model.architecture(
      input: [3, expected.side, expected.side], classes: expected.classes)
    let groups = try ChannelGroups(architecture)
    var removed = Set<Int>()
    for group in groups.groups where group.sources.allSatisfy(groups.convolutions.contains) {
      guard group.isInner || !expected.innerOnly else { continue }
      for tier in group.tiers where !groups.coupled[tier[0]].isFrozen {
        removed.formUnion(tier.prefix(tier.count / 2))
      }
    }
    var cut = ChannelCut(groups, removing: removed)
    let slim = Network(Architecture(name: "slim", graph: cut.graph()), seed: 0)
    try slim.architecture.validate(at: "slim")
    try slim.measure()
    #expect(slim.architecture.parameterCount == expected.total)
    #expect(slim.architecture.multiplyAdds == expected.multiplyAdds)
    let weights = slim.prunable.reduce(0) { $0 + slim.parameters[$1].tensor.count }
    #expect(weights == expected.prunable ?? weights)
  }

  @Test("follow from a real cut of a real network as well")
  func cut() throws {
    let network = SlimmingFixture.network(.cifarResNet(depth: 20, input: [3, 32, 32], classes: 10), dtype: .float32)
    let mask = try GroupMasks(network, side: .inputs, innerOnly: true)
      .mask(scores: SlimmingFixture.magnitudes(network), keeping: try KeepRatio(0.5))
    let report = try Slimming().slim(network, mask: mask).report
    #expect(report.after == .init(parameters: 135_754, weights: 134_704, multiplyAdds: 20_497_024))
    #expect(report.before == .init(parameters: 269_722, weights: 268_336, multiplyAdds: 40_551_040))
    #expect(report.difference.relative <= 1e-5)
  }
}
