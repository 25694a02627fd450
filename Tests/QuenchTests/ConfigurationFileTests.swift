import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import quench

@Suite("The configuration file") struct ConfigurationFileTests {
  private func expand(_ arguments: [String], _ content: String) throws -> [String] {
    let folder = try TemporaryFolder()
    try Data(content.utf8).write(to: folder / "file.yaml")
    let path = (folder / "file.yaml").path
    return try ConfigurationFile.expand(
      arguments.map { $0.replacingOccurrences(of: "FILE", with: path) }, help: Quench._dumpHelp()
    )
    .map { $0.replacingOccurrences(of: path, with: "FILE") }
  }

  private func refusal(_ content: String) -> InputError? {
    #expect(throws: InputError.self) { try expand(["train", "--config", "FILE"], content) }
  }

  @Test("becomes flags behind the command's name and before those typed, which win") func order() throws {
    let content = "learning-rate: 0.05\ndata: cifar10\nresume: true\naugmentation: false\njson: false\nseed: -3\n"
    let expanded = try expand(["train", "--config", "FILE", "--learning-rate", "0.2"], content)
    #expect(
      expanded == [
        "train", "--learning-rate=0.05", "--data=cifar10", "--resume", "--no-augmentation", "--seed=-3", "--config",
        "FILE", "--learning-rate", "0.2"
      ])
    let command = try TrainCommand.parse(Array(expanded.dropFirst()))
    #expect(command.recipe.learningRate == 0.2)
    #expect(command.options.data.data == .cifar10)
    #expect(command.options.run.resume && !command.recipe.augmentation)
    #expect(command.options.run.seed == -3)
  }

  @Test("is found as --config=file and behind two command words") func places() throws {
    #expect(
      try expand(["prune", "bip", "--config=FILE", "--keep", "0.2"], "gamma: 10")
        == ["prune", "bip", "--gamma=10", "--config=FILE", "--keep", "0.2"])
    #expect(try expand(["prune", "omp", "--config=FILE"], "") == ["prune", "omp", "--config=FILE"])
    #expect(try ConfigurationFile.expand(["train", "--quiet"], help: "") == ["train", "--quiet"])
    #expect(try ConfigurationFile.expand(["train", "--config"], help: "") == ["train", "--config"])
  }

  @Test("and a command line may call a flag by its earlier name, which means one thing a command")
  func earlierNames()
    throws
  {
    let evaluate = ["cryo", "evaluate", "--config", "FILE"]
    #expect(try expand(evaluate, "budget: 60\n") == ["cryo", "evaluate", "--minutes=60", "--config", "FILE"])
    func typed(_ arguments: [String]) throws -> [String] { try ConfigurationFile.expand(arguments, help: "") }
    #expect(try typed(["cryo", "live", "--budget", "60"]) == ["cryo", "live", "--minutes", "60"])
    #expect(try typed(["defend", "train", "--budget=6"]) == ["defend", "train", "--query-budget=6"])
    #expect(try typed(["serve", "--", "--budget"]) == ["serve", "--", "--budget"])
    #expect(try typed(["attack", "pgd", "--budget", "1"]) == ["attack", "pgd", "--budget", "1"])
    #expect(!Quench._dumpHelp().contains(#""name":"budget""#) && !Quench._dumpHelp().contains("--budget"))
  }

  @Test("with a key that no flag has is refused with the file, the key and the nearest one") func unknownKeys()
    throws
  {
    let error = try #require(refusal("epochs: 3\nlerning-rate: 0.1\n"))
    #expect(error.location?.hasSuffix("file.yaml, key 'lerning-rate'") == true)
    #expect(error.remedy == "did you mean 'learning-rate'?")
    #expect(refusal("gamma: 1\n") != nil)
    #expect(refusal("config: other.yaml\n") != nil)
    #expect(refusal("no-augmentation: true\n")?.remedy == "did you mean 'augmentation'?")
  }

  @Test("with anything but plain values is refused") func nested() throws {
    #expect(try #require(refusal("data:\n  name: cifar10\n")).location?.contains("key 'data'") == true)
    #expect(refusal("epochs: [[1], 2]\n") != nil)
    #expect(refusal("epochs:\n") != nil)
    #expect(refusal("resume: 3\n") != nil)
    #expect(refusal("- epochs\n") != nil)
    #expect(refusal("epochs: [\n") != nil)
  }

  @Test("that is not there is named") func absent() {
    #expect(throws: InputError.self) {
      try ConfigurationFile.expand(["train", "--config", "/nowhere/file.yaml"], help: Quench._dumpHelp())
    }
  }

  @Test(
    "distances between words count single changes",
    arguments: [
      ("", "", 0), ("keep", "", 4), ("", "keep", 4), ("kitten", "sitting", 3), ("learning_rate", "learning-rate", 1)
    ])
  func distance(a: String, b: String, expected: Int) {
    #expect(a.distance(to: b) == expected)
  }
}
