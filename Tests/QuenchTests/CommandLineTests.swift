import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision
import TestSupport
import Testing

@testable import quench

/// Every command line that the documentation shows can be run as it is printed.
@Suite("Command lines that are shown") struct CommandLineTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private static func files(_ folder: String, _ suffix: String) throws -> [URL] {
    let folder = root.appending(path: folder)
    return try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(suffix) }.sorted()
      .map { folder.appending(path: $0) }
  }

  /// Every page that shows commands.
  private static func pages() throws -> [URL] {
    ["README.md", "RESULTS.md", "CONTRIBUTING.md", "Benchmarks/README.md"].map { root.appending(path: $0) }
      + (try files("docs", ".md") + files("Sources", ".md"))
  }

  private static func help(_ json: String) throws -> Record {
    try #require(try Value(json: Data(json.utf8), name: "help").record?["command"]?.record)
  }

  @Test("of pages, articles and help texts parse, all of them") func parse() throws {
    let shown =
      try Self.pages().flatMap { try ShownCommand.find(inPage: $0) }
      + ShownCommand.find(inHelpOf: Self.help(Quench._dumpHelp()))
    #expect(shown.count > 150, "\(shown.count) command lines were found")
    for command in shown {
      do { try Self.parse(command.words) } catch {
        Issue.record("\(command): \(Quench.message(for: error))")
      }
    }
  }

  private static func parse(_ words: [String]) throws {
    var command: any ParsableCommand.Type = Quench.self
    // Another machine's device.
    var rest = words.dropFirst().map { $0 == "cuda" ? "cpu" : $0 }[...]
    // The command's own type parses much faster than the root does, which looks at every command there is.
    while let word = rest.first,
      let next = command.configuration.subcommands.first(where: { $0.configuration.commandName == word })
    { (command, rest) = (next, rest.dropFirst()) }
    do { _ = try command.parseAsRoot(Array(rest)) } catch {
      // Help, a version and a completion script are asked for by what the parser throws.
      guard command.exitCode(for: error).isSuccess else { throw error }
    }
  }

  @Test("in passing, in errors, reports and pages, name commands and flags that there are") func mentions() throws {
    let help = try Self.help(Quench._dumpHelp())
    var count = 0
    for file in try Self.files("Sources", ".swift") + Self.pages() {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(of: /['`]quench ([a-z][^'`\n\\]*)/) {
        count += 1
        Self.check(match.1.split(separator: " ").map(String.init), help, "\(file.lastPathComponent): \(match.0)")
      }
    }
    #expect(count > 40)
  }

  private static func check(_ words: [String], _ help: Record, _ place: String) {
    var (command, rest) = (help, words[...])
    while let word = rest.first, let next = subcommand(word, of: command) {
      (command, rest) = (next, rest.dropFirst())
    }
    #expect(rest.count < words.count, "\(place)")
    if let name = command["defaultSubcommand"]?.string, let next = subcommand(name, of: command) { command = next }
    let names = (command["arguments"]?.array ?? []).flatMap { $0.record?["names"]?.array ?? [] }
      .compactMap { $0.record?["name"]?.string }
    for flag in rest where flag.hasPrefix("--") {
      #expect(names.contains(String(flag.dropFirst(2).prefix { $0 != "=" })), "\(place) has no \(flag)")
    }
  }

  private static func subcommand(_ name: String, of command: Record) -> Record? {
    (command["subcommands"]?.array ?? []).compactMap(\.record).first { $0["commandName"]?.string == name }
  }

  /// What makes a matter of a second or two of any command that has such flags.
  private static let tiny = [
    "data": "synthetic", "model": "small-cnn", "limit": "24", "train-limit": "64", "epochs": "1",
    "dense-epochs": "2",
    "batch-size": "8", "seeds": "1", "threads": "1", "precision": "float32", "train-pairs": "8", "test-pairs": "4",
    "depth": "4", "width": "8", "n": "200", "n0": "20", "alpha": "0.05", "queries": "20", "steps": "4",
    "tiles": "1",
    "patches": "3", "holes": "12", "seconds": "0"
  ]

  /// The command with the flags of ``tiny`` that it has.
  private static func quick(_ words: [String], _ help: Record, leaving kept: [String] = []) -> [String] {
    var (command, rest) = (help, words.dropFirst())
    while let word = rest.first, let next = subcommand(word, of: command) {
      (command, rest) = (next, rest.dropFirst())
    }
    if let name = command["defaultSubcommand"]?.string, let next = subcommand(name, of: command) { command = next }
    let options = (command["arguments"]?.array ?? []).compactMap(\.record).filter { $0["kind"]?.string == "option" }
      .flatMap { ($0["names"]?.array ?? []).compactMap { $0.record?["name"]?.string } }
    // Where there are no images to be read, these say what a file of weights is.
    var passedOver = options.contains("limit") ? [] : ["data", "model"]
    // An attack refuses what it has no use for, and so does the evaluation of a denoiser.
    if words[1...].starts(with: ["red", "evaluate"]) { passedOver += ["data", "limit", "train-limit"] }
    if words[1...].starts(with: ["defend", "pretrain"]) { passedOver += ["model"] }
    if words.contains("int8") { passedOver += ["precision"] }
    if words[1] == "attack" { passedOver += ["train-limit"] + (words.contains("autoattack") ? [] : ["queries"]) }
    let flags = options.filter { !(passedOver + kept).contains($0) }.flatMap { name in
      tiny[name].map { ["--\(name)", $0] } ?? []
    }
    // A network of one epoch answers by chance, and an attack needs right answers; one that learns from images as they
    // are is soon so sure of them that no attack succeeds.
    let epochs = words.contains("--no-augmentation") ? "2" : "8"
    return words.dropFirst() + flags + (words[1] == "train" ? ["--epochs", epochs] : [])
  }

  @Test(
    "of a page run in its order, in one folder, on tiny data",
    arguments: [
      "README.md", "YourFirstPrunedModel.md", "PruneAndShipAModel.md", "TestAModel.md",
      "DefendAModelBehindAnAPI.md", "AMicroscopesDay.md"
    ])
  func run(page: String) async throws {
    let folder = try TemporaryFolder()
    try await Self.run(Self.page(page), in: folder)
  }

  private static func page(_ name: String) throws -> URL {
    try #require(
      (try files("Sources", ".md") + [root.appending(path: "README.md")]).first { $0.lastPathComponent == name })
  }

  private static func run(_ page: URL, in folder: TemporaryFolder, leaving kept: [String] = []) async throws {
    let help = try help(Quench._dumpHelp())
    // The demo is tested by itself; what a server answers, in its own tests.
    let commands = try ShownCommand.find(inPage: page).filter { !$0.needsMore && $0.words[1] != "demo" }
    #expect(commands.count > 4)
    for command in commands {
      let arguments = quick(command.words, help, leaving: kept)
      let outcome = try await Tool.run(arguments, in: folder.url)
      try #require(outcome.code == 0, "\(command)\n\(arguments.joined(separator: " "))\n\(outcome.errors)")
    }
  }

  /// A Python with torch and torchvision.
  private static let python = ProcessInfo.processInfo.environment["QUENCH_TORCH_PYTHON"]

  @Test(
    "of the page on a network from PyTorch run in their order, after the Python that it prints",
    .enabled(if: python != nil, "QUENCH_TORCH_PYTHON names no Python with torch and torchvision"),
    .enabled(if: Datasets.find(.fashionMNIST, split: .train) != nil, "Fashion-MNIST is absent"))
  func fromPyTorch() async throws {
    let page = try Self.page("ANetworkFromPyTorch.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    let block = try #require(text.firstMatch(of: /```python\n((?s).*?)```/)?.1)
    let folder = try TemporaryFolder()
    let images = try #require(Datasets.find(.fashionMNIST, split: .train))
    let raw = "data/FashionMNIST/raw"
    // Where torchvision finds them in place of downloading them, and few enough for a test.
    let prelude = """
      import gzip, os, pathlib, shutil
      os.makedirs("\(raw)", exist_ok=True)
      for file in pathlib.Path("\(images.path)").glob("*ubyte*"):
          source = gzip.open(file) if file.suffix == ".gz" else open(file, "rb")
          shutil.copyfileobj(source, open(f"\(raw)/{file.name.removesuffix('.gz')}", "wb"))
      """
    try Data("\(prelude)\n\(block.replacing(".split(128)", with: ".split(128)[:8]"))".utf8)
      .write(to: folder / "train.py")
    let process = Process()
    process.executableURL = URL(filePath: try #require(Self.python))
    process.arguments = ["train.py"]
    process.currentDirectoryURL = folder.url
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    try await Self.run(page, in: folder, leaving: ["data", "model"])
  }
}
