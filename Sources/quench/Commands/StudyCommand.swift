import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

struct StudyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Plan many runs, and let as many workers as there are do them.",
    discussion: """
      A study is a folder with a folder for each run. 'plan' writes them, 'next' does
      one that nobody holds, on this machine or on any other that shares the folder,
      and 'show' says how far they are. A worker that is gone is replaced: its run
      goes on from its last checkpoint.

      Examples:
        quench study plan study.yaml --out runs/grid
        quench study next runs/grid          # one run; in a job array, one a job
        quench study next runs/grid --all    # until nothing is left
        quench study show runs/grid

      study.yaml, where {study} stands for the study's folder:
        runs:
          dense: {kind: train, settings: {data: cifar10, epochs: 8}}
          bip:
            kind: prune-bip
            settings: {weights: '{study}/dense/model.safetensors'}
            sweep: {keep: [0.33, 0.17], seed: [1, 2, 3]}

      A run whose settings name a file of another run waits for that one. The kinds
      are those of config.yaml; 'prune-study' is planned with all its parts.
      """,
    subcommands: [StudyPlanCommand.self, StudyNextCommand.self, StudyShowCommand.self])
}

struct StudyPlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Write the folders of a study's runs, which wait for workers.",
    discussion: """
      Runs that are there already stay as they are: a plan that has grown is planned
      again.

      Examples:
        quench study plan study.yaml --out runs/grid
      """)

  @ArgumentParser.Argument(
    help: "The plan, in YAML: see 'quench study --help'.", completion: .file(extensions: ["yaml", "yml"]))
  var file: String

  @Option(help: ArgumentHelp("The study's folder.", valueName: "dir"), completion: .directory)
  var out: String

  @OptionGroup var output: OutputOptions

  func run() throws {
    let url = URL(filePath: out, directoryHint: .isDirectory)
    let value = try Value(yaml: InputFile.read(URL(filePath: file), limit: 4 << 20), name: file)
    let plan = try StudyPlan(value, for: url, name: file)
    let experiments = try plan.runs.map { run in
      let type = try Experiments.known(run.kind, at: "\(file), \(run.name)")
      return StudyPart(run.name, try type.init(settings: run.settings, name: "\(file), \(run.name)"))
    }
    let study = StudyFolder(url)
    let count: Int
    let parts: [StudyPart]
    if experiments.count == 1, let whole = experiments[0].experiment as? any CompositeExperiment {
      parts = try whole.parts(in: url)
      count = try study.plan(parts, of: whole)
    } else {
      parts = experiments
      count = try study.plan(parts)
    }
    output.printResult(
      ["out": .string(out), "runs": .int(parts.count), "new": .int(count)],
      "\(NumberText.count(parts.count, "run")) in \(out), \(count) of them new: 'quench study next' does them")
  }
}

struct StudyNextCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "next", abstract: "Do a run of a study that is open and that no other worker holds.",
    discussion: """
      Workers claim runs by files in the runs' folders, so they need to share nothing
      but those. One that gave no sign of life for --lease seconds counts as gone.

      Examples:
        quench study next runs/grid
        quench study next runs/grid --all --threads 4
      """)

  @ArgumentParser.Argument(help: "The study's folder.", completion: .directory)
  var study: String

  @Flag(help: "Go on until nothing is left; runs that wait for those of other workers are waited for.")
  var all = false

  @Flag(help: "Do runs that failed once more.")
  var retryFailed = false

  @Option(help: ArgumentHelp("Seconds without a sign of life after which a worker counts as gone.", valueName: "s"))
  var lease = StudyClaim.usualLease

  @Option(help: RankOptions.deviceHelp) var device = "auto"

  @Option(help: ArgumentHelp("CPU threads; all cores unless given.", valueName: "n"))
  var threads: Int?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1.") }
    guard (1...86_400).contains(lease) else { throw ValidationError("--lease must be 1 to 86400.") }
  }

  func run() throws {
    if let threads { LibTorch.threads = threads }
    Interruption.watch()
    let lab = Lab(device: try Device(parsing: device), output)
    var folder = StudyFolder(URL(filePath: study, directoryHint: .isDirectory))
    folder.lease = lease
    if retryFailed {
      let names = try folder.reopenFailed()
      if !names.isEmpty { output.note("note: once more: \(names.joined(separator: ", "))") }
    }
    var done: [String] = []
    var failed: [String] = []
    var isWaiting = false
    repeat {
      guard
        let (entry, claim) = try folder.claim(didLose: {
          FileHandle.standardError.write(Data("error: another worker took this run over\n".utf8))
          Interruption.request()
        })
      else {
        let isHeld = try folder.entries().contains { if case .held = $0.state { true } else { false } }
        guard all, isHeld, !Interruption.isRequested else { break }
        if !isWaiting { output.note("Waiting for runs that other workers hold") }
        isWaiting = true
        Thread.sleep(forTimeInterval: min(lease / 4, 5))
        continue
      }
      isWaiting = false
      defer { claim.release() }
      let type = try Experiments.known(entry.record.kind, at: folder.folder(of: entry.name).path)
      output.note("\(entry.name): \(type.kind)")
      do {
        try folder.perform(entry, as: type, by: lab)
        done.append(entry.name)
      } catch let error as InputError where all {
        output.note("error: \(error)")
        failed.append(entry.name)
      }
    } while all
    try report(folder, done, failed)
  }

  private func report(_ folder: StudyFolder, _ done: [String], _ failed: [String]) throws {
    let counts = try folder.entries().counts
    var record: Record = ["study": .string(study), "done": .array(done.map { .string($0) })]
    record.merge(counts)
    let left = counts.filter { $0.key != "completed" && $0.value != .int(0) }.map { "\($0.value) \($0.key)" }
    let text = [
      done.isEmpty ? "nothing to do" : "done: \(done.joined(separator: ", "))",
      left.isEmpty
        ? "all \(counts["completed"] ?? .int(0)) runs are completed" : "left: \(left.joined(separator: ", "))"
    ].joined(separator: "\n")
    try output.printResult(
      record, text,
      failure: failed.isEmpty
        ? nil
        : InputError(
          "\(NumberText.count(failed.count, "run")) of the study failed", at: failed.joined(separator: ", "),
          remedy: "see above why; --retry-failed does them again"))
  }
}

struct StudyShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Say how far the runs of a study are, and what came of them.",
    discussion: """
      Examples:
        quench study show runs/grid
        quench study show runs/grid --figures accuracy,seconds
        quench study show runs/grid --json
      """)

  @ArgumentParser.Argument(help: "The study's folder.", completion: .directory)
  var study: String

  @Option(
    help: ArgumentHelp("Keys of summary.json to show beside each run, with commas.", valueName: "keys"))
  var figures = "accuracy"

  @OptionGroup var output: OutputOptions

  func run() throws {
    let folder = StudyFolder(URL(filePath: study, directoryHint: .isDirectory))
    let entries = try folder.entries()
    let keys = figures.split(separator: ",").map(String.init)
    var table = Table(
      "\(study)", columns: ["Run", "Kind", "State"].map { .text($0) } + keys.map { .number($0) }, rows: [])
    var records: [Value] = []
    for entry in entries {
      let run = try RunFolder(existing: folder.folder(of: entry.name))
      let summary = run.hasSummary ? try run.readSummary() : [:]
      let state =
        switch entry.state {
        case .held(let holder): "held by \(holder)"
        case .waiting(let names):
          "waiting for \(names.prefix(3).joined(separator: ", "))\(names.count > 3 ? " ..." : "")"
        case .open, .completed, .failed: entry.state.name
        }
      table.rows.append(
        ([entry.name, entry.record.kind ?? "", state] + keys.map { summary[$0].map { "\($0)" } ?? "" })
          .map { Table.Cell($0) })
      var record: Record = [
        "run": .string(entry.name), "kind": .string(entry.record.kind ?? ""), "state": .string(entry.state.name)
      ]
      for key in keys { record[key] = summary[key] ?? .null }
      records.append(.object(record))
    }
    var record: Record = ["study": .string(study), "runs": .array(records)]
    record.merge(entries.counts)
    output.printResult(record, table.text)
  }
}

extension [StudyFolder.Entry] {
  /// How many runs are in each state.
  fileprivate var counts: Record {
    var counts: Record = [:]
    for name in ["open", "waiting", "held", "completed", "failed"] {
      counts[name] = .int(count { $0.state.name == name })
    }
    return counts
  }
}
