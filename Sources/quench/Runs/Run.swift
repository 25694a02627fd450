import Foundation
import Reporting
import Support
import Torch
import Vision

/// What every command that writes a run folder does round its own work.
struct Run {
  let url: URL
  let record: RunRecord
  let resumes: Bool
  let output: OutputOptions
  /// The commands that the run consists of, if it does.
  let parts: [RunPart]
  /// The experiments that it consists of, if it does.
  let experiments: [StudyPart]

  init(
    at url: URL, _ record: RunRecord, resumes: Bool, _ output: OutputOptions, parts: [RunPart] = [],
    experiments: [StudyPart] = []
  ) {
    self.url = url
    self.record = record
    self.resumes = resumes
    self.output = output
    self.parts = parts
    self.experiments = experiments
  }

  /// Does `work` in the run's folder, writes the summary that it returns and the report, and notes how the run
  /// ended. A run that is resumed after its end is not done again, unless a part has been deleted since.
  func perform(_ work: (RunFolder) throws -> Record) throws -> Record {
    let earlier = try resumes ? RunFolder(existing: url).record() : nil
    let folder = try RunFolder(at: url, for: record.continuing(earlier), resume: resumes)
    let isCompleted = earlier?.outcome == .completed
    if isCompleted, try parts.allSatisfy({ try $0.isDone(in: folder) }),
      try experiments.allSatisfy({ try $0.isDone(in: url) })
    {
      output.note("this run is complete; nothing is left to do in \(url.relativePath)")
    } else {
      for change in record.changes(from: earlier) { output.note("note: \(change)") }
      do { try folder.writeSummary(work(folder)) } catch {
        // Report the error that ended the run, not the failure to record it in the folder.
        try? folder.finish(error is Interrupted ? .interrupted : .failed)
        throw error
      }
    }
    try folder.finish(.completed)
    try RunFiles(folder).report().write(to: folder.report)
    return try folder.readSummary()
  }
}

extension RunRecord {
  /// The record of the command that this process was started with.
  static func current(_ settings: Record, inputs: Record, device: Device) -> RunRecord {
    var versions = Version.record(device: device)
    if let precision = settings["precision"]?.string.flatMap({ Precision(rawValue: $0) }) {
      versions.merge(precision.versions(on: device))
    }
    return RunRecord(
      command: ["quench"] + CommandLine.arguments.dropFirst(), settings: settings, versions: versions,
      inputs: inputs)
  }
}
