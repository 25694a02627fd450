import Foundation
import Smoothing
import Support
import TestSupport
import Testing
import Torch
import Vision

@Suite("quench defend") struct DefendTests {
  /// A folder with a black box and a pretrained autoencoder for Fashion-MNIST-like images.
  private func folder() async throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    try expectSuccess(
      try await Tool.run(
        ["defend", "pretrain", "autoencoder", "--architecture", "cifar-48", "--epochs", "1", "--batch-size", "16"]
          + ["--out", (folder / "autoencoder").path] + Tool.tiny))
    return folder
  }

  /// MNIST's files with 8 and 4 images of stripes.
  private func writeDigits(to folder: TemporaryFolder) throws {
    for (name, count) in [("train", 8), ("t10k", 4)] {
      let number = UInt8(count)
      let pixels = (0..<count * 784).map { index -> UInt8 in UInt8(index * (index / 784 + 3) % 256) }
      let header: [UInt8] = [0, 0, 8, 3, 0, 0, 0, number, 0, 0, 0, 28, 0, 0, 0, 28]
      try Data(header + pixels).write(to: folder / "\(name)-images-idx3-ubyte")
      let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, number] + Array(0..<number)
      try Data(labels).write(to: folder / "\(name)-labels-idx1-ubyte")
    }
  }

  private func train(_ folder: TemporaryFolder, _ out: String, _ more: [String]) -> [String] {
    [
      "defend", "train", "--weights", (folder / "box.safetensors").path, "--denoiser-depth", "3",
      "--denoiser-width",
      "4", "--epochs", "2", "--batch-size", "16", "--checkpoint-interval", "0", "--out", (folder / out).path
    ] + Tool.tiny + more
  }

  private func autoencoder(_ folder: TemporaryFolder) -> [String] {
    ["--autoencoder", (folder / "autoencoder").path]
  }

  @Test("It pretrains, trains from queries, and certifies; the ledger holds the queries that were asked")
  func wholeWay() async throws {
    let folder = try await folder()
    let flags = autoencoder(folder) + ["--estimator", "rge", "--directions", "2", "--json"]
    let summary = try await Tool.run(train(folder, "defense", flags)).json()
    // 64 images twice: the clean answer, the point, and two sides of two directions.
    #expect(summary["queries"]?.integer == 128 * 6 && summary["ledger_queries"]?.integer == 128 * 6)
    func evaluate(_ out: String, sigma: String) async throws -> Tool.Outcome {
      try await Tool.run([
        "defend", "evaluate", "--weights", (folder / "box.safetensors").path, "--defense",
        (folder / "defense").path, "--data", "synthetic", "--limit", "4", "--n", "60", "--n0", "10",
        "--threads", "1", "--sigma", sigma, "--json", "--out", (folder / out).path
      ])
    }
    let evaluated = try await evaluate("evaluation", sigma: "0.25")
    let evaluation = try evaluated.json()
    #expect(evaluation["images"]?.integer == 4 && evaluation["certified_accuracy_0.25"] != nil)
    #expect(!evaluated.errors.contains("learned under noise"))
    #expect(try await evaluate("other", sigma: "0.5").errors.contains("the defence learned under noise of 0.25"))
    let report = try await Tool.run(["report", (folder / "defense").path])
    #expect(report.code == 0, "\(report.errors)")
  }

  @Test("A budget stops it with a checkpoint, and a larger one goes on to the undisturbed run's weights")
  func budget() async throws {
    let folder = try await folder()
    let flags = autoencoder(folder) + ["--estimator", "rge", "--directions", "2"]
    try expectSuccess(try await Tool.run(train(folder, "whole", flags)))
    let stopped = try await Tool.run(train(folder, "broken", flags + ["--query-budget", "300"]))
    #expect(stopped.code == 1 && stopped.errors.contains("the query budget is spent"), "\(stopped.errors)")
    let resumed = try await Tool.run(
      train(folder, "broken", flags + ["--query-budget", "768", "--resume", "--json"]))
    #expect(try resumed.json()["ledger_queries"]?.integer == 768)
    for file in [Defense.denoiserFileName, Defense.encoderFileName] {
      #expect(try sameBytes((folder / "whole").appending(path: file), (folder / "broken").appending(path: file)))
    }
  }

  @Test("Methods with gradients and without an autoencoder run too", arguments: ["fo-ds", "fo-ae-ds", "zo-ds"])
  func methods(method: String) async throws {
    let folder = try await folder()
    var flags = ["--method", method, "--directions", "2", "--json"]
    if method.contains("ae") { flags += autoencoder(folder) }
    let summary = try await Tool.run(train(folder, "defense", flags)).json()
    #expect(summary["queries"]?.integer == (method.hasPrefix("fo") ? 0 : 128 * 6))
    let defense = try Defense(contentsOf: folder / "defense")
    #expect((defense.autoencoder != nil) == method.contains("ae"))
  }

  @Test("A reconstructor, its defence and what is left of both under attack")
  func reconstruction() async throws {
    let folder = try TemporaryFolder()
    try writeDigits(to: folder)
    func tool(_ arguments: [String], _ out: String) async throws -> Tool.Outcome {
      try await Tool.run(
        arguments + ["--data", "mnist", "--data-dir", folder.url.path, "--threads", "1"]
          + ["--out", (folder / out).path])
    }
    let short =
      ["--epochs", "1", "--batch-size", "4", "--task", "reconstruction", "--json"] + ["--checkpoint-interval", "0"]
    for part in ["autoencoder", "reconstructor"] {
      let summary = try await tool(["defend", "pretrain", part] + short, part).json()
      #expect(try #require(summary["test_mse"]?.number) < 1)
    }
    let weights = ["--weights", (folder / "reconstructor/reconstructor.safetensors").path]
    let trained = try await tool(
      ["defend", "train", "--denoiser-depth", "3", "--denoiser-width", "4", "--estimator", "rge"]
        + ["--directions", "2"] + autoencoder(folder) + weights + short, "defense"
    ).json()
    #expect(trained["queries"]?.integer == 8 * 6 && trained["ledger_queries"]?.integer == 8 * 6)
    let attacked = try await tool(
      ["defend", "reconstruct", "--epsilons", "0,2", "--steps", "3", "--copies", "2", "--json"]
        + ["--defense", (folder / "defense").path] + weights, "attacked"
    ).json()
    let (before, after) = (attacked["rmse_0"]?.number, attacked["rmse_2"]?.number)
    #expect(try #require(after) > #require(before) && attacked["defended_ssim_2"] != nil)
    let report = try String(contentsOf: folder / "attacked/report.html", encoding: .utf8)
    #expect(report.contains("RMSE defended"))
    // A classifier is no reconstructor, and none is at hand behind a program.
    try ModelFile(Network(.smallCNN(input: [1, 28, 28], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    let wrong = try await tool(["defend", "reconstruct", "--weights", (folder / "box.safetensors").path], "wrong")
    #expect(wrong.code == 1 && wrong.errors.contains("is no reconstructor"), "\(wrong.errors)")
    let program = ["defend", "train", "--program", "true", "--task", "reconstruction", "--method", "zo-ds"]
    #expect(try await tool(program, "none").code == 64)
  }

  // MARK: - Programs

  private static let python = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"]
    .first(where: FileManager.default.isExecutableFile)

  /// A program of ten classes whose scores are sums of pixels; `answer` turns them into what it writes.
  private func program(_ folder: TemporaryFolder, feedback: String, answer: String) throws -> String {
    let text = """
      import array, json, math, os, sys, time
      inp, out = sys.stdin.buffer, sys.stdout.buffer
      open("\((folder / "pid").path)", "w").write(str(os.getpid()) + "\\n")
      out.write(b'{"classes": 10, "version": "7", "feedback": "\(feedback)"}\\n'); out.flush()
      def scores(pixels):
          part = len(pixels) // 10
          return [20 * sum(pixels[k * part:(k + 1) * part]) / part for k in range(10)]
      def softmax(values):
          powers = [math.exp(value - max(values)) for value in values]
          return [power / sum(powers) for power in powers]
      def answer(pixels):
          \(answer)
      while line := inp.readline():
          shape = json.loads(line)["shape"]
          pixels = array.array("f", inp.read(4 * math.prod(shape)))
          size = len(pixels) // shape[0]
          values = [answer(pixels[k * size:(k + 1) * size]) for k in range(shape[0])]
          out.write(json.dumps({"shape": [shape[0], 10], "datatype": "FP32"}).encode() + b"\\n")
          for row in values: array.array("f", row).tofile(out)
          out.flush()
      """
    let file = folder / "\(UUID().uuidString).py"
    try Data(text.utf8).write(to: file)
    return "\(Self.python ?? "python3") \(file.path)"
  }

  private func trainProgram(_ command: String, _ out: URL, _ more: [String] = []) -> [String] {
    [
      "defend", "train", "--program", command, "--method", "zo-ds", "--directions", "4", "--denoiser-depth", "3",
      "--denoiser-width", "4", "--epochs", "1", "--batch-size", "16", "--checkpoint-interval", "0", "--data",
      "synthetic", "--train-limit", "16", "--threads", "1", "--precision", "float32", "--out", out.path
    ] + more
  }

  @Test(
    "A step is chosen that rounded answers do not turn to noise, and a run that is resumed keeps it",
    .enabled(if: python != nil))
  func rounded() async throws {
    let folder = try TemporaryFolder()
    let command = try program(
      folder, feedback: "probabilities", answer: "return [round(value, 3) for value in softmax(scores(pixels))]")
    let outcome = try await Tool.run(trainProgram(command, folder / "defense", ["--json"]))
    let summary = try outcome.json()
    #expect(outcome.errors.contains("rounded to steps of 0.001"), "\(outcome.errors)")
    let rows = try String(contentsOf: folder / "defense/metrics.jsonl", encoding: .utf8)
    #expect(rows.contains(#""zero_differences":"#), "\(rows)")
    let step = try #require(summary["smoothing_step"]?.number)
    #expect(step > 0.005 && outcome.errors.contains("over steps of \(step) in place of 0.005"), "\(outcome.errors)")
    // A step of the user's own is kept, and told of.
    let own = try await Tool.run(
      trainProgram(command, folder / "own", ["--json", "--smoothing-step", "0.005"]))
    #expect(
      own.code == 1 && own.errors.contains("too coarse") || own.errors.contains("--smoothing-step \(step)"),
      "\(own.errors)")
  }

  @Test("Answers of whole numbers stop it before training", .enabled(if: python != nil))
  func coarse() async throws {
    let folder = try TemporaryFolder()
    let command = try program(
      folder, feedback: "probabilities", answer: "return [float(v == max(scores(pixels))) for v in scores(pixels)]")
    let outcome = try await Tool.run(trainProgram(command, folder / "defense"))
    #expect(outcome.code == 1 && outcome.errors.contains("too coarse or too noisy"), "\(outcome.errors)")
  }

  @Test(
    "Pixels are cut off where a model takes those in [0, 1] alone, which is recorded", .enabled(if: python != nil))
  func clip() async throws {
    let folder = try TemporaryFolder()
    let command = try program(
      folder, feedback: "logits",
      answer: "assert min(pixels) >= 0 and max(pixels) <= 1; return scores(pixels)")
    func evaluate(_ out: String, _ more: [String]) async throws -> Tool.Outcome {
      try await Tool.run(
        [
          "defend", "evaluate", "--program", command, "--data", "synthetic", "--limit", "2", "--n", "60", "--n0",
          "10",
          "--threads", "1", "--json", "--out", (folder / out).path
        ] + more)
    }
    #expect(try await evaluate("refused", []).errors.contains("ended before it answered"))
    let clipped = try await evaluate("clipped", ["--clip"])
    #expect(try clipped.json()["model_version"]?.string == "7 clipped", "\(clipped.errors)")
    let config = try String(contentsOf: folder / "clipped/config.yaml", encoding: .utf8)
    #expect(config.contains("clip: true"))
  }

  @Test("NaN counts as another class, with the number of copies and images", .enabled(if: python != nil))
  func nonNumbers() async throws {
    let folder = try TemporaryFolder()
    let command = try program(
      folder, feedback: "logits", answer: "return [math.nan] * 10 if pixels[0] > 0.6 else scores(pixels)")
    let outcome = try await Tool.run([
      "defend", "evaluate", "--program", command, "--data", "synthetic", "--limit", "4", "--n", "60", "--n0", "10",
      "--threads", "1", "--json", "--out", (folder / "run").path
    ])
    let count = try #require(try outcome.json()["no_answer"]?.integer, "\(outcome.errors)")
    let rows = try CertifiedTable.read(folder / "run/certified.tsv")
    #expect(count > 0 && rows.reduce(0) { $0 + ($1.unanswered ?? 0) } == count)
    #expect(outcome.errors.contains("\(count) noisy copies of"), "\(outcome.errors)")
  }

  @Test(
    "One interrupt ends a run whose program hangs, and the program with it; so does a kill",
    .enabled(if: python != nil), arguments: [SIGINT, SIGKILL])
  func hanging(signal: Int32) async throws {
    let folder = try TemporaryFolder()
    let command = try program(folder, feedback: "logits", answer: "time.sleep(1000)")
    let outcome = try await Tool.run(
      trainProgram(command, folder / "defense"), sending: signal, once: folder / "pid", hasLines: 1)
    #expect(signal == SIGKILL ? outcome.wasKilled : outcome.code == 130, "\(outcome.code) \(outcome.errors)")
    let text = try String(contentsOf: folder / "pid", encoding: .utf8)
    let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    let deadline = ContinuousClock.now + .seconds(60)
    while kill(child, 0) == 0, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(50)) }
    #expect(kill(child, 0) != 0)
  }

  @Test("A program that hangs is given up after --timeout", .enabled(if: python != nil))
  func timeout() async throws {
    let folder = try TemporaryFolder()
    let command = try program(folder, feedback: "logits", answer: "time.sleep(1000)")
    let outcome = try await Tool.run(trainProgram(command, folder / "defense", ["--timeout", "3"]))
    #expect(
      outcome.code == 1 && outcome.errors.contains("does not answer (expected an answer within 3.0 seconds)"),
      "\(outcome.errors)")
  }

  @Test("Wrong usage is told before anything is done")
  func usage() async throws {
    for (flags, words) in [
      (["--weights", "x"], "needs --autoencoder"),
      (["--autoencoder", "y"], "either --weights, --program or --endpoint"),
      (["--weights", "x", "--method", "zo-ds", "--sigma", "0"], "--sigma"),
      (["--weights", "x", "--method", "zo-ds", "--layout", "NHWC"], "--layout needs --endpoint"),
      (["--weights", "x", "--method", "zo-ds", "--feedback", "labels", "--estimator", "rge"], "--estimator labels")
    ] {
      let outcome = try await Tool.run(["defend", "train"] + flags)
      #expect(outcome.code == 64 && outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  private func expectSuccess(_ outcome: Tool.Outcome) throws {
    try #require(outcome.code == 0, "\(outcome.errors)")
  }
}
