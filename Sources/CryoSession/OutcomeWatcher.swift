import CryoEM
import Foundation
import Support

/// Takes measurements out of files that CTF programs write: a CTFFIND or STAR file that grows, or a folder of them.
public struct OutcomeWatcher {
  public let url: URL
  private let names: [String: Int]
  /// Size and time of change of each file when it was read last.
  private var seen: [String: Stamp] = [:]
  private var strangers: Set<String> = []

  private struct Stamp: Equatable {
    var size: Int
    var changed: Date?
  }

  /// A measurement of a hole of the survey.
  public struct Outcome: Hashable, Sendable {
    public var hole: Int
    public var fit: CTFFit
  }

  public init(_ url: URL, survey: Survey) {
    self.url = url
    names = Dictionary(uniqueKeysWithValues: survey.holes.enumerated().map { ($1.name, $0) })
  }

  /// What changed files say; files that are not there yet say nothing.
  /// - Returns: Measurements in the order of the files' names and lines, also those that were known before; and names
  ///   of micrographs that are no holes of the survey, each once.
  /// - Throws: `InputError` with the line of what cannot be read. What was read before stays read.
  public mutating func poll() throws(InputError) -> (outcomes: [Outcome], strangers: [String]) {
    var outcomes: [Outcome] = []
    var new: [String] = []
    for file in files() {
      let values = try? file.resourceValues(forKeys: [.fileSizeKey, .contentModificationDateKey])
      guard let size = values?.fileSize else { continue }
      let stamp = Stamp(size: size, changed: values?.contentModificationDate)
      guard seen[file.path] != stamp else { continue }
      for measurement in try CTFResults(contentsOf: file, isGrowing: true).measurements {
        if let hole = hole(measurement.name) {
          outcomes.append(Outcome(hole: hole, fit: measurement.fit))
        } else if strangers.insert(measurement.name).inserted {
          new.append(measurement.name)
        }
      }
      seen[file.path] = stamp
    }
    return (outcomes, new)
  }

  private func files() -> [URL] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else { return [] }
    guard isFolder.boolValue else { return [url] }
    let all = (try? FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)) ?? []
    return all.filter { ["txt", "star"].contains($0.pathExtension) }.sorted { $0.path < $1.path }
  }

  /// The hole of a micrograph's name; programs append to names, and sums of frames have `-a`.
  private func hole(_ name: String) -> Int? {
    if let hole = names[name] ?? names[name + "-a"] { return hole }
    for suffix in ["_ctf", "_ctffind4", "_ctffind5", "_diag", "_DW"] where name.hasSuffix(suffix) {
      let stem = String(name.dropLast(suffix.count))
      if let hole = names[stem] ?? names[stem + "-a"] { return hole }
    }
    return nil
  }
}
