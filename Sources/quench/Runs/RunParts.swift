import Foundation
import Reporting
import Support
import Vision

/// A part of a larger run, in a folder of its own within that run's: an experiment, or a command of the tool.
struct RunPart {
  /// The folder's name.
  let name: String
  /// The command and its flags, but for the folder and the machine. `{run}` stands for the larger run's folder.
  var arguments: [String] = []
  /// The experiment, given the larger run's folder; nil where the part is a command.
  var experiment: (@Sendable (String) -> any Experiment)?

  /// What is done, in one line.
  var step: String {
    guard let experiment = experiment?("{run}") else { return arguments.joined(separator: " ") }
    let settings = (try? experiment.settings).map { Value.object($0).json() } ?? ""
    return "\(type(of: experiment).kind) \(settings)"
  }

  /// - Throws: `InputError` as ``record(in:)`` does.
  func isDone(in folder: RunFolder) throws(InputError) -> Bool {
    guard let experiment else { return try record(in: folder)?.outcome == .completed }
    return try StudyPart(name, experiment(folder.url.relativePath)).isDone(in: folder.url)
  }

  /// The record of its run, as far as that has come; nil before it was begun.
  /// - Throws: `InputError` if its folder holds something, but no record: it is neither gone on with nor removed.
  func record(in folder: RunFolder) throws(InputError) -> RunRecord? {
    try RunFolder.record(at: folder.artefact(name))
  }

  func arguments(in folder: String) -> [String] {
    arguments.map { $0.replacing("{run}", with: folder) } + ["--out", "\(folder)/\(name)"]
  }
}

/// Does experiments in this process, and commands as processes of their own: a kill costs at most what one part did since
/// its last checkpoint.
struct PartRunner {
  let machine: MachineOptions
  let output: OutputOptions

  /// Does a part, goes on with it, or leaves it alone if it is done.
  func perform(_ part: RunPart, in folder: RunFolder) throws {
    if try part.isDone(in: folder) { return }
    if let experiment = part.experiment?(folder.url.relativePath) {
      output.note("\n\(part.name): \(type(of: experiment).kind)")
      return try experiment.perform(in: machine.lab(output), at: folder.artefact(part.name))
    }
    let isBegun = try part.record(in: folder) != nil
    var arguments = announced(part, in: folder)
    arguments += ["--device", machine.device, "--precision", machine.precision.rawValue]
    if let threads = machine.threads { arguments += ["--threads", "\(threads)"] }
    if isBegun { arguments.append("--resume") }
    try run(arguments)
  }

  /// The part's arguments, after saying what is run.
  private func announced(_ part: RunPart, in folder: RunFolder) -> [String] {
    let arguments = part.arguments(in: folder.url.relativePath)
    output.note("\n$ quench \(arguments.joined(separator: " "))")
    return arguments + (output.quiet || output.json ? ["--quiet"] : [])
  }

  /// Runs this program with other arguments; what it prints goes to standard error, beside the progress.
  func run(_ arguments: [String]) throws {
    guard let tool = Bundle.main.executableURL else {
      throw InputError("the program's own file is not found", remedy: "start it by its path")
    }
    let process = Process()
    process.executableURL = tool
    process.arguments = arguments
    process.standardOutput = FileHandle.standardError
    let tie = ParentWatch.tie(process)
    defer { withExtendedLifetime(tie) {} }
    try process.run()
    var isToldToLeave = false
    while process.isRunning {
      Thread.sleep(forTimeInterval: 0.05)
      // In a terminal the part has got Ctrl-C itself; SIGTERM beside that changes nothing for it.
      if Interruption.isRequested, !isToldToLeave {
        process.terminate()
        isToldToLeave = true
      }
    }
    if Interruption.isRequested { throw Interrupted(folder: nil) }
    switch process.terminationStatus {
    case 0: return
    case 130: throw Interrupted(folder: nil)
    case let code:
      throw InputError(
        "a part of the run failed with exit code \(code)", at: "quench \(arguments.joined(separator: " "))",
        remedy: "fix the problem above, then run the same command again: finished parts are kept")
    }
  }
}

extension Experiment {
  fileprivate func perform(in lab: Lab, at url: URL) throws { _ = try lab.ensure(self, in: url) }
}
