import Foundation
import QuenchSupport

/// Where experiments are done: what of a machine is used, and where to it is told how the work goes.
public struct Lab: Sendable {
  /// `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
  public var device = "cpu"
  public var console = RunConsole()
  /// The processes that do the experiments together.
  public var ranks: any Ranks = SingleRank()
  /// Seconds between checkpoints inside an epoch.
  public var checkpointInterval = 60.0
  /// Whether metrics are also written as TensorBoard's event files.
  public var writesTensorBoard = false
  /// The command line, where a run was asked for by one; only for readers of `config.yaml`.
  public var command: [String] = []
  /// What experiments may use that their own library does not have, such as a connection to a model over HTTP.
  public var services: [any Sendable] = []

  public init() {}

  /// The first of the ``services`` that is of a type or conforms to a protocol; nil: none is.
  public func service<Service>(_ type: Service.Type = Service.self) -> Service? {
    services.lazy.compactMap { $0 as? Service }.first
  }

  /// Does an experiment in a folder of its own, and writes `config.yaml`, `summary.json` and `report.html` beside what
  /// the experiment itself writes.
  /// - Parameters:
  ///   - experiment: What to do.
  ///   - url: The run's folder, which is made.
  ///   - resumes: Go on with the run that is there, from its last checkpoint. One that is completed is not done again.
  /// - Throws: `InputError` for a setting out of range, a folder that cannot be used or what the experiment throws;
  ///   `Interrupted` after the user asked to leave.
  @discardableResult
  public func perform<Work: Experiment>(
    _ experiment: Work, in url: URL, resumes: Bool = false
  ) throws -> PerformedRun<Work> {
    let experiment = try experiment.checked()
    guard ranks.size == 1 || Work.isShared else { throw Self.notShared(Work.kind) }
    try RunFolder.check(url, resume: resumes)
    let earlier = try resumes ? Work.completing(RunFolder(existing: url).record(), at: url) : nil
    var record = RunRecord(
      command: command, kind: Work.kind, settings: try experiment.settings,
      versions: experiment.versions(on: device))
    try record.requireSameSettings(as: earlier, besides: Work.revisable, at: url)
    if earlier?.outcome == .completed, try experiment.isWhole(in: url) {
      console.note("this run is complete; nothing is left to do in \(url.relativePath)")
      let run = try PerformedRun<Work>(RunFolder(existing: url))
      try run.report.write(to: run.folder.report)
      return run
    }
    for change in record.changes(from: earlier) { console.note("note: \(change)") }
    record = record.continuing(earlier)
    let context = RunContext(
      self, url, resumes: resumes, revisable: Work.revisable, defaults: earlier?.settings ?? [:]
    ) { [record] inputs in
      var record = record
      record.inputs = inputs
      return record
    }
    ProcessMemory.forgetPeak()
    do {
      let outcome = try experiment.run(in: context)
      let folder = try context.folder ?? context.open(inputs: [:])
      let figures = try Value(encoding: outcome, style: .figures).record ?? [:]
      try folder.writeSummary(figures.withoutNulls.adding(self.ownFigures(of: record)))
      try folder.finish(.completed)
    } catch {
      // The error that ended the run is the one to report, not that the folder could not note it.
      try? context.folder?.finish(error is Interrupted ? .interrupted : .failed)
      throw error
    }
    // Without the lock, which ends with the context: who holds the outcome does not hold the folder.
    let run = try PerformedRun<Work>(RunFolder(existing: url))
    try run.report.write(to: run.folder.report)
    return run
  }

  /// What a summary tells beside the experiment's own outcome.
  static let ownFigures: Set = ["ranks", "bytes_per_step", "messages_per_step", "precision", "inference_precision"]

  /// How many processes did the work, what each gave to the others in a training step, and in what types it was done,
  /// where it is a work of tensors.
  private func ownFigures(of record: RunRecord) -> Record {
    let traffic = ranks.stepTraffic
    let figures: Record = [
      "ranks": .int(ranks.size), "bytes_per_step": traffic.map { .int(Int($0.bytes.rounded())) } ?? .null,
      "messages_per_step": traffic.map { .double($0.messages) } ?? .null,
      "precision": record.versions["precision"] ?? .null,
      "inference_precision": record.versions["inference-precision"] ?? .null
    ]
    return figures.withoutNulls
  }

  private static func notShared(_ kind: String) -> InputError {
    InputError(
      "this work is not shared among several processes", at: kind,
      remedy: "start it once, or give --standalone so that each process does all of it by itself")
  }

  /// Does an experiment whose files nobody wants: they are removed after `take` has seen the run.
  /// - Throws: As ``perform(_:in:resumes:)`` does, and what `take` throws.
  public func perform<Work: Experiment>(_ experiment: Work, _ take: (PerformedRun<Work>) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "quench-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try take(perform(experiment, in: url))
  }

  /// Does an experiment as ``perform(_:in:resumes:)`` does, begins it where nothing is there yet, and goes on with it
  /// where it was begun: a part of a larger run.
  public func ensure<Work: Experiment>(_ experiment: Work, in url: URL) throws -> PerformedRun<Work> {
    try perform(experiment, in: url, resumes: try RunFolder.record(at: url) != nil)
  }
}

/// Where it is told how the work goes: by default nowhere.
public struct RunConsole: Sendable {
  public var progress: ProgressLine.Style
  /// Told what is not the result: notes and warnings, one line each.
  public var note: @Sendable (String) -> Void

  public init(progress: ProgressLine.Style = .quiet, note: @escaping @Sendable (String) -> Void = { _ in }) {
    self.progress = progress
    self.note = note
  }
}

extension Experiment {
  /// The record of a run with the settings that came after it at their defaults: a run goes on with the version that
  /// has more to set.
  /// - Throws: `InputError` if this version cannot read the settings.
  static func completing(_ record: RunRecord, at url: URL) throws(InputError) -> RunRecord {
    guard record.kind == kind else { return record }
    var record = record
    let name = url.appending(path: RunFolder.configName).path
    record.settings = try Self(settings: record.settings, name: name).checked().settings
    return record
  }
}

extension RunRecord {
  /// - Throws: `InputError` that lists the settings that differ from those of the run to go on with.
  func requireSameSettings(
    as earlier: RunRecord?, besides revisable: Set<String>, at url: URL
  ) throws(InputError) {
    guard let earlier else { return }
    guard !earlier.isEarlier else {
      throw InputError(
        "the run to resume was begun by a version that wrote other settings", at: url.path,
        remedy: "finish it with that version, or start a new run in another folder")
    }
    let differences = earlier.settings.differences(from: settings).filter { !revisable.contains($0) }
    guard differences.isEmpty, earlier.kind == kind else {
      throw RunFolder.otherConfiguration(earlier.kind == kind ? differences : ["kind"], at: url)
    }
  }
}
