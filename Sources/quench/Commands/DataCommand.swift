import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

/// What data sets there are, where they lie, what is in them.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "List, fetch, check and look at data sets.",
    discussion: """
      Examples:
        quench data list
        quench data fetch cifar10
        quench data check folder --data-dir ~/pictures
        quench data preview fashion-mnist --out preview.html
      """,
    subcommands: [DataListCommand.self, DataFetchCommand.self, DataCheckCommand.self, DataPreviewCommand.self])
}

/// One data set, named by an argument.
struct DataArguments: ParsableArguments {
  @ArgumentParser.Argument(help: "The data set; 'quench data list' describes them.")
  var name: DataName

  @Option(help: ArgumentHelp("Folder that holds the data set's files.", valueName: "dir"), completion: .directory)
  var dataDir: String?

  @Option(
    help: ArgumentHelp("Resize the pictures of a folder and crop their middle to n x n pixels.", valueName: "n"))
  var imageSize: Int?

  var directory: URL? { dataDir.map { URL(filePath: $0, directoryHint: .isDirectory) } }

  func validate() throws {
    if let imageSize, !(1...8192).contains(imageSize) { throw ValidationError("--image-size must be 1 to 8192.") }
  }

  func load(_ split: DataSplit, useCache: Bool = true) throws(InputError) -> ImageDataset {
    var options = QuenchVision.DataOptions()
    options.skipCorrupt = true
    options.useCache = useCache
    if let imageSize { options.size = .cropped(imageSize, shorterSide: imageSize) }
    return try Datasets.load(name, directory: directory, split: split, options: options)
  }
}

struct DataListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the data sets: what each is, where it lies or how to get it.",
    discussion: """
      Examples:
        quench data list
        quench data list --json
      """)

  @OptionGroup var output: OutputOptions

  func run() throws {
    let entries = DataName.allCases.map(Entry.init)
    let text = entries.map { entry in
      let name = entry.name.rawValue.padding(toLength: 15, withPad: " ", startingAt: 0)
      return "\(name)\(entry.name.summary)\n               \(entry.state)"
    }
    output.printResult(["data_sets": .array(entries.map { .object($0.record) })], text.joined(separator: "\n"))
  }

  private struct Entry {
    let name: DataName
    let folder: URL?
    /// Images for training and for testing; nil where the files are not there or do not tell.
    let counts: (train: Int?, test: Int?)

    init(_ name: DataName) {
      self.name = name
      folder = Datasets.find(name)
      func count(_ split: DataSplit) -> Int? { (try? Datasets.count(name, split: split)) ?? nil }
      counts = (count(.train), count(.test))
    }

    var state: String {
      guard let folder else { return name == .synthetic ? "always at hand" : "not found: \(remedy)" }
      func text(_ count: Int?) -> String { count.map { NumberText.fixed(Double($0), decimals: 0) } ?? "no" }
      return "found in \(folder.path): \(text(counts.train)) training, \(text(counts.test)) test images"
    }

    var remedy: String {
      switch name {
      case .folder: "give yours with --data-dir"
      case .tinyImageNet: "get tiny-imagenet-200.zip from its authors, unpack it and say where with --data-dir"
      case .synthetic: ""
      case .fashionMNIST:
        "quench data fetch \(name.rawValue), or install Debian's package dataset-fashion-mnist"
      case .mnist, .cifar10, .cifar100: "quench data fetch \(name.rawValue)"
      }
    }

    var record: Record {
      [
        "name": .string(name.rawValue), "summary": .string(name.summary),
        "folder": folder.map { .string($0.path) } ?? .null, "train": counts.train.map { .int($0) } ?? .null,
        "test": counts.test.map { .int($0) } ?? .null,
        "remedy": folder == nil && name != .synthetic ? .string(remedy) : .null
      ]
    }
  }
}

struct DataFetchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fetch", abstract: "Download a data set's original files and check them.",
    discussion: """
      Files that are there already are left alone. Every file must have the SHA-256
      of the original.

      Examples:
        quench data fetch fashion-mnist
        quench data fetch cifar10 --data-dir ~/data/cifar10
      """)

  @ArgumentParser.Argument(help: "fashion-mnist, mnist, cifar10 or cifar100.")
  var name: DataName

  @Option(help: ArgumentHelp("Folder to put the files into.", valueName: "dir"), completion: .directory)
  var dataDir: String?

  @OptionGroup var output: OutputOptions

  /// Fetches a data set into a folder, or where data sets are looked for.
  /// - Returns: The folder.
  @discardableResult
  static func fetch(_ name: DataName, to folder: URL?, _ console: RunConsole) throws -> URL {
    let directory = folder ?? DataLocations().data.appending(path: name.rawValue, directoryHint: .isDirectory)
    try Blocking.run {
      try await DataFetcher().fetch(name, to: directory) { console.note("Fetching \($0)") }
    }
    return directory
  }

  func run() throws {
    let directory = try Self.fetch(
      name, to: dataDir.map { URL(filePath: $0, directoryHint: .isDirectory) }, output.console)
    output.printResult(
      ["name": .string(name.rawValue), "folder": .string(directory.path)],
      "\(name.rawValue) is in \(directory.path)")
  }
}
