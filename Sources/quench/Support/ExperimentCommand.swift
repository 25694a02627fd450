import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// A command that builds an experiment out of its flags, which are named as the experiment's settings are.
protocol ExperimentCommand: ParsableCommand {
  associatedtype Work: Experiment
  /// What its runs are called in `runs/`.
  static var folderName: String { get }
  var runOptions: RunOptions { get }
  /// What the flags say under the names of settings.
  var settings: Record { get throws }
  /// Where the run is done.
  var lab: Lab { get throws }
}

/// An ``ExperimentCommand`` that trains a network.
protocol LearningCommand: ExperimentCommand {
  var options: LearningOptions { get }
}

extension LearningCommand {
  var runOptions: RunOptions { options.run }
  var lab: Lab { get throws { try options.lab } }
}

extension ExperimentCommand {
  static var folderName: String { Work.kind }
  var settings: Record { Flags.settings(of: self) }

  func validate() throws { try requireUsage { _ = try Work(settings: settings, name: "flags").checked() } }

  var lab: Lab { get throws { try runOptions.machine.lab(runOptions.output) } }

  func run() throws { try runOptions.perform(Work.self, settings, named: Self.folderName, in: lab) }
}

extension RunOptions {
  /// Does the experiment of these settings in the run's folder and prints what came of it.
  func perform<Work: Experiment>(
    _ type: Work.Type, _ settings: Record, named name: String, in lab: Lab
  ) throws {
    if !Work.isShared { try machine.ranks.requireAlone() }
    Interruption.watch()
    let experiment = try Work(settings: settings, name: "flags")
    try machine.ranks.together(lab, json: output.json) { lab in
      let folder = try RankFolder(lab.ranks, resumes: resume) { try self.folder(named: name) }
      do {
        let run = try lab.perform(experiment, in: folder.url, resumes: resume)
        if lab.ranks.rank == 0 { try output.printOutcome(of: run) }
      } catch let error as InputError {
        // Data sets and networks have names like flags.
        let keys = try Value(encoding: experiment).record?.keys ?? []
        throw keys.contains(error.location ?? "") ? error.namingFlags : error
      }
    }
  }
}

extension LearningOptions {
  /// Where the run is done.
  var lab: Lab {
    get throws {
      var lab = try run.machine.lab(run.output)
      lab.checkpointInterval = checkpointInterval
      lab.writesTensorBoard = tensorboard
      return lab
    }
  }
}

extension MachineOptions {
  /// Where experiments are done on this machine.
  func lab(_ output: OutputOptions) throws -> Lab {
    Lab(device: try apply(), output)
  }
}

extension Lab {
  /// Where a command's experiments are done on this machine.
  init(device: Device, _ output: OutputOptions) {
    self.init()
    self.device = "\(device)"
    console = output.console
    if device != .cpu { console.note("note: computing on \(device)") }
    services = Experiments.services
    command = ["quench"] + CommandLine.arguments.dropFirst()
  }
}

extension OutputOptions {
  var console: RunConsole {
    let isQuiet = quiet
    return RunConsole(progress: progress) { text in
      if !isQuiet { FileHandle.standardError.write(Data("\(text.spellingFlags)\n".utf8)) }
    }
  }

  /// Prints a run's outcome.
  func printOutcome<Work>(of run: PerformedRun<Work>) throws { printResult(try run.folder.readSummary(), run.text) }
}

/// The flags of a command, as settings.
enum Flags {
  /// Flags on which no result depends.
  private static let others: Set<String> = [
    "out", "resume", "device", "threads", "config", "json", "quiet", "checkpoint-interval", "tensorboard",
    "standalone", "rank-timeout"
  ]

  /// Every flag's value under its name, but for those that have none.
  static func settings(of options: any ParsableArguments) -> Record {
    var settings = Record()
    for (label, wrapper) in Mirror(reflecting: options).children {
      if let group = (wrapper as? any FlagGroup)?.group {
        settings.merge(Self.settings(of: group))
      } else if let label, let value = (wrapper as? any FlagValue)?.encodable {
        let name = KeyStyle.settings.key(String(label.drop { $0 == "_" }))
        guard let value = try? Value(encoding: value) else { preconditionFailure("a flag has a plain value") }
        if value != .null, !others.contains(name) { settings[name] = value }
      }
    }
    return settings
  }
}

private protocol FlagGroup { var group: any ParsableArguments { get } }
private protocol FlagValue { var encodable: (any Encodable)? { get } }
extension OptionGroup: FlagGroup { fileprivate var group: any ParsableArguments { wrappedValue } }
extension Option: FlagValue { fileprivate var encodable: (any Encodable)? { wrappedValue as? any Encodable } }
extension Flag: FlagValue { fileprivate var encodable: (any Encodable)? { wrappedValue as? any Encodable } }
extension ArgumentParser.Argument: FlagValue {
  fileprivate var encodable: (any Encodable)? { wrappedValue as? any Encodable }
}
