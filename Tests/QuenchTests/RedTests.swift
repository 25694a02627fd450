import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench red") struct RedTests {
  @Test("builds data, trains, evaluates and analyses pictures") func chain() async throws {
    let folder = try TemporaryFolder()
    func path(_ name: String) -> String { (folder / name).path }
    func tool(_ arguments: [String]) async throws -> Tool.Outcome {
      let outcome = try await Tool.run(arguments + ["--threads", "1", "--precision", "float32"])
      #expect(outcome.code == 0, "\(arguments) \(outcome.errors)")
      return outcome
    }
    try Self.writePictures(into: folder / "pictures-data")
    let data = ["--data", "folder", "--data-dir", path("pictures-data")]
    _ = try await tool(
      [
        "train", "--model", "small-cnn", "--epochs", "6", "--batch-size", "32", "--no-augmentation", "--out",
        path("v")
      ]
        + data)
    let weights = path("v/model.safetensors")
    let build =
      [
        "red", "build-data", "--victim", "v1=\(weights)", "--train-pairs", "16", "--test-pairs", "8", "--attacks",
        "fgsm,pgd"
      ]
      + ["--seen-only"] + data
    let cell = folder / "d/cells/train-v1-fgsm-weak.safetensors"
    let killed = try await Tool.run(build + ["--threads", "1", "--out", path("d")], sending: SIGKILL) {
      FileManager.default.fileExists(atPath: cell.path)
    }
    #expect(killed.wasKilled)
    let resume = RunPlace(folder / "d").url.appending(path: "config.yaml")
    #expect(FileManager.default.fileExists(atPath: resume.path))
    let built = try await tool(build + ["--out", path("d"), "--resume", "--json"]).json()
    #expect(built["cells"] == .int(14) && built["rates"]?.array?.count == 14)

    let trained = try await tool(
      ["red", "train", "--pairs", path("d"), "--surrogate", "v1=\(weights)", "--depth", "4", "--width", "8"]
        + ["--epochs", "2", "--batch-size", "8", "--out", path("r"), "--json"]
    ).json()
    #expect(trained["validation_pa_benign"]?.number != nil)
    for name in ["denoiser.safetensors", "family.safetensors", "calibration.json", "report.html"] {
      #expect(FileManager.default.fileExists(atPath: path("r/\(name)")), "\(name)")
    }
    #expect(trained["validation_pairs"]?.integer ?? 0 > 0 && trained["family_n"]?.integer ?? 0 > 0)
    let still = try await tool(
      ["red", "train", "--pairs", path("d"), "--surrogate", "v1=\(weights)", "--depth", "3", "--width", "4"]
        + ["--epochs", "1", "--batch-size", "8", "--batch-norm-momentum", "0", "--recalibrate", "--out", path("m")])
    #expect(still.code == 0)
    #expect(throws: Never.self) {
      try StateDictionary.load(folder / "m/denoiser.safetensors").validateFinite(at: "denoiser")
    }
    let judged = try await tool(
      ["red", "evaluate", "--run", path("r"), "--pairs", path("d"), "--victim", "v1=\(weights)", "--defense"]
        + data + ["--limit", "8", "--out", path("e"), "--json"]
    ).json()
    #expect(judged["groups.all.cells"]?.integer == judged["cells"]?.integer)
    for key in ["groups.seen.pa_benign", "groups.unseen-strength.pa_adversarial", "detection.probabilities.auroc"] {
      #expect(judged[key]?.number != nil, "\(key)")
    }
    #expect(judged["defense"]?.array?.count == 12)
    #expect(judged["consistency"]?.array?.count == 5 && judged["portions"]?.array?.count == 6)
    let report = try String(contentsOf: folder / "e/report.html", encoding: .utf8)
    #expect(report.contains("rotation by 45 degrees") && report.contains("How far GradCAM maps agree"))

    let pictures = folder / "pictures"
    try FileManager.default.createDirectory(at: pictures, withIntermediateDirectories: true)
    let png = try PNG.encode(
      pixels: (0..<32 * 32 * 3).map { UInt8($0 % 251) }, width: 32, height: 32, channels: 3)
    try png.write(to: pictures.appending(path: "a.png"))
    try png.prefix(60).write(to: pictures.appending(path: "broken.png"))
    try PNG.encode(pixels: [UInt8](repeating: 9, count: 192), width: 8, height: 8, channels: 3)
      .write(to: pictures.appending(path: "small.png"))
    let clean = folder / "clean"
    try FileManager.default.createDirectory(at: clean, withIntermediateDirectories: true)
    for index in 0..<20 {
      try PNG.encode(
        pixels: (0..<32 * 32 * 3).map { UInt8(($0 * (index + 1)) % 251) }, width: 32, height: 32, channels: 3
      ).write(to: clean.appending(path: "\(index).png"))
    }
    try png.prefix(60).write(to: clean.appending(path: "torn.png"))
    func analyse(_ picture: URL, clean: URL?, json: Bool = true) async throws -> Tool.Outcome {
      try await Tool.run(
        ["red", "analyse", picture.path, "--run", path("r"), "--weights", weights, "--out", path("a")]
          + (json ? ["--json"] : []) + (clean.map { ["--clean", $0.path] } ?? []) + [
            "--pixel-roles", "--threads", "1"
          ])
    }
    let outcome = try await analyse(pictures, clean: clean)
    // Two of three pictures were not analysed: that is told, and the rest is written.
    #expect(outcome.code == 1 && outcome.errors.contains("2 of 3 pictures could not be analysed"))
    #expect(outcome.errors.contains("broken.png") && outcome.errors.contains("small.png"))
    #expect(outcome.errors.contains("1 of 21 clean pictures left out") && outcome.errors.contains("torn.png"))
    let analysed = try outcome.json()
    #expect(analysed["detection"]?.record?["n_clean"] == 20 && analysed["detection"]?.record?["n_adversarial"] == 1)
    #expect(analysed["detection"]?.record?["auroc_low"]?.number != nil)
    #expect(analysed["not_analysed"] == 2 && analysed["clean_not_analysed"]?.array?.count == 1)
    let found = analysed["pictures"]?.array?.compactMap(\.record) ?? []
    #expect(found.count == 3)
    #expect(found[0]["suspicion"]?.number != nil && found[0]["likely_attack"]?.string != nil)
    #expect(found[0]["false_positive_rate"]?.number != nil)
    #expect(found[0]["false_positive_rate_low"]?.number != nil)
    #expect(found[1]["problem"]?.string?.contains("broken.png") == true)
    #expect(found[2]["problem"]?.string?.contains("another size") == true)
    let page = try String(contentsOf: folder / "a/analysis.html", encoding: .utf8)
    #expect(page.contains("estimated clean") && page.contains("data:image/png;base64") && !page.contains("http"))
    #expect(page.contains("of 20 (95 %: ") && page.contains("2 pictures could not be analysed"))

    let few = try await analyse(pictures.appending(path: "a.png"), clean: pictures.appending(path: "a.png"))
    #expect(
      few.code == 1 && few.errors.contains("too few clean pictures to compare with (expected 20 or more, found 1)"))
    let alone = try await analyse(pictures.appending(path: "a.png"), clean: nil, json: false)
    #expect(alone.code == 0 && alone.errors.contains("too few to say how common a suspicion is"), "\(alone.errors)")
    #expect(!alone.output.contains("clean images"))
  }

  /// Gratings of four classes, so faint that a few grey levels change the class.
  static func writePictures(into folder: URL) throws {
    var options = QuenchVision.DataOptions()
    (options.synthetic.trainCount, options.synthetic.testCount, options.synthetic.classes) = (96, 48, 4)
    for (split, name) in [(DataSplit.train, "train"), (.test, "test")] {
      let dataset = try Datasets.load(.synthetic, split: split, options: options)
      let faint = ((dataset.images.to(.float32) - 128) * 0.15 + 128).rounded().to(.uint8).permuted([0, 2, 3, 1])
      for (index, label) in dataset.labels.array(Int64.self).enumerated() {
        let directory = folder.appending(path: "\(name)/class\(label)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let png = try PNG.encode(pixels: Array(faint[index].data()), width: 32, height: 32, channels: 3)
        try png.write(to: directory.appending(path: "\(index).png"))
      }
    }
  }

  @Test(
    "refuses what makes no sense",
    arguments: [
      (["red", "build-data"], 64, "--victim is missing"),
      (["red", "build-data", "--victim", "a"], 64, "--victim"),
      (["red", "build-data", "--victim", "a=x", "--victim", "a=y"], 64, "occurs twice"),
      (["red", "build-data", "--victim", "a=x", "--attacks", "fgsm,square"], 64, "any of fgsm, pgd, cw"),
      (["red", "train", "--pairs", "none", "--surrogate", "a=x", "--depth", "2"], 64, "--depth"),
      (["red", "train", "--pairs", "none", "--surrogate", "a=x", "--surrogate", "a=y"], 64, "occurs twice"),
      (["red", "train", "--pairs", "none", "--surrogate", "a=x"], 1, "there is no attack data set here"),
      (
        ["red", "train", "--pairs", "none", "--surrogate", "a=x", "--method", "do", "--transformation", "flip"], 64,
        "--transformation: the method do does not take this"
      ),
      (
        ["red", "train", "--pairs", "none", "--surrogate", "a=x", "--sigma", "0.1"], 64,
        "--sigma: the method cdd-red does not take this; it takes --gamma, --lambda, --filter, --transformation"
      ),
      (
        ["red", "build-data", "--victim", "a=x", "--seen-only", "--unseen-attacks", "square"], 64,
        "--seen-only and --unseen-attacks"
      ),
      (
        ["red", "evaluate", "--run", "r", "--pairs", "p", "--victim", "a=x", "--limit", "9"], 64,
        "--limit: an evaluation without --defense does not take this"
      ),
      (["red", "analyse", "x.png", "--run", "none", "--weights", "x"], 1, "none/denoiser.safetensors")
    ])
  func usage(_ arguments: [String], _ code: Int32, _ text: String) async throws {
    let outcome = try await Tool.run(arguments)
    #expect(outcome.code == code)
    #expect(outcome.errors.contains(text), "\(outcome.errors)")
  }
}
