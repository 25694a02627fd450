import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("The programs that the pages print") struct ProgramTests {
  @Test("train and prune a network, attack, certify and export it")
  func models() throws {
    let folder = try TemporaryFolder()
    let weights = folder / "model.safetensors"
    let (accuracy, mask) = try trainAndPrune(in: folder.url)
    #expect(accuracy.count == 256 && accuracy.fraction > 0.5)
    #expect(mask.keptCount == (try KeepRatio(0.1)).kept(of: mask.layout.count))

    let report = try attack(weights)
    #expect(report.clean.count == 20 && report.robust.correct <= report.clean.correct)

    let (certified, count) = try certify(weights)
    #expect(count == 10 && (0...count).contains(certified))
    #expect(try certify(weights, in: folder / "certify")?.images == 10)

    try exportONNX(weights, to: folder / "model.onnx")
    #expect(try Data(contentsOf: folder / "model.onnx").count > 10_000)

    try pruneFile(weights, to: folder / "pruned.safetensors")
    let pruned = try ModelFile(contentsOf: folder / "pruned.safetensors").network
    #expect(mask.layout.weights(of: pruned).nonzeroCount() == mask.keptCount)
  }

  @Test("perform a pruning study, a denoiser's evaluation, a certification and a cryo-EM study")
  func experiments() throws {
    let folder = try TemporaryFolder()
    let outcomes = try performExperiments(in: folder.url)
    #expect(try #require(outcomes.pruning).cells.count == 4)
    let red = try #require(outcomes.red?.groups?[.seen])
    #expect(red.cells > 0 && (0...1).contains(red.paBenignCellMean))
    #expect(outcomes.certified?.figures.images == 10)
    let best = try #require(outcomes.cryo?.main["oracle"]?["60"]?.mean)
    #expect(try #require(outcomes.cryo?.main["random"]?["60"]?.mean) <= best)
    for name in ["study", "red", "certified", "plans"] {
      #expect(try RunFolder(existing: folder / name).record().outcome == .completed)
    }
  }

  @Test("plan a session that finds most of what could be found")
  func session() throws {
    let (good, possible) = try plan()
    #expect(good > 0 && good <= possible && Double(good) > 0.7 * Double(possible))
  }

  @Test(
    "take the first images of Fashion-MNIST", .enabled(if: Datasets.find(.fashionMNIST) != nil, "no Fashion-MNIST"))
  func images() throws {
    let (runs, train, test) = try firstImages()
    #expect(runs.lastPathComponent == "runs" && train.count == 2000 && test.count == 1000)
  }

  @Test("prune a saved network to the fraction asked for, and save what classifies the same")
  func firstModel() throws {
    let folder = try TemporaryFolder()
    let runs = folder.url
    try FileManager.default.createDirectory(
      at: runs.appending(path: "dense"), withIntermediateDirectories: true)
    var options = DataOptions()
    options.synthetic.trainCount = 64
    options.synthetic.testCount = 40
    options.synthetic.side = 16
    let train = try Datasets.load(.synthetic, split: .train, options: options)
    let test = try Datasets.load(.synthetic, split: .test, options: options)
    let network = Network(ModelName.resnet20.architecture(input: [3, 16, 16], classes: 10), seed: 1)
    try ModelFile(network, classNames: train.classNames)
      .write(to: runs.appending(path: "dense/model.safetensors"))

    let (dense, pruned, mask) = try firstPrunedModel(in: runs, train: train, test: test)
    #expect(dense.count == 40)
    #expect(mask.keptCount == (try KeepRatio(0.1)).kept(of: mask.layout.count))

    let saved = try ModelFile(contentsOf: runs.appending(path: "pruned.safetensors"))
    #expect(saved.classNames == train.classNames)
    #expect(mask.layout.weights(of: saved.network).nonzeroCount() == mask.keptCount)
    #expect(try test.accuracy(of: InferencePlan(saved.network).callAsFunction) == pruned)
    let savedMask = try Mask(contentsOf: runs.appending(path: "mask.safetensors"), for: saved.network)
    #expect(savedMask.values.isEqual(to: mask.values))
  }
}
