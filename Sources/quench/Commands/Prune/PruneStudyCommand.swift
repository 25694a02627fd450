import ArgumentParser
import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

struct PruneStudyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Compare pruning methods over keep ratios and seeds, in one report.",
    discussion: """
      Examples:
        quench prune study --methods bip,imp,omp --keep 0.512,0.2097,0.0859 \\
          --seeds 3 --out runs/study
        quench prune study --methods bip,bip:mode=repo-tied,bip:gamma=10 \\
          --keep 0.1 --hold-out 5000
        quench prune study --methods bip,synflow --keep 0.1 --data cifar10 \\
          --data-dir ~/cifar

      Each seed has one dense network, which all methods share; imp goes down to the
      smallest ratio and gives a ticket at each. Methods on the dense network get
      --epochs, methods that prune before training get the dense network's
      --dense-epochs. What is done in the --out folder already is not repeated:
      run the same command again after a break.
      """)

  @Option(help: ArgumentHelp("Methods, with flags of their own after colons.", valueName: "list"))
  var methods = "bip,imp,omp"

  @Option(help: ArgumentHelp("Fractions of the weights to keep.", valueName: "list"))
  var keep = "0.512,0.2097,0.0859"

  @Option(help: "Number of repetitions, with seeds counting up from --seed.")
  var seeds = 1

  @Option(help: "The first seed.")
  var seed = 1

  @Option(help: "The network; 'quench models list' describes them.")
  var model = ClassifierName.resnet20

  @Option(help: "Epochs of the dense networks, and of methods that prune before training.")
  var denseEpochs = 16

  @Option(help: "Epochs of methods on the dense network, and of each phase or round of those that have several.")
  var epochs = 12

  @Option(help: "The epoch of the dense training that omp and imp rewind to.")
  var rewindEpoch = 1

  @Option(
    help: ArgumentHelp("Validate on n images taken out of the training file, after every epoch.", valueName: "n"))
  var holdOut: Int?

  @OptionGroup(title: "Data") var data: DataOptions

  @Option(
    help: ArgumentHelp("Folder for the study's runs and its report.", valueName: "dir"), completion: .directory)
  var out = "runs/study"

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  func validate() throws {
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
    try require(seeds > 0, "--seeds must be at least 1.")
    try require(denseEpochs > 0 && epochs > 0, "--dense-epochs and --epochs must be at least 1.")
    try require(
      (0..<denseEpochs).contains(rewindEpoch), "--rewind-epoch must be 0 or more and below --dense-epochs.")
    for method in study.methods where !PruningStudy.Method.names.contains(method.name) {
      let names = PruningStudy.Method.names
      try requireUsage {
        throw InputError(
          "no such method", at: "--methods", expected: names.joined(separator: ", "), found: "'\(method.name)'",
          remedy: names.nearest(to: method.name).map { "did you mean '\($0)'?" })
      }
    }
    try require(!study.methods.isEmpty, "--methods names no method.")
    let ratios = keep.split(separator: ",")
    for ratio in ratios {
      try requireUsage { _ = try KeepRatio(Double(ratio) ?? .nan) }
    }
    try require(Set(study.keepRatios).count == ratios.count, "--keep names a ratio twice, or none.")
    for part in study.parts {
      // What a part would refuse is refused here, before hours of other parts.
      do { _ = try Quench.parseAsRoot(part.arguments(in: "study")) } catch {
        throw ValidationError(
          "'\(part.arguments.joined(separator: " "))' is wrong usage: \(Quench.message(for: error))")
      }
    }
  }

  /// The settings under the names of their flags.
  private var settings: Record {
    var settings: Record = [
      "methods": .string(methods), "keep": .string(keep), "seeds": .int(seeds), "seed": .int(seed),
      "model": .string(model.rawValue), "dense-epochs": .int(denseEpochs), "epochs": .int(epochs),
      "rewind-epoch": .int(rewindEpoch), "precision": .string(machine.precision.rawValue)
    ]
    settings["hold-out"] = holdOut.map { .int($0) }
    settings.merge(data.settings)
    return settings
  }

  private var study: PruningStudy { PruningStudy(settings) }

  func run() throws {
    let device = try machine.prepare()
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let record = RunRecord.current(settings, inputs: [:], device: device)
    let resumes = try RunFolder.record(at: url) != nil
    Interruption.watch()  // the part at work gets the signal too; the study ends when that has saved
    let runner = PartRunner(machine: machine, output: output)
    let summary = try Run(at: url, record, resumes: resumes, output, parts: study.parts).perform { folder in
      var failed: [String] = []
      for part in study.parts {
        do { try runner.perform(part, in: folder) } catch let error as InputError {
          guard study.isOptional(part) else { throw error }
          output.note("error: \(error)")
          failed.append(part.name)
        }
        try RunFiles(folder).report().write(to: folder.report)
      }
      guard failed.isEmpty else {
        throw InputError(
          "\(NumberText.count(failed.count, "pruning")) of the study failed", at: failed.joined(separator: ", "),
          remedy: "the reasons are above; the report in \(folder.report.relativePath) covers the others")
      }
      return study.results(in: folder).summary
    }
    let results = study.results(in: try RunFolder(existing: url))
    output.printResult(summary, "\n" + StudyReport.table(study, results).text)
    output.note("\nreport  \(url.appending(path: "report.html").relativePath)")
  }
}
