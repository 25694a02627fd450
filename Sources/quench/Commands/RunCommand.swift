import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Perform an experiment from a file, such as another run's config.yaml.",
    discussion: """
      Examples:
        quench run runs/train/config.yaml --out runs/again
        quench run runs/train/config.yaml --set seed=2 --set epochs=20
        quench run experiment.yaml   with lines such as 'kind: prune-bip' and
                                     'settings: {keep: 0.1, weights: net.safetensors}'

      A run's folder is replayed to the same outcome where threads, device and
      precision are the same. Settings that the file leaves out have their defaults.
      """)

  @ArgumentParser.Argument(
    help: "The experiment: kind and settings in YAML.", completion: .file(extensions: ["yaml", "yml"]))
  var file: String

  @Option(help: ArgumentHelp("Change one setting; can be repeated.", valueName: "key=value"))
  var set: [String] = []

  @Option(
    help: ArgumentHelp(
      "Folder for everything that the run writes; unless given, one in runs/ that is named after the kind.",
      valueName: "dir"), completion: .directory)
  var out: String?

  @Flag(help: "Continue the run in the --out folder, or the kind's latest in runs/, from its last checkpoint.")
  var resume = false

  @Option(help: RankOptions.deviceHelp) var device = "auto"

  @Option(help: ArgumentHelp("CPU threads; all cores unless given.", valueName: "n"))
  var threads: Int?

  @Flag(help: RankOptions.standaloneHelp) var standalone = false
  @Option(help: RankOptions.timeoutHelp) var rankTimeout = 60.0

  @OptionGroup var output: OutputOptions

  private var ranks: RankOptions { RankOptions(standalone: standalone, timeout: rankTimeout) }

  func validate() throws {
    try ranks.validate()
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1.") }
    for pair in set where !pair.dropFirst().contains("=") {
      throw ValidationError("--set takes key=value, such as seed=2, not '\(pair)'.")
    }
  }

  func run() throws {
    if let threads { LibTorch.threads = threads }
    let record = try RunRecord(contentsOf: URL(filePath: file))
    let type = try Experiments.known(record.experimentKind, at: file)
    var settings = record.settings
    for pair in set {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      settings[parts[0]] = try Value(yaml: Data(parts[1].utf8), name: "--set \(parts[0])")
    }
    try perform(type, settings)
  }

  private func perform<Work: Experiment>(_ type: Work.Type, _ settings: Record) throws {
    if !Work.isShared { try ranks.requireAlone() }
    Interruption.watch()
    let lab = Lab(device: try ranks.device(named: device), output)
    let experiment = try Work(settings: settings, name: file)
    try ranks.together(lab, json: output.json) { lab in
      let folder = try RankFolder(lab.ranks, resumes: resume) {
        let url =
          out.map { URL(filePath: $0, directoryHint: .isDirectory) }
          ?? RunFolder.location(named: Work.kind, latest: resume)
        try RunFolder.check(url, resume: resume)
        if resume { try RunFolder(existing: url).record().settlePrecision() }
        return url
      }
      let run = try lab.perform(experiment, in: folder.url, resumes: resume)
      if lab.ranks.rank == 0 { try output.printOutcome(of: run) }
    }
  }
}
