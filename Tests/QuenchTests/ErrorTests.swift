import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

/// What goes wrong is told in a line that helps, and by the exit code.
@Suite("Errors of quench") struct ErrorTests {
  private static let train = ["train", "--model", "small-cnn", "--epochs", "1"] + Tool.tiny

  @Test(
    "wrong usage exits with 64 and names the value",
    arguments: [
      (["train", "--model", "resnet21"], "resnet21"), (["train", "--data", "cifar11"], "cifar11"),
      (["train", "--device", "abacus"], "abacus"), (["train", "--epochs", "-1"], "--epochs"),
      (["train", "--batch-size", "1"], "--batch-size"), (["train", "--model", "dncnn"], "found 'dncnn'"),
      (["train", "--lerning-rate", "1"], "--learning-rate"), (["train", "--limit", "0"], "--limit"),
      (["train", "--threads", "0"], "--threads"), (["train", "--warm-up", "11"], "--warm-up"),
      (["evaluate"], "--weights"), (["prune", "omp", "--keep", "0"], "found 0.0"),
      (["prune", "omp", "--keep", "1.2"], "found 1.2"), (["prune", "bip", "--sparsity", "1"], "--sparsity"),
      (["prune", "bip", "--keep", "0.1", "--sparsity", "0.9"], "not both"), (["prune", "bip"], "--keep"),
      (["prune", "bip", "--keep", "0.1", "--gamma", "0"], "--gamma")
    ])
  func usage(arguments: [String], word: String) async throws {
    let outcome = try await Tool.run(arguments)
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
    #expect(outcome.output == "")
  }

  @Test(
    "a name that there is not is refused with the one that was probably meant, and with no other",
    arguments: [
      (["trian"], "there is no command 'trian'", "did you mean 'train'?"),
      (["prun", "bip"], "there is no command 'prun'", "did you mean 'prune'?"),
      (["prune", "bpi", "--keep", "0.1"], "there is no command 'bpi'", "did you mean 'bip'?"),
      (["cryo", "plan", "--surve", "x"], "there is no flag '--surve'", "did you mean '--survey'?"),
      (["prune", "bip", "--wieghts=x"], "there is no flag '--wieghts'", "did you mean '--weights'?"),
      (["train", "--model", "ResNet20"], "--model: no such value", "did you mean 'resnet20'?"),
      (["train", "--epochs", "1", "--data=cifar-10"], "--data: no such value", "did you mean 'cifar10'?"),
      (["data", "fetch", "Fashion_MNIST"], "there is no 'Fashion_MNIST'", "did you mean 'fashion-mnist'?"),
      (["attack", "autoatack", "--weights", "x"], "there is no 'autoatack'", "did you mean 'autoattack'?"),
      (["train", "--lerning-rate", "1"], "there is no flag '--lerning-rate'", "did you mean '--learning-rate'?"),
      (["prune", "study", "--methods", "foo"], "--methods: no such method", nil),
      (["bake"], "there is no command 'bake' (expected demo, run, study, train", nil)
    ] as [([String], String, String?)])
  func unknownNames(arguments: [String], problem: String, suggestion: String?) async throws {
    let outcome = try await Tool.run(arguments)
    #expect(outcome.code == 64 && outcome.output == "")
    let line = outcome.errors.prefix { $0 != "\n" }
    #expect(line.hasPrefix("error: ") && line.contains(problem), "\(outcome.errors)")
    if let suggestion { #expect(line.contains(suggestion), "\(line)") }
    #expect(line.lowercased().contains("did you mean") == (suggestion != nil), "\(line)")
  }

  @Test(
    "with --json a failure is one object on standard output, and still a line on the other stream",
    arguments: [
      (["evaluate", "--weights", "absent.pt", "--json"], 1, "absent.pt"),
      (["train", "--model", "ResNet20", "--json"], 64, "--model"),
      (["train", "--json", "--threads", "0"], 64, nil), (["trian", "--json"], 64, nil)
    ] as [([String], Int, String?)])
  func jsonFailures(arguments: [String], code: Int, location: String?) async throws {
    let outcome = try await Tool.run(arguments)
    let failure = try outcome.json()
    #expect(Int(outcome.code) == code && failure["exit_code"]?.integer == code)
    let message = try #require(failure["error"]?.string)
    #expect(outcome.errors.hasPrefix("error: \(message)"), "\(outcome.errors)")
    if let location { #expect(failure["location"]?.string?.contains(location) == true, "\(failure)") }
  }

  @Test("a key of the configuration file that no flag has is named with the nearest one") func unknownKey()
    async throws
  {
    let folder = try TemporaryFolder()
    let file = folder / "recipe.yaml"
    try Data("learning_rate: 0.1\n".utf8).write(to: file)
    try await expectError(
      ["train", "--config", file.path], code: 64,
      ["recipe.yaml", "'learning_rate'", "did you mean 'learning-rate'?"])
  }

  @Test("a folder that holds something is left alone") func nonEmpty() async throws {
    let folder = try TemporaryFolder()
    try Data("mine".utf8).write(to: folder / "notes.txt")
    try await expectError(Self.train + ["--out", folder.url.path], code: 1, ["not empty", "--out"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["notes.txt"])
  }

  @Test("a file where the folder should be is told of") func fileInTheWay() async throws {
    let folder = try TemporaryFolder()
    try Data().write(to: folder / "run")
    try await expectError(Self.train + ["--out", (folder / "run").path], code: 1, ["this is a file"])
    try await expectError(Self.train + ["--out", (folder / "run/deeper").path], code: 1, ["cannot be made"])
  }

  @Test("resuming where no run is says so") func nothingToResume() async throws {
    let folder = try TemporaryFolder()
    try await expectError(Self.train + ["--resume", "--out", folder.url.path], code: 1, ["there is no run here"])
  }

  #if os(Linux)
    @Test(
      "a full disk ends the run with the file's name", .enabled(if: SmallDisk.isPossible, "mounting needs root"))
    func fullDisk() async throws {
      let disk = try SmallDisk(kilobytes: 64)
      try await expectError(
        Self.train + ["--out", disk.url.appending(path: "run").path], code: 1, ["safetensors", "space"])
      withExtendedLifetime(disk) {}
    }
  #endif

  @Test("weights that do not fit are refused with what was expected and found") func wrongWeights() async throws {
    let folder = try TemporaryFolder()
    let file = folder / "weights.safetensors"
    let evaluate = ["evaluate", "--weights", file.path] + Tool.tiny

    try ModelFixture.smallCNN(classes: 7).write(to: file)
    try await expectError(evaluate, code: 1, ["classes", "expected 10, found 7"])
    try ModelFixture.smallCNN(side: 28).write(to: file)
    try await expectError(evaluate, code: 1, ["expected [3, 32, 32], found [3, 28, 28]"])

    let bare = try ModelFixture.smallCNN(classes: 7).network.state
    try Safetensors.write(bare, to: file)
    try await expectError(evaluate, code: 1, ["does not say which architecture", "--model"])
    try await expectError(
      evaluate + ["--model", "small-cnn"], code: 1, ["another number of classes", "expected 10, found 7"])
    try await expectError(evaluate + ["--model", "resnet20"], code: 1, ["not those of resnet20"])
  }

  @Test("weights that hold NaN are refused") func notANumber() async throws {
    let folder = try TemporaryFolder()
    let file = folder / "weights.safetensors"
    let model = try ModelFixture.smallCNN()
    withoutGradient { model.network.parameters[0].tensor.copy(from: Tensor(.nan)) }
    try model.write(to: file)
    try await expectError(
      ["evaluate", "--weights", file.path] + Tool.tiny, code: 1, [model.network.parameters[0].name, "NaN"])
    try await expectError(
      ["prune", "omp", "--keep", "0.5", "--weights", file.path] + Tool.tiny, code: 1, ["NaN"])
  }

  @Test(
    "files that are no weights are refused",
    arguments: [Data("PK\u{5}\u{6}".utf8) + Data(count: 18), Data(), Data(count: 100)])
  func noWeights(content: Data) async throws {
    let folder = try TemporaryFolder()
    let file = folder / "weights.pt"
    try content.write(to: file)
    try await expectError(["evaluate", "--weights", file.path] + Tool.tiny, code: 1, [file.path])
    try await expectError(
      ["evaluate", "--weights", (folder / "absent.pt").path] + Tool.tiny, code: 1, ["absent.pt"])
  }

  /// One line on the standard error stream, with every one of `words`.
  private func expectError(_ arguments: [String], code: Int32, _ words: [String]) async throws {
    let outcome = try await Tool.run(arguments + ["--quiet"])
    #expect(outcome.code == code)
    #expect(outcome.output == "")
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    for word in words { #expect(outcome.errors.contains(word), "\(outcome.errors)") }
  }
}
