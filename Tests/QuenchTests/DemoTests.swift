import Foundation
import Reporting
import Support
import TestSupport
import Testing
import Torch
import Vision

@testable import quench

@Suite("quench demo") struct DemoTests {
  @Test("every step is a command that parses or an experiment, and uses only what earlier steps left")
  func steps() throws {
    var done: Set<String> = []
    for part in Demo.parts {
      #expect(throws: Never.self, "\(part.name)") {
        guard let experiment = part.experiment else {
          _ = try Quench.parseAsRoot(part.arguments(in: "runs/demo"))
          return
        }
        _ = try experiment("runs/demo", .automatic).checked()
      }
      for piece in part.step.components(separatedBy: "{run}/").dropFirst() {
        let used = String(piece.prefix { $0 != "/" && $0 != " " })
        #expect(done.contains(used), "\(part.name) uses \(used)")
      }
      #expect(done.insert(part.name).inserted, "\(part.name) occurs twice")
    }
  }

  /// What makes a step of the demo a matter of a second or two.
  private static func quick(_ part: RunPart) -> [String] {
    switch part.arguments.prefix(2) {
    case ["cryo", "simulate"]: return ["--tiles", "2", "--squares", "1", "--patches", "2", "--holes", "4"]
    case ["cryo", "study"]: return ["--starts", "2", "--threads", "1"]
    default: break
    }
    let flags =
      switch part.arguments.prefix(2) {
      case ["red", "build-data"]: ["--train-pairs", "16", "--test-pairs", "8"]
      case ["red", "train"]: ["--depth", "4", "--width", "8", "--epochs", "1", "--batch-size", "8"]
      case ["red", "evaluate"]: [String]()
      default:
        ["--model", "small-cnn", "--epochs", "6", "--batch-size", "32"]
      }
    return flags + ["--threads", "1", "--precision", "float32"]
  }

  /// Performs an experiment of the demo on other pictures, as quickly.
  private static func perform<Work: Experiment>(_ experiment: Work, on pictures: URL, in url: URL) throws {
    var settings = try experiment.settings
    settings.merge(["data": "folder", "data-dir": .string(pictures.path)])
    settings.merge(Work.kind == "train" ? ["epochs": 6, "batch-size": 32] : ["limit": 4, "n": 1000])
    try Lab().perform(Work(settings: settings, name: "demo"), in: url)
  }

  @Test("refuses the folder of a demo of other steps, and says what to do") func olderSteps() async throws {
    let folder = try TemporaryFolder()
    let record = RunRecord(command: ["quench", "demo"], settings: ["steps": .array([.string("train")])])
    try RunFolder(at: folder / "demo", for: record).finish(.completed)
    let outcome = try await Tool.run(["demo", "--out", (folder / "demo").path])
    #expect(outcome.code == 1)
    #expect(
      outcome.errors.contains("a demo with other steps than this version's; delete it, or name another folder"))

    try Data("steps: [".utf8).write(to: folder / "demo/config.yaml")
    let damaged = try await Tool.run(["demo", "--out", (folder / "demo").path])
    #expect(damaged.code == 1 && damaged.errors.contains("config.yaml"), "\(damaged.errors)")
  }

  @Test("tells every chapter's figures, and does nothing again that is done") func chapters() async throws {
    guard Datasets.find(.fashionMNIST) != nil else {
      print("skipped: Fashion-MNIST is not installed, and the demo would fetch it")
      return
    }
    let folder = try TemporaryFolder()
    try RedTests.writePictures(into: folder / "pictures")
    let out = RunPlace(folder / "demo")
    _ = try RunFolder(at: out.url, for: Demo.record(precision: .float32, device: .cpu), resume: false)
    let run = try RunFolder(existing: out.url)
    for part in Demo.parts {
      if PruningChapter.parts.dropFirst().contains(where: { $0.name == part.name }) {
        let record = RunRecord(command: ["quench"] + part.arguments, settings: [:])
        let pruned = try RunFolder(at: run.artefact(part.name), for: record, resume: false)
        try pruned.writeSummary(["accuracy": .double(0.5), "keep_ratio": .double(0.1), "seconds": .double(1)])
        try pruned.finish(.completed)
        continue
      }
      if let experiment = part.experiment {
        try Self.perform(experiment(out.path, .float32), on: folder / "pictures", in: run.artefact(part.name))
        continue
      }
      let arguments = part.arguments(in: out.path).flatMap { argument in
        argument == "fashion-mnist" ? ["folder", "--data-dir", (folder / "pictures").path] : [argument]
      }
      let outcome = try await Tool.run(arguments + Self.quick(part))
      #expect(outcome.code == 0, "\(arguments) \(outcome.errors)")
    }
    let dense = try Data(contentsOf: out.file("dense/config.yaml"))

    let outcome = try await Tool.run(["demo", "--out", out.path, "--precision", "float32", "--json"])
    #expect(outcome.code == 0 && !outcome.errors.contains("$ quench"), "\(outcome.errors)")
    #expect(try Data(contentsOf: out.file("dense/config.yaml")) == dense)
    let summary = try outcome.json()
    for key in [
      "dense_accuracy", "bip_0.02_accuracy", "cryo_closed_loop_240_good", "cryo_random_60_good",
      "red_seen_pa_benign", "red_unseen_attack_pixel_error", "red_auroc", "certified_certified_accuracy_0.25",
      "certified_undefended_samples_per_image"
    ] { #expect(summary[key]?.number != nil, "\(key)") }
    #expect(summary["cryo_synthetic"] == .bool(true))
    #expect(summary["certified_fixed_samples_per_image"]?.number == 1100)
    let best = try #require(summary["cryo_oracle_60_good"]?.number)
    #expect(try #require(summary["cryo_random_60_good"]?.number) <= best)

    let page = try String(contentsOf: out.file("report.html"), encoding: .utf8)
    for title in [
      "Accuracy against size", "Planning a cryo-EM session", "Taking attacks apart", "Certified answers"
    ] {
      #expect(page.contains("<h2>\(title)</h2>"), "\(title)")
    }
    #expect(page.contains("The survey is synthetic") && page.contains("its estimate,"))
    #expect(page.contains("data:image/png;base64") && !page.contains("http"))
  }
}
