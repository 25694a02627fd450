import Foundation
import Reporting
import Support
import Vision

/// A command of the tool, or an experiment, as a part of a larger run, in a folder of its own within that run's.
struct RunPart {
  /// The folder's name.
  let name: String
  /// The command and its flags, but for the folder and the machine. `{run}` stands for the larger run's folder. Empty
  /// for an experiment.
  var arguments: [String] = []
  /// What the command writes last, where it keeps no record of its run by which to see that it is done.
  var lastFile: String?
  /// Makes the experiment that is done in this process, given the larger run's folder.
  var experiment: (@Sendable (_ run: String, Precision) -> any Experiment)?

  /// What it does, but for the folder and the machine.
  var step: String {
    guard let work = experiment?("{run}", .automatic), let settings = try? work.settings else {
      return arguments.joined(separator: " ")
    }
    return ([type(of: work).kind] + settings.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
  }

  /// - Throws: `InputError` as ``record(in:)`` does.
  func isDone(in folder: RunFolder) throws(InputError) -> Bool {
    guard let lastFile else { return try record(in: folder)?.outcome == .completed }
    return FileManager.default.fileExists(atPath: folder.artefact(name).appending(path: lastFile).path)
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

/// Does parts: experiments in this process, and commands as processes of their own, each of which begins with fresh
/// memory. A kill costs at most what one part did since its last checkpoint.
struct PartRunner {
  let machine: MachineOptions
  let output: OutputOptions

  /// Does a part, goes on with it, or leaves it alone if it is done.
  func perform(_ part: RunPart, in folder: RunFolder) throws {
    if try part.isDone(in: folder) { return }
    if let experiment = part.experiment {
      try part.record(in: folder)?.settlePrecision()
      return try perform(
        experiment(folder.url.relativePath, machine.precision), in: folder.artefact(part.name))
    }
    if part.lastFile != nil { return try run(announced(part, in: folder)) }
    let isBegun = try part.record(in: folder) != nil
    var arguments = announced(part, in: folder)
    arguments += ["--device", machine.device, "--precision", machine.precision.rawValue]
    if let threads = machine.threads { arguments += ["--threads", "\(threads)"] }
    if isBegun { arguments.append("--resume") }
    try run(arguments)
  }

  private func perform(_ experiment: some Experiment, in url: URL) throws {
    output.note("\n\(url.lastPathComponent): \(type(of: experiment).kind)")
    _ = try machine.lab(output).ensure(experiment, in: url)
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
