import Foundation
import QuenchSupport

/// An experiment of a study, in a folder of its own within the study's.
public struct StudyPart: Sendable {
  /// The folder's name.
  public let name: String
  public let experiment: any Experiment
  /// Whether the rest of the study can do without it.
  public let isOptional: Bool

  public init(_ name: String, _ experiment: any Experiment, isOptional: Bool = false) {
    self.name = name
    self.experiment = experiment
    self.isOptional = isOptional
  }

  /// Whether it is done in the study's folder.
  /// - Throws: `InputError` if its folder holds something, but no run: that is neither gone on with nor removed.
  public func isDone(in study: URL) throws(InputError) -> Bool {
    let url = study.appending(path: name, directoryHint: .isDirectory)
    guard try RunFolder.record(at: url)?.outcome == .completed else { return false }
    return try experiment.isWhole(in: url)
  }
}

extension StudyPart {
  /// Does it in the study's folder, or goes on with what was begun there.
  /// - Throws: As ``Lab/ensure(_:in:)`` does.
  public func perform(in study: URL, by lab: Lab) throws {
    try experiment.ensure(in: study.appending(path: name, directoryHint: .isDirectory), by: lab)
  }
}

extension RunContext {
  /// Does the parts of a study that are not done yet, in order; one that was begun is gone on with.
  /// - Parameters:
  ///   - parts: The parts; one may read what those before it wrote.
  ///   - afterEach: Called after every part, for instance to write the report anew.
  /// - Throws: What a part throws that others need; at the end, if optional ones failed, `InputError` that names them.
  public func perform(_ parts: [StudyPart], afterEach: () throws -> Void = {}) throws {
    var failed: [String] = []
    for part in parts where try !part.isDone(in: url) {
      console.note("\n\(part.name): \(type(of: part.experiment).kind)")
      do { try part.perform(in: url, by: lab) } catch let error as InputError {
        guard part.isOptional else { throw error }
        console.note("error: \(error)")
        failed.append(part.name)
      }
      try afterEach()
    }
    guard failed.isEmpty else {
      throw InputError(
        "\(NumberText.count(failed.count, "part")) of the study failed", at: failed.joined(separator: ", "),
        remedy: "see above why; the report tells of the others")
    }
  }
}

extension Experiment {
  fileprivate func ensure(in url: URL, by lab: Lab) throws { _ = try lab.ensure(self, in: url) }
}

/// Figures of repeated runs.
public struct Sample: Hashable, Sendable {
  public let values: [Double]

  public init(_ values: [Double]) { self.values = values }

  public var mean: Double { values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count) }

  /// Of a single run: nil.
  public var standardDeviation: Double? {
    guard values.count > 1 else { return nil }
    return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
  }

  /// The 95 % interval of the mean by Student's t.
  public var interval: ClosedRange<Double>? {
    guard let standardDeviation else { return nil }
    let quantiles = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
    let t = values.count - 2 < quantiles.count ? quantiles[values.count - 2] : 1.96
    let half = t * standardDeviation / Double(values.count).squareRoot()
    return mean - half...mean + half
  }
}
