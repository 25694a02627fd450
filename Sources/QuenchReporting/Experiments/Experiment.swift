import Foundation
import QuenchSupport

/// A piece of work as a value: everything that its result depends on, and nothing else.
///
/// Written into `config.yaml` of the folder that it is performed in, and read from there to perform it again. Settings
/// that have a default may be left out of a file; ``InlineGroup``s make nested Swift values one flat list of keys.
public protocol Experiment: Codable, Sendable {
  /// What comes of it: `summary.json`.
  associatedtype Outcome: Codable & Sendable

  /// Its name in `config.yaml`, such as `prune-bip`.
  static var kind: String { get }

  /// Whether several processes can do it together; if not, they refuse to begin.
  static var isShared: Bool { get }

  /// The keys of settings that no result depends on, such as a price: a run may go on with others than it began with.
  static var revisable: Set<String> { get }

  /// The experiment with every setting at its default. What has none is empty, and ``checked()`` says so.
  init()

  /// The settings' values where a file leaves them out, which may depend on those that it gives.
  /// - Throws: `InputError` if a setting that has no default is not given.
  static func defaults(for settings: Record) throws(InputError) -> Record

  /// The experiment with settings that depend on others filled in.
  /// - Throws: `InputError` for a setting that is missing or out of its range; its location is the setting's key.
  func checked() throws(InputError) -> Self

  /// Does the work.
  ///
  /// It reads and checks its inputs first, then calls ``RunContext/open(inputs:)``, so that wrong input leaves no folder.
  /// - Throws: `InputError` for what is wrong with the inputs, `Interrupted` if the user asked to leave.
  func run(in context: RunContext) throws -> Outcome

  /// Whether a run that has ended still has all that it made; a study's parts may have been deleted since.
  /// - Throws: `InputError` if that cannot be said.
  func isWhole(in folder: URL) throws(InputError) -> Bool

  /// What computes, beside this package: libraries, device, threads.
  func versions(on device: String) -> Record

  /// The outcome as a person reads it in a terminal; empty for a run that has not ended.
  static func text(of run: PerformedRun<Self>) -> String

  /// The page about the run, also of one that has not ended.
  static func report(of run: PerformedRun<Self>) -> Report
}

extension Experiment {
  public static var isShared: Bool { false }
  public static var revisable: Set<String> { [] }
  public static func defaults(for settings: Record) throws(InputError) -> Record {
    try Value(encoding: Self()).record ?? [:]
  }
  public func checked() throws(InputError) -> Self { self }
  public func isWhole(in folder: URL) throws(InputError) -> Bool { true }
  public func versions(on device: String) -> Record { ["quench": .string(Release.version)] }

  /// Reads an experiment's settings; those that are left out have their defaults.
  /// - Throws: `InputError` for an unknown key or a value that a setting cannot have.
  public init(settings: Record, name: String) throws(InputError) {
    try self.init(settings: settings, name: name, isEarlier: false)
  }

  init(settings: Record, name: String, isEarlier: Bool) throws(InputError) {
    let all = try Self.defaults(for: settings).merging(settings)
    self = try Value.object(all).decode(Self.self, name: name, allowsOtherKeys: isEarlier)
  }

  /// All settings, without those that have no value by default and were given none.
  public var settings: Record {
    get throws(InputError) {
      let defaults = try Value(encoding: Self()).record ?? [:]
      var settings = try Value(encoding: self).record ?? [:]
      for (key, value) in settings where value == .null && defaults[key] == .null { settings[key] = nil }
      return settings
    }
  }
}

/// What an experiment is done with, and what it tells while it is done.
public final class RunContext {
  /// Where the run's files go.
  public let url: URL
  public let isResumed: Bool
  public let lab: Lab

  private let revisable: Set<String>
  private let defaults: Record
  private let makeRecord: (Record) -> RunRecord
  private(set) var folder: RunFolder?

  init(
    _ lab: Lab, _ url: URL, resumes: Bool, revisable: Set<String>, defaults: Record,
    makeRecord: @escaping (Record) -> RunRecord
  ) {
    self.url = url
    isResumed = resumes
    self.lab = lab
    self.revisable = revisable
    self.defaults = defaults
    self.makeRecord = makeRecord
  }

  public var console: RunConsole { lab.console }

  /// Does an experiment that is a part of this one, in a folder within the run's; one that was begun is gone on with.
  /// - Throws: As ``Lab/ensure(_:in:)`` does.
  public func part<Work: Experiment>(_ name: String, _ experiment: Work) throws -> PerformedRun<Work> {
    try lab.ensure(experiment, in: url.appending(path: name, directoryHint: .isDirectory))
  }

  /// The run's folder, made and locked now, or the one to go on in.
  /// - Parameter inputs: Fingerprints of everything that was read.
  /// - Throws: `InputError` if the folder cannot be written or is in use, or if the run to go on with had other inputs.
  public func open(inputs: Record) throws(InputError) -> RunFolder {
    let folder = try RunFolder(
      at: url, for: makeRecord(inputs), resume: isResumed, revisable: revisable, defaults: defaults)
    self.folder = folder
    return folder
  }
}

extension Fingerprint {
  /// The fingerprints of the files that are named, under the names of their settings.
  /// - Throws: `InputError` if a file cannot be read.
  public static func inputs(_ files: KeyValuePairs<String, String?>) throws(InputError) -> Record {
    var inputs: Record = [:]
    for (key, path) in files {
      if let path { inputs[key] = .string(try sha256(ofFile: URL(filePath: path))) }
    }
    return inputs
  }
}

/// A run as its folder tells it.
public struct PerformedRun<Work: Experiment>: Sendable {
  public let experiment: Work
  /// Nil until the run has ended well.
  public let outcome: Work.Outcome?
  public let record: RunRecord
  /// In the order of the steps; empty for a run that learns nothing.
  public let metrics: [Record]
  public let folder: RunFolder
  /// What is amiss with the files, and does not stop a report.
  public let warnings: [String]

  /// Reads the folder of a run of this kind. Files that the run has not written yet are taken as empty.
  /// - Throws: `InputError` for a file that is damaged or of a run of another kind.
  public init(_ folder: RunFolder) throws(InputError) {
    self.folder = folder
    record = try folder.record()
    guard record.experimentKind == Work.kind else {
      throw InputError(
        "this is another kind of run", at: folder.config.path, expected: Work.kind,
        found: record.experimentKind.map { "'\($0)'" })
    }
    experiment = try Work(
      settings: record.isEarlier ? EarlierRuns.settings(record.settings) : record.settings,
      name: folder.config.path, isEarlier: record.isEarlier)
    var warnings: [String] = []
    metrics = folder.hasMetrics ? try MetricStream.read(folder.metrics) { warnings.append($0) } : []
    self.warnings = warnings
    guard folder.hasSummary else {
      outcome = nil
      return
    }
    let summary = try folder.readSummary()
    if record.isEarlier {
      outcome = try? Value.object(EarlierRuns.summary(summary))
        .decode(style: .figures, name: folder.summary.path, allowsOtherKeys: true)
    } else {
      outcome = try Value.object(summary)
        .decode(style: .figures, name: folder.summary.path, besides: Lab.ownFigures)
    }
  }

  /// An outcome's artefact, if it was written.
  public func artefact(_ name: String) -> URL? {
    let url = folder.artefact(name)
    return FileManager.default.fileExists(atPath: url.path) ? url : nil
  }

  public var text: String { Work.text(of: self) }
  public var report: Report { Work.report(of: self) }
}
