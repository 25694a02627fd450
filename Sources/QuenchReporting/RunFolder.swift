import Foundation
import QuenchSupport

/// What a run was asked to do and with what: the content of `config.yaml`.
public struct RunRecord: Hashable, Sendable {
  public enum Outcome: String, Hashable, Sendable, CaseIterable {
    case completed, interrupted, failed
    /// Nothing has begun: the run waits in a study for a worker.
    case planned
  }

  /// The command line, as typed; empty where a program began the run.
  public var command: [String]
  /// The experiment's kind, such as `prune-bip`; nil for runs of earlier versions.
  public var kind: String?
  /// Every setting after defaults were filled in, the seed among them.
  public var settings: Record
  /// Versions of what computes: this program, libraries, device, threads.
  public var versions: Record
  /// Input files and their SHA-256 fingerprints.
  public var inputs: Record
  /// How the run ended; `nil` while it works, and so for ever if it is killed.
  public var outcome: Outcome?

  public init(
    command: [String], kind: String? = nil, settings: Record, versions: Record = [:], inputs: Record = [:],
    outcome: Outcome? = nil
  ) {
    self.command = command
    self.kind = kind
    self.settings = settings
    self.versions = versions
    self.inputs = inputs
    self.outcome = outcome
  }

  var value: Value {
    var record: Record = ["command": .array(command.map { .string($0) })]
    record["kind"] = kind.map { .string($0) }
    record.merge([
      "outcome": outcome.map { .string($0.rawValue) } ?? .null,
      "settings": .object(settings),
      "versions": .object(versions),
      "inputs": .object(inputs)
    ])
    return .object(record)
  }

  /// Reads a file of this form, such as a run's `config.yaml`.
  /// - Throws: `InputError` if it cannot be read or holds no settings.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(Value(yaml: InputFile.read(url, limit: 4 << 20), name: url.path), name: url.path)
  }

  init(_ value: Value, name: String) throws(InputError) {
    guard let record = value.record, var settings = record["settings"]?.record else {
      throw InputError(
        "this is not the configuration of a run", at: name, expected: "a mapping with the key settings")
    }
    // Runs of versions that knew no other order took the first images.
    if record["kind"] == nil, settings["limit"] != nil || settings["train-limit"] != nil,
      settings["limit-order"] == nil
    {
      settings["limit-order"] = "first"
    }
    let command = record["command"]?.array?.map(\.description) ?? []
    self.init(
      command: command, kind: record["kind"]?.string, settings: settings,
      versions: record["versions"]?.record ?? [:], inputs: record["inputs"]?.record ?? [:],
      outcome: record["outcome"]?.string.flatMap(Outcome.init(rawValue:)))
  }
}

/// The folder that holds all files of one run, and the only place that knows their names.
///
/// One that was made or opened to continue a run is locked against other writers for as long as a copy of it lives.
public struct RunFolder: Sendable {
  public let url: URL
  private let lock: FolderLock?

  public var config: URL { url.appending(path: Self.configName) }
  public var metrics: URL { url.appending(path: "metrics.jsonl") }
  public var summary: URL { url.appending(path: "summary.json") }
  public var checkpoints: URL { url.appending(path: Self.checkpointsName, directoryHint: .isDirectory) }
  public var events: URL { url.appending(path: "tensorboard", directoryHint: .isDirectory) }
  public var report: URL { url.appending(path: "report.html") }

  /// The file or folder of an artefact, such as `model.safetensors`.
  public func artefact(_ name: String) -> URL { url.appending(path: name) }

  /// Where a run called `name` lives if the user names no folder: `runs/<name>/`, and where there are such runs already
  /// `runs/<name>-<n>/` with the next number from 2 on.
  /// - Parameters:
  ///   - name: What the command calls its runs.
  ///   - latest: Take the run with the highest number instead of a new one: to go on with it.
  ///   - parent: The folder of all runs.
  public static func location(
    named name: String, latest: Bool = false, in parent: URL = URL(filePath: "runs", directoryHint: .isDirectory)
  ) -> URL {
    let taken = ((try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? []).compactMap {
      entry -> Int? in
      guard entry != name else { return 1 }
      guard entry.hasPrefix(name + "-"), let number = Int(entry.dropFirst(name.count + 1)), number > 1 else {
        return nil
      }
      return number
    }
    let number = (taken.max() ?? 0) + (latest ? 0 : 1)
    return parent.appending(path: number > 1 ? "\(name)-\(number)" : name, directoryHint: .isDirectory)
  }

  /// Opens the folder of an earlier run, to read it.
  /// - Throws: `InputError` if there is no run.
  public init(existing url: URL) throws(InputError) {
    self.url = url
    lock = nil
    guard FileManager.default.fileExists(atPath: config.path) else {
      throw InputError("there is no run here", at: url.path, expected: "a folder with \(config.lastPathComponent)")
    }
  }

  /// Makes the folder of a new run, or opens the one to continue, and writes `record` as its configuration.
  ///
  /// A run is continued only with the same settings and inputs; the command line, the versions and the settings whose
  /// keys are `revisable` may differ, and settings that it did not have yet count as `defaults` has them.
  /// - Throws: `InputError` if a new run's folder is not empty or cannot be written, if another process writes there,
  ///   or if the run to continue is missing or has another configuration (the error lists the keys that differ).
  public init(
    at url: URL, for record: RunRecord, resume: Bool = false, revisable: Set<String> = [], defaults: Record = [:]
  ) throws(InputError) {
    try RunFolder.check(url, resume: resume)
    self.url = url
    do {
      let checkpoints = url.appending(path: Self.checkpointsName, directoryHint: .isDirectory)
      try FileManager.default.createDirectory(at: checkpoints, withIntermediateDirectories: true)
    } catch {
      throw InputError(
        "the run folder cannot be made", at: url.path, remedy: "choose a folder that may be written with `out`")
    }
    lock = try FolderLock(folder: url, patience: .seconds(1))
    AtomicFile.sweep(url)
    AtomicFile.sweep(checkpoints)
    // What held before the lock was taken may have changed since.
    try RunFolder.check(url, resume: resume)
    if resume {
      let earlier = try RunFolder(existing: url).record()
      let inputs = earlier.outcome == .planned ? [] : earlier.inputs.differences(from: record.inputs)
      let differences =
        defaults.merging(earlier.settings).differences(from: record.settings).filter { !revisable.contains($0) }
        + inputs.map { "input \($0)" }
      guard differences.isEmpty else {
        throw Self.otherConfiguration(differences, at: url)
      }
    }
    try write(record)
  }

  /// Makes the folder of a run that is to be begun later, by whoever goes on with it.
  /// - Throws: `InputError` if the folder is not empty or cannot be written.
  static func plan(_ record: RunRecord, at url: URL) throws(InputError) {
    do { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) } catch {
      throw InputError.writing(url, error)
    }
    let files = try content(of: url).filter {
      !FileManager.default.fileExists(atPath: url.appending(path: "\($0)/config.yaml").path)
    }
    guard files.isEmpty else {
      throw InputError("the run folder is not empty", at: url.path, remedy: "choose another folder with `out`")
    }
    try RunFolder(unchecked: url).write(record)
  }

  /// What is wrong where the run to go on with differs from the one that is asked for.
  static func otherConfiguration(_ differences: [String], at url: URL) -> InputError {
    InputError(
      "the run to resume has another configuration: \(differences.joined(separator: ", ")) differ", at: url.path,
      remedy: "resume with the settings in \(configName), or start a new run in another folder")
  }

  /// Finds out before any work whether a run can begin at `url`, which need not exist, or go on there.
  /// - Throws: `InputError` if a new run's folder is not empty, or the run to continue is missing.
  public static func check(_ url: URL, resume: Bool) throws(InputError) {
    if resume {
      _ = try RunFolder(existing: url)
      return
    }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else { return }
    guard isFolder.boolValue else {
      throw InputError("this is a file", at: url.path, expected: "a folder for the run")
    }
    let files = try content(of: url)
    guard files.isEmpty else {
      let isRun = files.contains(configName)
      throw InputError(
        isRun ? "the folder already holds a run" : "the run folder is not empty", at: url.path,
        remedy: (isRun ? "continue that run with `resume`, or " : "") + "choose another folder with `out`")
    }
  }

  /// The configuration of the run at `url`; nil where none was begun.
  /// - Throws: `InputError` if the folder holds something, but no configuration that can be read: that is not for
  ///   anyone but its owner to remove.
  public static func record(at url: URL) throws(InputError) -> RunRecord? {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else { return nil }
    guard isFolder.boolValue else {
      throw InputError("this is a file", at: url.path, expected: "a folder for the run")
    }
    let files = try content(of: url)
    if files.isEmpty { return nil }
    let folder = RunFolder(unchecked: url)
    do { return try folder.record() } catch {
      throw InputError(
        files.contains(configName)
          ? "the folder's \(configName) cannot be read, so its run can't be continued (\(error.problem))"
          : "the folder holds files, but no \(configName) that says of which run",
        at: url.path,
        remedy: "correct \(configName), or move the folder elsewhere to redo this part of the work")
    }
  }

  private init(unchecked url: URL) { (self.url, lock) = (url, nil) }

  /// The names in the folder, without the leftovers of a start that was killed before it wrote the configuration.
  private static func content(of url: URL) throws(InputError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: url.path).filter { name in
        if name == FolderLock.fileName || AtomicFile.isTemporary(name) { return false }
        let checkpoints = url.appending(path: checkpointsName).path
        return try name != checkpointsName
          || !FileManager.default.contentsOfDirectory(atPath: checkpoints).allSatisfy(AtomicFile.isTemporary)
      }
    } catch {
      throw InputError("the run folder cannot be read", at: url.path, remedy: "choose another folder with `out`")
    }
  }

  /// The run's configuration.
  /// - Throws: `InputError` if the file is missing or is no configuration.
  public func record() throws(InputError) -> RunRecord {
    try RunRecord(contentsOf: config)
  }

  /// Whether a row of metrics was begun.
  public var hasMetrics: Bool { (try? InputFile(metrics))?.count ?? 0 > 0 }

  /// Whether the run has come to its summary.
  public var hasSummary: Bool { FileManager.default.fileExists(atPath: summary.path) }

  /// Notes how the run ended. A run without this note shows as unfinished.
  public func finish(_ outcome: RunRecord.Outcome) throws(InputError) {
    var record = try record()
    record.outcome = outcome
    try write(record)
  }

  /// Writes `summary.json`: flat keys (nested records are joined with dots), in order, whole or not at all.
  public func writeSummary(_ summary: Record) throws(InputError) {
    try AtomicFile.write(Data((Value.object(summary.flattened).json(pretty: true) + "\n").utf8), to: self.summary)
  }

  /// The content of `summary.json`.
  /// - Throws: `InputError` if the file is missing or is no JSON object.
  public func readSummary() throws(InputError) -> Record {
    let value = try Value(json: try InputFile.read(summary), name: summary.path)
    guard let record = value.record else { throw InputError("a JSON object is expected", at: summary.path) }
    return record
  }

  private func write(_ record: RunRecord) throws(InputError) {
    try AtomicFile.write(Data(try record.value.yaml().utf8), to: config)
  }

  static let configName = "config.yaml"
  private static let checkpointsName = "checkpoints"
}

extension RunFolder: Hashable {
  public static func == (a: RunFolder, b: RunFolder) -> Bool { a.url == b.url }
  public func hash(into hasher: inout Hasher) { hasher.combine(url) }
}
