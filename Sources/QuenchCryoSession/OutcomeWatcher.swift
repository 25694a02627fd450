import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// Takes measurements out of files that CTF programs write: a CTFFIND or STAR file that grows, or a folder of them, with
/// SerialEM's `.mdoc` files where these are.
public struct OutcomeWatcher {
  public let url: URL
  private var finder: HoleFinder
  /// Size and time of change of each file when it was read last.
  private var seen: [String: Stamp] = [:]
  /// What was told before.
  private var told: Set<String> = []
  /// Measurements of micrographs without a hole, which metadata may bring later.
  private var strangers: [String: CTFFit] = [:]

  private struct Stamp: Equatable {
    var size: Int
    var changed: Date?
  }

  /// A measurement of a hole of the survey.
  public struct Outcome: Hashable, Sendable {
    public var hole: Int
    public var fit: CTFFit
  }

  /// What a look at the files brought.
  public struct Findings: Hashable, Sendable {
    /// In the order of the files' names and lines, also those that were known before.
    public var outcomes: [Outcome] = []
    /// Names of micrographs that are no holes of the survey, each once.
    public var strangers: [String] = []
    /// What could not be read, or not yet, each once.
    public var warnings: [String] = []
  }

  /// - Parameters:
  ///   - url: A file or a folder, which may come to be later.
  ///   - finder: Which hole a micrograph is of.
  public init(_ url: URL, finder: HoleFinder) {
    self.url = url
    self.finder = finder
  }

  /// Micrographs are named after their holes.
  public init(_ url: URL, survey: Survey) { self.init(url, finder: HoleFinder(survey)) }

  /// What changed files say. What cannot be read is a warning, and keeps nothing else from being read.
  public mutating func poll() -> Findings {
    var findings = Findings()
    let files = files(&findings)
    for file in files where file.pathExtension == "mdoc" && hasChanged(file) { read(metadata: file, &findings) }
    for file in files where file.pathExtension != "mdoc" && hasChanged(file) { read(results: file, &findings) }
    return findings
  }

  private mutating func hasChanged(_ file: URL) -> Bool {
    let values = try? file.resourceValues(forKeys: [.fileSizeKey, .contentModificationDateKey])
    guard let size = values?.fileSize else { return false }
    let stamp = Stamp(size: size, changed: values?.contentModificationDate)
    return seen.updateValue(stamp, forKey: file.path) != stamp
  }

  private mutating func read(metadata file: URL, _ findings: inout Findings) {
    do {
      let metadata = try ImageMetadata(contentsOf: file)
      guard finder.read(metadata, of: file.lastPathComponent) > 0 else {
        return tell("\(file.path): no image in it was taken at a hole of the survey (NavigatorLabel)", &findings)
      }
    } catch { return tell("\(error); left out", &findings) }
    for (name, fit) in strangers {
      guard let hole = finder.hole(name) else { continue }
      findings.outcomes.append(Outcome(hole: hole, fit: fit))
      strangers[name] = nil
    }
  }

  private mutating func read(results file: URL, _ findings: inout Findings) {
    do {
      let results = try CTFResults(contentsOf: file, isGrowing: true)
      for warning in results.warnings { tell(warning, &findings) }
      for measurement in results.measurements {
        if let hole = finder.hole(measurement.name) {
          findings.outcomes.append(Outcome(hole: hole, fit: measurement.fit))
        } else if strangers.updateValue(measurement.fit, forKey: measurement.name) == nil {
          findings.strangers.append(measurement.name)
        }
      }
    } catch { tell("\(error); left out", &findings) }
  }

  private mutating func tell(_ warning: String, _ findings: inout Findings) {
    if told.insert(warning).inserted { findings.warnings.append(warning) }
  }

  private mutating func files(_ findings: inout Findings) -> [URL] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      tell("\(url.path): there is nothing of this name yet; it is waited for", &findings)
      return []
    }
    guard isFolder.boolValue else { return [url] }
    do {
      return try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil).filter { file in
        // CTFFIND writes the profile of each power spectrum beside its result.
        ["txt", "star", "mdoc"].contains(file.pathExtension) && !file.lastPathComponent.hasSuffix("_avrot.txt")
      }.sorted { $0.path < $1.path }
    } catch {
      tell("\(InputError.reading(url, error))", &findings)
      return []
    }
  }
}
