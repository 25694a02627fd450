import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// Finds the hole that a micrograph was taken of, by the micrograph's name.
///
/// What a table or the microscope's own metadata say comes first, then a pattern that the user gave. Else the name without
/// what programs put before and after it must be a hole's, or begin with one and go on with numbers alone, as EPU's
/// `FoilHole_<hole>_Data_<shot>_<shot>_<date>_<time>` does.
public struct HoleFinder {
  private let holes: [String: Int]
  /// The part of a micrograph's name that names the hole: its first group, or all that fits where there is none.
  private let pattern: Regex<AnyRegexOutput>?
  /// Names of holes by names of micrographs.
  private var table: [String: String] = [:]

  public init(_ survey: Survey) {
    holes = Self.places(survey)
    pattern = nil
  }

  private static func places(_ survey: Survey) -> [String: Int] {
    Dictionary(uniqueKeysWithValues: survey.holes.enumerated().map { ($1.name, $0) })
  }

  /// - Parameters:
  ///   - survey: The holes.
  ///   - pattern: A regular expression.
  /// - Throws: `InputError` if the pattern is none.
  public init(_ survey: Survey, pattern: String) throws(InputError) {
    holes = Self.places(survey)
    do { self.pattern = try Regex(pattern) } catch {
      throw InputError(
        "this is no regular expression", at: "match", expected: "such as '^(hole[0-9]+)_'", found: pattern)
    }
  }

  /// Takes a table with a line a micrograph: its name and its hole's.
  /// - Throws: `InputError` that names the line with another number of columns, or with a hole that is not in the survey.
  public mutating func read(table url: URL) throws(InputError) {
    let file = try DelimitedFile(contentsOf: url)
    for (index, row) in file.rows.enumerated() {
      guard row.fields.count == 2 else {
        throw InputError(
          "a line has another number of columns", at: file.location(row), expected: "a micrograph and its hole",
          found: NumberText.count(row.fields.count, "column"))
      }
      guard holes[row.fields[1]] != nil else {
        if index == 0 { continue }  // a header
        throw InputError(
          "there is no hole of this name in the survey", at: file.location(row),
          found: "'\(row.fields[1].prefix(80))'")
      }
      table[row.fields[0].micrographName] = row.fields[1]
    }
  }

  /// Takes from SerialEM's metadata at which of the navigator's items each movie was taken.
  /// - Returns: How many name a hole of the survey.
  @discardableResult
  public mutating func read(_ metadata: ImageMetadata, of file: String) -> Int {
    var count = 0
    for frame in metadata.frames {
      guard let label = frame.navigatorLabel.map(Navigator.holeName(ofLabel:)), holes[label] != nil else {
        continue
      }
      count += 1
      let image = metadata.frames.count == 1 ? metadata.imageFile ?? file : nil
      for name in [frame.movie, image].compactMap(\.self) { table[name.micrographName] = label }
    }
    return count
  }

  /// - Returns: Nil for a micrograph of no hole of the survey.
  public func hole(_ micrograph: String) -> Int? {
    let name = micrograph.micrographName
    let candidates = Self.stems(of: name)
    if let label = candidates.lazy.compactMap({ table[$0] }).first { return holes[label] }
    if let pattern, let match = try? pattern.firstMatch(in: name) {
      let groups = match.output.indices.dropFirst().compactMap { match.output[$0].substring }
      return holes[String(groups.first ?? name[match.range])]
    }
    for stem in candidates {
      if let hole = holes[stem] ?? holes[stem + "-a"] { return hole }
    }
    return candidates.last.flatMap(beginning)
  }

  /// The hole of the longest name that `name` begins with, where only numbers follow, token by token.
  private func beginning(_ name: String) -> Int? {
    var rest = name[...]
    while let bar = rest.lastIndex(of: "_"), rest[rest.index(after: bar)...].allSatisfy(\.isNumber) {
      rest = rest[..<bar]
      if let hole = holes[String(rest)] { return hole }
      // `FoilHole_123_Data` is nobody's name; the hole's is `FoilHole_123`.
      if rest.hasSuffix("_Data") {
        rest = rest.dropLast(5)
        if let hole = holes[String(rest)] { return hole }
      }
    }
    return nil
  }

  /// What programs append to a micrograph's name: CTFFIND, RELION's and MotionCor's sums, EPU's movies, cryoSPARC's.
  private static let suffixes = [
    "_ctf", "_ctffind4", "_ctffind5", "_diag", "_avrot", "_dw", "_nodw", "_dws", "_ps", "_fractions", "_eer",
    "_frames",
    "_movie", "_movies", "_aligned", "_doseweighted", "_aligned_doseweighted", "_patch_aligned", "_rigid_aligned",
    "_patch_aligned_doseweighted", "_rigid_aligned_doseweighted", "_sumcorr", "_corrected", "_aligned_mic", "_mc2",
    "_mc", "_sum", "_avg"
  ]

  /// The name, and what is left of it when suffixes, and a unique number that cryoSPARC puts before, are taken off.
  private static func stems(of name: String) -> [String] {
    var stems = [name]
    let bar = name.firstIndex(of: "_")
    if let bar, (15...21).contains(name[..<bar].count), name[..<bar].allSatisfy(\.isNumber) {
      stems.append(String(name[name.index(after: bar)...]))
    }
    while let last = stems.last {
      let lower = last.lowercased()
      guard let suffix = suffixes.filter(lower.hasSuffix).max(by: { $0.count < $1.count }),
        last.count > suffix.count
      else { return stems }
      stems.append(String(last.dropLast(suffix.count)))
    }
    return stems
  }
}

extension String {
  /// Without folder and the extensions that images and their metadata have.
  fileprivate var micrographName: String { CTFMeasurement.name(ofFile: self) }
}
