import Foundation
import Reporting
import Support
import TestSupport
import Testing
import Torch
import Vision

@testable import quench

@Suite("quench evaluate and report") struct EvaluateTests {
  @Test("prints accuracy, n and the interval as JSON, and writes a run folder where asked") func json() async throws
  {
    let folder = try TemporaryFolder()
    let weights = (folder / "weights.safetensors").path
    try ModelFixture.smallCNN().write(to: URL(filePath: weights))
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(
      ["evaluate", "--weights", weights, "--json", "--out", run.path] + Tool.tiny)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let result = try outcome.json()
    let accuracy = try #require(result["accuracy"]?.number)
    let interval = try #require(result["interval"]?.array).compactMap(\.number)
    #expect(interval.count == 2 && interval[0] <= accuracy && accuracy <= interval[1])
    #expect(result["n"]?.integer == 40)
    #expect(try #require(result["images_per_second"]?.number) > 0)
    #expect(try run.folder.readSummary() == result)

    try FileManager.default.removeItem(at: run.file("report.html"))
    let again = try await Tool.run(["report", run.path, "--json"])
    #expect(again.code == 0)
    #expect(try again.json()["report"]?.string?.hasSuffix("report.html") == true)
    #expect(try String(contentsOf: run.file("report.html"), encoding: .utf8).contains("Accuracy by class"))
  }

  @Test("gives the same accuracy as the network's own answers, and keeps its surest mistakes") func evaluation()
    throws
  {
    let dataset = try images(60)
    let plan = InferencePlan(try ModelFixture.smallCNN().network, dtype: .float32)
    let evaluation = try Evaluation(of: plan, on: dataset, batchSize: 25, examples: 5)
    #expect(evaluation.accuracy == dataset.accuracy(of: plan.callAsFunction))
    #expect(evaluation.confusion.allSatisfy { $0.reduce(0, +) == 6 })
    #expect(evaluation.samples.map(\.label) == [0, 1, 2, 3, 4])
    #expect(evaluation.mistakes.count == 5)
    #expect(evaluation.mistakes.allSatisfy { $0.label != $0.predicted && (0.1...1).contains($0.confidence) })
    #expect(evaluation.mistakes.map(\.confidence) == evaluation.mistakes.map(\.confidence).sorted(by: >))

    let folder = try TemporaryFolder()
    try evaluation.write(to: folder / "evaluation.json")
    #expect(try Evaluation(contentsOf: folder / "evaluation.json") == evaluation)
    try Data("{}".utf8).write(to: folder / "evaluation.json")
    #expect(throws: InputError.self) { try Evaluation(contentsOf: folder / "evaluation.json") }
  }

  @Test("images that are too small for a model are refused") func tooSmall() throws {
    let error = #expect(throws: InputError.self) { try images(10, side: 8).architecture(of: .vgg16BN) }
    #expect(error?.location == "vgg16-bn")
    #expect(error?.found == "[3, 8, 8]")
    #expect(try images(10, side: 16).architecture(of: .smallCNN).mean == [0.5, 0.5, 0.5])
  }

  private func images(_ count: Int, side: Int = 32) throws -> ImageDataset {
    var synthetic = Synthetic()
    synthetic.testCount = count
    synthetic.side = side
    return ImageDataset(
      name: "synthetic", block: try synthetic.make(.test), classNames: (0..<10).map { "\($0)" },
      statistics: ChannelStatistics(mean: [0.5, 0.5, 0.5], standardDeviation: [0.2, 0.2, 0.2]), fingerprint: "")
  }

  @Test("a run that has only begun has a report, and a folder without a run has none") func unfinished()
    async throws
  {
    let record = RunRecord(command: ["quench", "prune", "bip"], settings: ["keep": 0.1, "data": "cifar10"])
    let html = try RunFiles(record: record).report().html
    #expect(html.contains("has not finished"))
    #expect(html.contains("BiP keeps 10.0 %"))

    let folder = try TemporaryFolder()
    let outcome = try await Tool.run(["report", folder.url.path])
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("there is no run here"))
    #expect(throws: InputError.self) {
      try RunFiles(record: RunRecord(command: ["quench", "bake"], settings: [:])).report()
    }
  }

  @Test("help has examples", arguments: [["train"], ["evaluate"], ["prune", "omp"], ["prune", "bip"], ["report"]])
  func help(command: [String]) async throws {
    let outcome = try await Tool.run(command + ["--help"])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("Examples:\n  quench \(command.joined(separator: " "))"))
  }
}
