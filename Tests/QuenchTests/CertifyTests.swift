import Foundation
import Smoothing
import Support
import TestSupport
import Testing
import Torch
import Vision

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

  @Test("It writes a row for each image and the figures over them", arguments: [["--fixed"], ["--radii", "0,0.1"]])
  func writes(mode: [String]) async throws {
    let folder = try TemporaryFolder()
    let out = folder / "run"
    let outcome = try await Tool.run(try certify(out, ["--n", "60", "--json"] + mode))
    let summary = try outcome.json()
    let rows = try CertifiedTable.read(out.appending(path: "certified.tsv"))
    #expect(rows.map(\.index) == Array(0..<6))
    #expect(summary["accuracy"]?.number == rows.certifiedAccuracy(at: 0).fraction)
    #expect(summary["certified_accuracy_0"]?.number == summary["accuracy"]?.number)
    #expect(summary["abstained"]?.integer == rows.count { $0.predicted == nil })
    #expect(summary["samples"]?.integer == rows.reduce(0) { $0 + ($1.queries ?? 0) })
    #expect(summary["samples"]?.integer ?? 0 >= 60 && summary["seconds"]?.number ?? 0 > 0)
    if mode == ["--fixed"] { #expect(summary["samples"]?.integer == 6 * 70) }
    let report = try String(contentsOf: out.appending(path: "report.html"), encoding: .utf8)
    #expect(report.contains("Certified accuracy over radius"))
  }

  @Test("A run that was killed goes on behind its last whole row and ends with the same rows")
  func resumes() async throws {
    let folder = try TemporaryFolder()
    let out = folder / "run"
    let flags = ["--n", "60", "--radii", "0,0.1"]
    try expectSuccess(try await Tool.run(try certify(out, flags)))
    let table = out.appending(path: "certified.tsv")
    func rows() throws -> [CertifiedRow] {
      try CertifiedTable.read(table).map { row in
        var row = row
        row.seconds = 0
        row.details.removeAll()
        return row
      }
    }
    let whole = try rows()
    // What a kill leaves: a torn row, and a run that has not ended.
    let lines = try String(contentsOf: table, encoding: .utf8).split(separator: "\n")
    try Data((lines.prefix(4).joined(separator: "\n") + "\n3\t3").utf8).write(to: table)
    let config = out.appending(path: "config.yaml")
    let record = try String(contentsOf: config, encoding: .utf8)
    try Data(record.replacing("outcome: completed", with: "outcome: null").utf8).write(to: config)
    let resumed = try await Tool.run(try certify(out, flags + ["--resume"]))
    try expectSuccess(resumed)
    #expect(!resumed.errors.contains("nothing is left to do"))
    #expect(try rows() == whole)
  }

  @Test("What certifies is named by its weights and the type that it computes in; a change within a run is a note")
  func versions() async throws {
    let folder = try TemporaryFolder()
    var versions: [String] = []
    for (name, type) in [("exact", "float32"), ("fast", "bfloat16")] {
      let summary = try await Tool.run(
        try certify(folder / name, ["--n", "60", "--fixed", "--limit", "2", "--precision", type, "--json"])
      ).json()
      let rows = try CertifiedTable.read((folder / name).appending(path: "certified.tsv"))
      let version = try #require(summary["model_version"]?.string)
      #expect(version.hasSuffix("-\(type)") && rows.allSatisfy { $0.version == version })
      versions.append(String(version.dropLast(type.count)))
    }
    #expect(versions[0] == versions[1])
    // A run whose first row another type certified, as on a machine of another processor.
    let out = folder / "exact"
    let table = out.appending(path: "certified.tsv")
    let lines = try String(contentsOf: table, encoding: .utf8).split(separator: "\n")
    try Data((lines.prefix(2).joined(separator: "\n").replacing("-float32", with: "-bfloat16") + "\n").utf8)
      .write(to: table)
    let config = out.appending(path: "config.yaml")
    let record = try String(contentsOf: config, encoding: .utf8)
    try Data(record.replacing("outcome: completed", with: "outcome: null").utf8).write(to: config)
    let resumed = try await Tool.run(try certify(out, ["--n", "60", "--fixed", "--limit", "2", "--resume"]))
    #expect(
      resumed.code == 0
        && resumed.errors.contains(
          "certificates of \(versions[0])bfloat16, those from here on of \(versions[0])float32"),
      "\(resumed.errors)")
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

  @Test("After a target radius the page tells of no radius that nobody asked for, and no accuracy beside it")
  func asked() async throws {
    let folder = try TemporaryFolder()
    let out = folder / "run"
    let outcome = try await Tool.run(try certify(out, ["--n", "60", "--target-radius", "0.05", "--json"]))
    let summary = try outcome.json()
    #expect(summary["accuracy"] == nil && summary["certified_accuracy_0.05"] != nil)
    #expect(summary["average_certified_radius_is"]?.string?.contains("lower bound") == true)
    #expect(summary["model_version"]?.string?.hasSuffix("-float32") == true)
    let plot = try await Tool.run(["certify", "plot", out.path, "--out", (folder / "page.html").path])
    let header = try #require(plot.output.split(separator: "\n").first { $0.contains("Images") })
    #expect(header.contains("0.05") && !header.contains("0.25") && !header.contains("0.75"), "\(header)")
    let report = try String(contentsOf: out.appending(path: "report.html"), encoding: .utf8)
    #expect(report.contains("Certified accuracy at 0.05") && !report.contains("Accuracy under noise"))
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

  @Test("Noise other than the network was trained with is a note")
  func otherNoise() async throws {
    let folder = try TemporaryFolder()
    for (name, more) in [("noisy", ["--noise", "0.2"]), ("clean", [])] {
      try expectSuccess(
        try await Tool.run(
          ["train", "--model", "small-cnn", "--epochs", "1", "--out", (folder / name).path] + Tool.tiny + more))
    }
    for (name, sigma, words) in [
      ("noisy", "0.1", "was trained with noise of 0.2, and is certified under 0.1"), ("noisy", "0.2", nil),
      ("clean", "0.1", "was trained without noise")
    ] as [(String, String, String?)] {
      let outcome = try await Tool.run([
        "certify", "--weights", (folder / "\(name)/model.safetensors").path, "--data", "synthetic", "--limit", "1",
        "--threads", "1", "--sigma", sigma, "--n0", "10", "--n", "60", "--out", (folder / "\(name)-\(sigma)").path
      ])
      #expect(outcome.errors.contains("the network was trained") == (words != nil), "\(outcome.errors)")
      if let words { #expect(outcome.errors.contains(words)) }
    }
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
