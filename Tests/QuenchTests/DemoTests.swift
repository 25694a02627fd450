import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench demo") struct DemoTests {
  @Test("every step is an experiment that can be done, and uses only what earlier steps left") func steps() throws {
    var done: Set<String> = []
    for part in try Demo().parts(in: URL(filePath: "{run}")) {
      #expect(throws: Never.self, "\(part.name)") { _ = try part.experiment.checked() }
      let settings = Value.object(try part.experiment.settings).json().replacing("\\/", with: "/")
      for piece in settings.components(separatedBy: "{run}/").dropFirst() {
        let used = String(piece.prefix { $0 != "/" && $0 != "\"" })
        #expect(done.contains(used), "\(part.name) uses \(used)")
      }
      #expect(done.insert(part.name).inserted, "\(part.name) occurs twice")
    }
    #expect(done.count == 16)
    #expect(try Demo().checked().steps.count == 16)
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

  /// What makes a step of the demo a matter of a second or two.
  private static let tiny: [String: Record] = [
    "train": ["model": "small-cnn", "epochs": 6, "batch-size": 32],
    "prune-omp": ["epochs": 1, "batch-size": 16], "prune-bip": ["batch-size": 16],
    "slim": ["recalibrate": 2, "batch-size": 8, "seconds": 0],
    "red-build-data": ["train-pairs": 16, "test-pairs": 8],
    "red-train": ["depth": 4, "width": 8, "epochs": 1, "batch-size": 8],
    "certify": ["limit": 4, "n": 1000],
    "cryo-simulate": ["tiles": 2, "squares": 1, "patches": 2, "holes": 4], "cryo-study": ["starts": "2"]
  ]

  /// Does an experiment of the demo on the pictures in `data`, in little.
  private static func perform<Work: Experiment>(_ experiment: Work, in url: URL, data: URL) throws {
    var settings = try experiment.settings
    // An evaluation of a denoiser looks at its pairs alone.
    if settings["data"] != nil, Work.kind != "red-evaluate" {
      settings.merge(["data": "folder", "data-dir": .string(data.path)])
    }
    settings["train-limit"] = nil
    settings.merge(tiny[Work.kind] ?? [:])
    try Lab().perform(Work(settings: settings, name: "demo"), in: url)
  }

  @Test("tells every chapter's figures, and does nothing again that is done") func chapters() async throws {
    guard Datasets.find(.fashionMNIST) != nil else {
      print("skipped: Fashion-MNIST is not installed, and the demo would fetch it")
      return
    }
    let folder = try TemporaryFolder()
    try RedTests.writePictures(into: folder / "pictures")
    let out = RunPlace(folder / "demo")
    var demo = Demo()
    demo.precision = .float32
    let record = RunRecord(command: ["quench", "demo"], kind: Demo.kind, settings: try demo.checked().settings)
    try RunFolder(at: out.url, for: record).finish(.interrupted)
    for part in try demo.parts(in: out.url) {
      try Self.perform(part.experiment, in: out.url.appending(path: part.name), data: folder / "pictures")
    }
    let dense = try Data(contentsOf: out.file("dense/config.yaml"))

    let outcome = try await Tool.run(["demo", "--out", out.path, "--precision", "float32", "--json"])
    #expect(outcome.code == 0 && !outcome.errors.contains("dense: train"), "\(outcome.errors)")
    #expect(try Data(contentsOf: out.file("dense/config.yaml")) == dense)
    let summary = try outcome.json()
    for key in [
      "dense_accuracy", "bip_0.02_accuracy", "bip_channels_accuracy", "slim_accuracy", "cryo_closed_loop_240_good",
      "cryo_random_60_good", "red_seen_pa_benign", "red_unseen_attack_pixel_error", "red_auroc",
      "certified_certified_accuracy_0.25", "certified_undefended_samples_per_image", "seconds"
    ] { #expect(summary[key]?.number != nil, "\(key)") }
    #expect(summary["cryo_synthetic"] == .bool(true))
    #expect(summary["certified_fixed_samples_per_image"]?.number == 1100)
    let best = try #require(summary["cryo_oracle_60_good"]?.number)
    #expect(try #require(summary["cryo_random_60_good"]?.number) <= best)

    let page = try String(contentsOf: out.file("report.html"), encoding: .utf8)
    for title in [
      "Accuracy against size", "A smaller network", "Where the kept weights are", "Planning a cryo-EM session",
      "Taking attacks apart", "Certified answers"
    ] {
      #expect(page.contains("<h2>\(title)</h2>"), "\(title)")
    }
    #expect(page.contains("The survey is synthetic") && page.contains("its estimate,"))
    #expect(page.contains("data:image/png;base64") && !page.contains("http"))
  }
}
