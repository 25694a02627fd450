import Foundation
import QuenchSupport

/// Runs that wait in folders of their own within one folder, for as many workers as come: processes of one machine, or of
/// many that share the folder.
///
/// A run whose settings name a file of another run of the study waits until that one is completed. A folder that is itself
/// the run of a ``CompositeExperiment`` comes last: it gathers what its parts found.
public struct StudyFolder: Sendable {
  public let url: URL
  /// Seconds without a sign of life after which a worker counts as gone.
  public var lease = StudyClaim.usualLease

  /// How far a run is.
  public enum State: Hashable, Sendable {
    /// Planned, or begun by a worker that is gone.
    case open
    /// Until other runs, by their names, are completed.
    case waiting([String])
    case held(by: String)
    case completed
    case failed

    public var name: String {
      switch self {
      case .open: "open"
      case .waiting: "waiting"
      case .held: "held"
      case .completed: "completed"
      case .failed: "failed"
      }
    }
  }

  public struct Entry: Sendable {
    /// Of the run's folder within the study's; `.` for the study itself.
    public let name: String
    public let record: RunRecord
    public let state: State
  }

  public init(_ url: URL) { self.url = url }

  public func folder(of name: String) -> URL {
    name == Self.whole ? url : url.appending(path: name, directoryHint: .isDirectory)
  }

  private static let whole = "."

  /// Every run of the study with its state, in the order of their names.
  /// - Throws: `InputError` if there is no study, or the configuration of a run cannot be read.
  public func entries() throws(InputError) -> [Entry] {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: url.path) } catch {
      throw InputError.reading(url, error)
    }
    var records: [(name: String, record: RunRecord)] = []
    for name in names.sorted(by: { $0.localizedStandardCompare($1) == .orderedAscending })
    where !name.hasPrefix(".") {
      let folder = try? RunFolder(existing: folder(of: name))
      if let folder { records.append((name, try folder.record())) }
    }
    guard !records.isEmpty else {
      throw InputError(
        "there are no runs of a study here", at: url.path, expected: "folders with a config.yaml each",
        remedy: "plan some with 'quench study plan'")
    }
    let unfinished = Set(records.filter { $0.record.outcome != .completed }.map(\.name))
    var entries: [Entry] = []
    for (name, record) in records {
      let needed = record.settings.runs(in: url).intersection(unfinished).subtracting([name])
      entries.append(Entry(name: name, record: record, state: try state(of: name, record, waitingFor: needed)))
    }
    if let own = try? RunFolder(existing: url) {
      let record = try own.record()
      entries.append(
        Entry(name: Self.whole, record: record, state: try state(of: Self.whole, record, waitingFor: unfinished)))
    }
    return entries
  }

  private func state(
    of name: String, _ record: RunRecord, waitingFor others: Set<String>
  ) throws(InputError) -> State {
    switch record.outcome {
    case .completed: return .completed
    case .failed: return .failed
    case .planned, .interrupted, nil:
      guard others.isEmpty else { return .waiting(others.sorted()) }
      return try StudyClaim.holder(of: folder(of: name), lease: lease).map(State.held(by:)) ?? .open
    }
  }

  /// Claims the first run that is open; nil where there is none.
  /// - Parameter didLose: Called, from another thread, when another worker took the run over.
  /// - Throws: As ``entries()`` does.
  public func claim(
    didLose: @escaping @Sendable () -> Void = {}
  ) throws(InputError) -> (entry: Entry, claim: StudyClaim)? {
    for entry in try entries() where entry.state == .open {
      let folder = folder(of: entry.name)
      guard let claim = try StudyClaim(folder, lease: lease, didLose: didLose) else { continue }
      // What was open may have been done between the look and the claim.
      switch try RunFolder(existing: folder).record().outcome {
      case .completed, .failed: claim.release()
      case .planned, .interrupted, nil: return (entry, claim)
      }
    }
    return nil
  }

  /// Performs a run that was claimed, or goes on with it.
  /// - Throws: What the experiment throws. A run that failed is marked so, and no worker takes it again.
  public func perform(_ entry: Entry, as type: any Experiment.Type, by lab: Lab) throws {
    do { try perform(entry, type, lab) } catch {
      if !(error is Interrupted) { try? RunFolder(existing: folder(of: entry.name)).finish(.failed) }
      throw error
    }
  }

  private func perform<Work: Experiment>(_ entry: Entry, _ type: Work.Type, _ lab: Lab) throws {
    let folder = folder(of: entry.name)
    let experiment = try Work(settings: entry.record.settings, name: RunFolder(existing: folder).config.path)
    try lab.perform(experiment, in: folder, resumes: true)
  }

  /// Lets runs that failed be done again.
  /// - Returns: Their names.
  public func reopenFailed() throws(InputError) -> [String] {
    let failed = try entries().filter { $0.state == .failed }.map(\.name)
    for name in failed { try RunFolder(existing: folder(of: name)).finish(.interrupted) }
    return failed
  }

  /// Writes a folder with a configuration for each of `runs`; what is there already stays as it is.
  /// - Parameters:
  ///   - runs: Experiments under the names of their folders.
  ///   - whole: What gathers the runs, with the study's folder as its own; nil: nothing.
  /// - Returns: How many were new.
  /// - Throws: `InputError` for a setting out of its range, or if a folder holds another run.
  public func plan(_ runs: [StudyPart], of whole: (any CompositeExperiment)? = nil) throws(InputError) -> Int {
    var count = 0
    for run in runs { count += try Self.plan(run.experiment, in: folder(of: run.name)) ? 1 : 0 }
    if let whole { _ = try Self.plan(whole, in: url) }
    return count
  }

  private static func plan<Work: Experiment>(_ experiment: Work, in url: URL) throws(InputError) -> Bool {
    let record = RunRecord(
      command: [], kind: Work.kind, settings: try experiment.checked().settings, outcome: .planned)
    if let earlier = (try? RunFolder(existing: url)).flatMap({ try? $0.record() }) {
      try record.requireSameSettings(as: Work.completing(earlier, at: url), besides: Work.revisable, at: url)
      return false
    }
    try RunFolder.plan(record, at: url)
    return true
  }
}

/// An experiment that is made of others, each in a folder of its own within its own.
public protocol CompositeExperiment: Experiment {
  /// The parts in an order in which they can be done.
  /// - Throws: `InputError` for settings that no part can have.
  func parts(in folder: URL) throws(InputError) -> [StudyPart]
}

extension Record {
  /// The names of the runs in `study` that the values of settings lie in: `study/NAME/...`, also behind `KEY=`.
  fileprivate func runs(in study: URL) -> Set<String> {
    let place = study.standardizedFileURL.pathComponents
    var names = Set<String>()
    func look(_ value: Value) {
      switch value {
      case .string(let text):
        for path in [text[...]] + text.split(separator: "=", maxSplits: 1).dropFirst() where path.contains("/") {
          let parts = URL(filePath: String(path)).standardizedFileURL.pathComponents
          if parts.count > place.count, parts.starts(with: place) { names.insert(parts[place.count]) }
        }
      case .array(let values): values.forEach(look)
      case .object(let record): for (_, value) in record { look(value) }
      default: break
      }
    }
    look(.object(self))
    return names
  }
}
