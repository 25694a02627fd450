import Foundation
import Pruning
import Support
import TestSupport
import Testing
import Torch
import Vision

/// The program of the article "Your first pruned model", on made-up images and a small network.
@Suite("The article's program")
struct ArticleTests {
  /// The article's own lines; only its folder and its images are named by the caller.
  static func program(
    in runs: URL, train: ImageDataset, test: ImageDataset
  ) throws -> (dense: Accuracy, pruned: Accuracy, mask: Mask) {
    let file = try ModelFile(contentsOf: runs.appending(path: "dense/model.safetensors"))
    let dense = try test.accuracy(of: InferencePlan(file.network).callAsFunction)

    var method = BiP(keepRatio: try KeepRatio(0.1))
    method.epochs = 1
    method.batchSize = 32
    let training = try method.training(file.network, on: train, seed: 1)
    let outcome = try TrainingSession().run(training)
    training.finish()  // the network now holds the masked weights

    let mask = training.mask
    let pruned = try test.accuracy(of: InferencePlan(file.network).callAsFunction)
    print("kept \(mask.keptCount) of \(mask.layout.count) weights in \(Int(outcome.seconds)) s")
    print("accuracy \(dense.fraction) dense, \(pruned.fraction) pruned, 95 %: \(pruned.interval)")
    for layer in mask.table { print(layer.name, layer.kept, "of", layer.total) }

    try file.write(to: runs.appending(path: "pruned.safetensors"))
    try mask.write(to: runs.appending(path: "mask.safetensors"))
    return (dense, pruned, mask)
  }

  @Test("prunes a saved network to the fraction asked for, and saves what classifies the same")
  func runs() throws {
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

    let (dense, pruned, mask) = try Self.program(in: runs, train: train, test: test)
    #expect(dense.count == 40)
    #expect(mask.keptCount == (try KeepRatio(0.1)).kept(of: mask.layout.count))

    let saved = try ModelFile(contentsOf: runs.appending(path: "pruned.safetensors"))
    #expect(saved.classNames == train.classNames)
    #expect(mask.layout.weights(of: saved.network).nonzeroCount() == mask.keptCount)
    #expect(try test.accuracy(of: InferencePlan(saved.network).callAsFunction) == pruned)
    let savedMask = try Mask(contentsOf: runs.appending(path: "mask.safetensors"), for: saved.network)
    #expect(savedMask.values.isEqual(to: mask.values))
  }

  @Test("is what the article prints, line by line")
  func isPrinted() throws {
    let source = URL(filePath: #filePath)
    let root = source.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let article = root.appending(path: "Sources/Pruning/Pruning.docc/YourFirstPrunedModel.md")
    func lines(of url: URL) throws -> [String] {
      try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
        .map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let text = try lines(of: article)
    let start = try #require(text.firstIndex { $0.hasPrefix("let file =") })
    let printed = text[start...].prefix { $0 != "```" }
    #expect(printed.last?.hasPrefix("try mask.write") == true)
    #expect(try lines(of: source).contains(printed))
  }
}
