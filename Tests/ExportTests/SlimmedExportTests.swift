import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchExport

extension ONNXRuntimeTests {
  @Test(
    "sees the same in 256 real images after pruning, slimming, saving and loading",
    .enabled(if: Datasets.find(.fashionMNIST, split: .test) != nil, "Fashion-MNIST is absent"),
    arguments: [ModelName.vgg16BN, .resnet18, .resnet18ImageNet, .resnet50, .resnet50ImageNet])
  func slimmed(_ model: ModelName) throws {
    let train = try Datasets.load(.fashionMNIST, split: .train).prefix(64)
    let network = Network(model.architecture(input: [1, 28, 28], classes: 10), seed: 3)
    var target = PruningTarget(keepRatio: try KeepRatio(0.25))
    target.granularity = .group
    var method = BiP(target)
    method.batchSize = 16
    method.epochs = 1
    let learner = try method.training(network, on: train, seed: 1, precision: .float32)
    for batch in 0..<2 { _ = try learner.step(at: LoaderPosition(batch: batch)) }
    learner.finish()
    network.isTraining = false

    let slimmed = try Slimming(policy: .groupScore).slim(network, mask: learner.mask)
    #expect(slimmed.report.after.parameters * 3 < slimmed.report.before.parameters)
    let folder = try TemporaryFolder()
    try ModelFile(slimmed.network, classNames: train.classNames).write(to: folder / "slim.safetensors")
    let loaded = try ModelFile(contentsOf: folder / "slim.safetensors").network
    #expect(loaded.architecture == slimmed.network.architecture)

    let images = try Datasets.load(.fashionMNIST, split: .test).images[0..<256].to(.float32) * (1.0 / 255)
    try expectSameAnswers(loaded, on: images)
  }
}
