import Foundation
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("quench certify") struct CertifyTests {
  /// A fresh network is a classifier as good as any for what is tested here.
  private func certify(_ out: URL, _ more: [String]) throws -> [String] {
    let weights = out.deletingLastPathComponent().appending(path: "model.safetensors")
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(to: weights)
    return [
      "certify", "--weights", weights.path, "--data", "synthetic", "--limit", "6", "--threads", "1", "--precision",
      "float32", "--sigma", "0.1", "--n0", "10", "--out", out.path
    ] + more
  }

  @Test("It prints the run's figures") func prints() async throws {
    let folder = try TemporaryFolder()
    let run = RunPlace(folder / "run")
    let outcome = try await Tool.run(try certify(run.url, ["--n", "60", "--radii", "0.1,0", "--json"]))
    #expect(try outcome.json() == run.folder.readSummary(), "\(outcome.errors)")
    let resumed = try await Tool.run(
      try certify(run.url, ["--n", "60", "--radii", "0,0.1", "--batch-size", "7", "--resume"]))
    #expect(resumed.code == 0 && resumed.errors.contains("nothing is left to do"), "\(resumed.errors)")
    #expect(resumed.output.contains("certified accuracy"))
  }

  @Test("Curves of several runs go into one page")
  func plots() async throws {
    let folder = try TemporaryFolder()
    let out = folder / "run"
    try expectSuccess(try await Tool.run(try certify(out, ["--n", "60", "--target-radius", "0.05"])))
    let page = folder / "page.html"
    let outcome = try await Tool.run(["certify", "plot", out.path, out.path, "--out", page.path])
    #expect(outcome.code == 0 && outcome.output.contains("Images"))
    #expect(try String(contentsOf: page, encoding: .utf8).contains("<svg"))
  }

  @Test("The plot tells of no radius that nobody asked for")
  func asked() async throws {
    let folder = try TemporaryFolder()
    let out = folder / "run"
    try expectSuccess(try await Tool.run(try certify(out, ["--n", "60", "--target-radius", "0.05"])))
    let plot = try await Tool.run(["certify", "plot", out.path, "--out", (folder / "page.html").path])
    let header = try #require(plot.output.split(separator: "\n").first { $0.contains("Images") })
    #expect(header.contains("0.05") && !header.contains("0.25") && !header.contains("0.75"), "\(header)")
    // Beside a run that asked for none, what is not known is a dash.
    let table = folder / "cohen.tsv"
    try Data("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.6\t1\t0:00:01.000000\n".utf8).write(to: table)
    let both = try await Tool.run(["certify", "plot", out.path, table.path, "--out", (folder / "both.html").path])
    #expect(both.output.contains("–") && both.output.contains("100.0"), "\(both.output)")
  }

  @Test(
    "Radii that are no numbers of an image are named with their line", arguments: ["inf", "1e300", "1e9", "nan"])
  func damagedTables(radius: String) async throws {
    let folder = try TemporaryFolder()
    let table = folder / "table.tsv"
    try Data("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t\(radius)\t1\t0:00:01.000000\n".utf8)
      .write(to: table)
    let outcome = try await Tool.run(["certify", "plot", table.path, "--out", (folder / "page.html").path])
    #expect(
      outcome.code == 1 && outcome.errors.contains("line 2: column radius cannot be read"), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: (folder / "page.html").path))
    // Large, and possible in units of 0 to 255.
    try Data("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t900000\t1\t0:00:01.000000\n".utf8)
      .write(to: table)
    let large = try await Tool.run(["certify", "plot", table.path, "--out", (folder / "page.html").path])
    #expect(large.code == 0, "\(large.errors)")
  }

  @Test(
    "What can certify nothing is refused before anything is written",
    arguments: [
      (["--sigma", "0"], "--sigma"), (["--n", "9"], "expected at least 11, found 9"),
      (["--n", "9", "--fixed"], "expected at least 10, found 9"),
      (["--fixed", "--radii", "0.1"], "exclude each other"),
      (["--radii", "0.1,x"], "--radii"), (["--shard", "3/2"], "--shard")
    ]) func refuses(flags: [String], words: String) async throws
  {
    let folder = try TemporaryFolder()
    let outcome = try await Tool.run(try certify(folder / "run", flags))
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: (folder / "run").path))
  }

  @Test("A network for other images is refused")
  func otherImages() async throws {
    let folder = try TemporaryFolder()
    let outcome = try await Tool.run([
      "certify", "--weights", (folder / "none").path, "--data", "synthetic", "--out", (folder / "run").path
    ])
    #expect(outcome.code == 1 && outcome.errors.contains("no such file"))
  }

  @Test("Noise on training images changes what is learned, and a resumed run draws the same noise")
  func noise() async throws {
    let folder = try TemporaryFolder()
    let flags = ["train", "--model", "small-cnn", "--epochs", "2", "--checkpoint-interval", "0"] + Tool.tiny
    let (whole, broken, clean) = (folder / "whole", folder / "broken", folder / "clean")
    try expectSuccess(try await Tool.run(flags + ["--noise", "0.2", "--out", whole.path]))
    try expectSuccess(try await Tool.run(flags + ["--out", clean.path]))
    let noisy = flags + ["--noise", "0.2", "--out", broken.path]
    let table = broken.appending(path: "metrics.jsonl")
    _ = try await Tool.run(noisy, sending: SIGKILL, once: table, hasLines: 1)
    try expectSuccess(try await Tool.run(noisy + ["--resume"]))
    func model(_ url: URL) -> URL { url.appending(path: "model.safetensors") }
    #expect(try sameBytes(model(whole), model(broken)))
    #expect(try !sameBytes(model(whole), model(clean)))
  }

  private func expectSuccess(_ outcome: Tool.Outcome) throws {
    try #require(outcome.code == 0, "\(outcome.errors)")
  }
}
