import Foundation
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

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
    let evaluation = try await evaluate("evaluation", sigma: "0.25").json()
    #expect(evaluation["images"]?.integer == 4 && evaluation["certified_accuracy_0.25"] != nil)
    let report = try await Tool.run(["report", (folder / "defense").path])
    #expect(report.code == 0, "\(report.errors)")
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
      own.code == 1 && own.errors.contains("too coarse") || own.errors.contains("a smoothing step of \(step)"),
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
      (["--weights", "x"], "--autoencoder: zo-ae-ds needs an autoencoder"),
      (["--autoencoder", "y"], "--weights: the model is named by either weights, program or endpoint"),
      (["--weights", "x", "--method", "zo-ds", "--sigma", "0"], "--sigma"),
      (["--weights", "x", "--method", "zo-ds", "--layout", "NHWC"], "--layout: this describes an endpoint"),
      (["--weights", "x", "--method", "zo-ds", "--price-per-1000", "-1"], "--price-per-1000"),
      (
        ["--weights", "x", "--method", "zo-ds", "--feedback", "labels", "--estimator", "rge"],
        "--estimator: the model tells labels alone (expected labels"
      )
    ] {
      let outcome = try await Tool.run(["defend", "train"] + flags)
      #expect(outcome.code == 64 && outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  private func expectSuccess(_ outcome: Tool.Outcome) throws {
    try #require(outcome.code == 0, "\(outcome.errors)")
  }
}
