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

  init(at url: URL, _ record: RunRecord, resumes: Bool, _ output: OutputOptions, parts: [RunPart] = []) {
    self.url = url
    self.record = record
    self.resumes = resumes
    self.output = output
    self.parts = parts
  }

  /// Does `work` in the run's folder, writes the summary that it returns and the report, and notes how the run
  /// ended. A run that is resumed after its end is not done again, unless a part has been deleted since.
  func perform(_ work: (RunFolder) throws -> Record) throws -> Record {
    let earlier = try resumes ? RunFolder(existing: url).record() : nil
    let folder = try RunFolder(at: url, for: record.continuing(earlier), resume: resumes)
    let isCompleted = earlier?.outcome == .completed
    if isCompleted, try parts.allSatisfy({ try $0.isDone(in: folder) }) {
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
      // What `auto` became.
      versions[precisionKey] = .string("\(precision.autocast(on: device) ?? .float32)")
      versions[inferenceKey] = .string("\(precision.inference ?? InferencePlan.fastest(on: device))")
    }
    return RunRecord(
      command: ["quench"] + CommandLine.arguments.dropFirst(), settings: settings, versions: versions,
      inputs: inputs)
  }

  /// What makes this process compute otherwise than the one that began the run: bytes then differ from those of a
  /// run that was never interrupted.
  func changes(from earlier: RunRecord?) -> [String] {
    guard let earlier else { return [] }
    return versions.keys.filter { $0 != Self.changesKey }.compactMap { key in
      guard let before = earlier.versions[key], let now = versions[key], before != now else { return nil }
      return "the run began with \(key) \(before) and goes on with \(now): it will not end in the same bytes"
    }
  }

  /// This record, with what changed since the run began noted.
  func continuing(_ earlier: RunRecord?) -> RunRecord {
    guard let earlier else { return self }
    var record = self
    let notes = (earlier.versions[Self.changesKey]?.array ?? []) + changes(from: earlier).map { .string($0) }
    if !notes.isEmpty { record.versions[Self.changesKey] = .array(notes) }
    return record
  }

  /// Lets this process compute in what the run was begun in.
  func settlePrecision() {
    func type(_ key: String) -> DType? {
      versions[key]?.string.flatMap { name in [DType.float32, .bfloat16].first { "\($0)" == name } }
    }
    SettledPrecision.settle(training: type(Self.precisionKey), inference: type(Self.inferenceKey))
  }

  private static let changesKey = "changes"
  private static let precisionKey = "precision"
  private static let inferenceKey = "inference-precision"
}
