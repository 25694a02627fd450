import Foundation
import QuenchSupport
import QuenchVision

/// One image of a certification: a line of `certified.tsv`. The first six columns are those of the public code of Cohen
/// et al. 2019 and its descendants, so that their analysis reads it.
public struct CertifiedRow: Hashable, Codable, Sendable {
  public var index: Int
  public var label: Int
  /// Nil where it abstained; -1 in the file.
  public var predicted: Int?
  /// 0 where it abstained. The file holds it rounded down to six decimals.
  public var radius: Double
  /// Its share of the running time.
  public var seconds: Double
  /// The further columns in the file's order; empty for a file that has none.
  public var details: [String] = []

  public var isCorrect: Bool { predicted == label }

  /// Noisy copies that were classified for it, where the file says so.
  public var queries: Int? { count("queries") }
  /// Those that got no answer: NaN or infinity in place of scores. They count as another class.
  public var unanswered: Int? { count("no_answer") }
  /// The classifier that was certified, where the file says so.
  public var version: String? { detail("model_version") }
  /// The radii that were asked for, rising; nil: the largest that there is, as in files of the public code. Of radii
  /// beyond the last, and between two, nothing more is known.
  public var askedRadii: [Double]? {
    let radii = (detail("target") ?? "-").split(separator: ",").map { Double($0) }
    return radii.isEmpty || radii.contains(nil) ? nil : radii.compactMap { $0 }
  }

  private func detail(_ name: String) -> String? {
    let column = Self.detailColumns.firstIndex(of: name)
    return column.flatMap { details.indices.contains($0) ? details[$0] : nil }
  }

  private func count(_ name: String) -> Int? {
    detail(name).flatMap { Int($0) }.flatMap { (0...1_000_000_000_000).contains($0) ? $0 : nil }
  }

  /// No radius is larger, whatever units pixels are in.
  static let largestRadius = 1e6

  static let columns = ["idx", "label", "predict", "radius", "correct", "time"]
  /// The columns beyond the usual ones.
  public static let detailColumns = [
    "k", "n", "n0", "p_lower", "alpha", "sigma", "method", "queries", "seed", "model_version", "target", "decision",
    "no_answer"
  ]

  public init(index: Int, label: Int, predicted: Int?, radius: Double, seconds: Double, details: [String] = []) {
    self.index = index
    self.label = label
    self.predicted = predicted
    self.radius = radius
    self.seconds = seconds
    self.details = details
  }

  /// - Parameters:
  ///   - result: What was found out.
  ///   - label: The image's class.
  ///   - seed: The seed of the noise.
  ///   - version: What tells the classifier from others: a fingerprint or a server's version.
  public init(_ result: CertificationRun.Result, label: Int, seed: UInt64, version: String) {
    let (attempt, certify) = (result.attempt, result.attempt.certify)
    self.init(
      index: result.index, label: label, predicted: attempt.certificate.label, radius: attempt.certificate.radius,
      seconds: result.seconds)
    let target = certify.radii.map { $0.map { "\($0)" }.joined(separator: ",") }
    details = [
      "\(attempt.successes)", "\(attempt.trials)", "\(certify.selection)", "\(attempt.lowerBound)",
      "\(certify.failureProbability)", "\(certify.sigma)", target == nil ? "fixed" : "sequential",
      "\(attempt.queries)", "\(seed)", version, target ?? "-",
      attempt.certificate == .abstained ? "abstained" : "certified", "\(attempt.unanswered)"
    ]
  }

  var line: String {
    let fields = [
      "\(index)", "\(label)", "\(predicted ?? -1)", Self.text(radius), isCorrect ? "1" : "0", Self.time(seconds)
    ]
    return (fields + details).joined(separator: "\t")
  }

  /// The largest number of six decimals that is at most `radius`: rounding up would claim what was not shown.
  static func text(_ radius: Double) -> String {
    func decimal(_ millionths: Int) -> String {
      let fraction = "\(millionths % 1_000_000)"
      return "\(millionths / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
    }
    let down = Int((radius * 1e6).rounded(.down))
    // The product may have been rounded down past a number of six decimals, or up to one.
    return [down + 1, down].map(decimal).first { (Double($0) ?? .infinity) <= radius } ?? decimal(max(0, down - 1))
  }

  /// `0:00:01.234567`
  static func time(_ seconds: Double) -> String {
    let total = Int((max(0, seconds) * 1e6).rounded())
    let (whole, fraction) = (total / 1_000_000, "\(total % 1_000_000)")
    func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(whole / 3600):\(padded(whole / 60 % 60)):\(padded(whole % 60))."
      + String(repeating: "0", count: 6 - fraction.count) + fraction
  }

  /// - Throws: `InputError` that says what is wrong with the line.
  init(_ line: Substring, at location: String) throws(InputError) {
    let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    func fail(_ column: Int, _ expected: String) -> InputError {
      InputError(
        "column \(Self.columns[column]) cannot be read", at: location, expected: expected,
        found: column < fields.count ? "'\(fields[column])'" : "nothing")
    }
    func integer(_ column: Int) throws(InputError) -> Int {
      guard column < fields.count, let value = Int(fields[column]) else { throw fail(column, "a whole number") }
      return value
    }
    let predicted = try integer(2)
    guard fields.count >= 4, let radius = Double(fields[3]), (0...Self.largestRadius).contains(radius) else {
      throw fail(3, "a number from 0 to 1,000,000")
    }
    guard fields.count >= 6, let seconds = Self.seconds(fields[5]), (0...1e9).contains(seconds) else {
      throw fail(5, "H:MM:SS.ffffff")
    }
    self.init(
      index: try integer(0), label: try integer(1), predicted: predicted < 0 ? nil : predicted, radius: radius,
      seconds: seconds, details: Array(fields.dropFirst(6)))
  }

  /// The public logs hold `H:MM:SS.ffffff`, older ones seconds.
  private static func seconds(_ text: String) -> Double? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Double($0) }
    return parts.reduce(Double?(0)) { sum, part in sum.flatMap { sum in part.map { sum * 60 + $0 } } }
  }
}

/// The file of certified images, a row each, every one handed to the system as soon as it is known.
public final class CertifiedTable {
  public static let fileName = "certified.tsv"

  /// All rows, in order.
  public private(set) var rows: [CertifiedRow]
  private let url: URL
  private let handle: FileHandle

  /// Begins the file, or continues it behind its complete rows: a line torn by a kill is cut off.
  /// - Throws: `InputError` if the file cannot be written, or holds something else.
  public init(at url: URL, resumes: Bool) throws(InputError) {
    self.url = url
    let header = (CertifiedRow.columns + CertifiedRow.detailColumns).joined(separator: "\t") + "\n"
    var kept = 0
    rows = []
    if resumes, FileManager.default.fileExists(atPath: url.path) {
      (rows, kept) = try Self.parse(url)
    }
    do {
      let descriptor = open(url.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
      handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
      try handle.truncate(atOffset: UInt64(kept))
      if kept == 0 { try handle.write(contentsOf: Data(header.utf8)) }
    } catch { throw InputError.writing(url, error) }
  }

  public func append(_ row: CertifiedRow) throws(InputError) {
    do { try handle.write(contentsOf: Data((row.line + "\n").utf8)) } catch { throw InputError.writing(url, error) }
    rows.append(row)
  }

  /// The rows of a file of this or of the public code's making.
  /// - Throws: `InputError` if it cannot be read, or names the line that is not as it must be.
  public static func read(_ url: URL) throws(InputError) -> [CertifiedRow] { try parse(url).rows }

  /// The complete rows and where they end.
  private static func parse(_ url: URL) throws(InputError) -> (rows: [CertifiedRow], end: Int) {
    let data = try InputFile.read(url)
    // Lines end where bytes do: "\r\n", as other systems' editors write it, is one character.
    let end = data.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? data.startIndex
    let lines = data[..<end].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().map {
      String(decoding: $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0, as: UTF8.self)
    }
    let header = CertifiedRow.columns.joined(separator: "\t")
    guard let first = lines.first else {
      // The header itself may have been torn by a kill.
      let start = (CertifiedRow.columns + CertifiedRow.detailColumns).joined(separator: "\t")
      guard start.utf8.starts(with: data) else { throw Self.noTable(url) }
      return ([], 0)
    }
    guard first.hasPrefix(header) else { throw Self.noTable(url) }
    var rows: [CertifiedRow] = []
    for (number, line) in lines.enumerated().dropFirst() {
      rows.append(try CertifiedRow(Substring(line), at: "\(url.path), line \(number + 1)"))
    }
    return (rows, end - data.startIndex)
  }

  private static func noTable(_ url: URL) -> InputError {
    InputError(
      "this is no table of certified images", at: url.path,
      expected: "a first line with the columns \(CertifiedRow.columns.joined(separator: ", "))")
  }
}

extension Collection<CertifiedRow> {
  /// The radii that were asked for, of all rows; nil: every row has the largest that there is.
  public var askedRadii: [Double]? {
    let radii = Set(compactMap(\.askedRadii).joined())
    return radii.isEmpty ? nil : radii.sorted()
  }

  /// The images that got their own class with a radius of at least `radius`; those that abstained count as wrong.
  public func certifiedAccuracy(at radius: Double) -> Accuracy {
    Accuracy(correct: count { $0.isCorrect && $0.radius >= radius }, count: count)
  }

  /// The mean radius, those of wrong answers taken as 0.
  public var averageCertifiedRadius: Double {
    isEmpty ? 0 : reduce(0) { $0 + ($1.isCorrect ? $1.radius : 0) } / Double(count)
  }
}

extension Accuracy {
  /// What the robust accuracy on these images is at least, with probability 1 - ρ over all certificates, each of which
  /// is wrong with probability α (Cohen et al. 2019, appendix): a - α - √(α (1 - α) ln(1/ρ) / m) - ln(1/ρ) / 3m.
  public func certifiedLowerBound(certificateFailure alpha: Double, failureProbability rho: Double) -> Double {
    let (m, log) = (Double(count), Foundation.log(1 / rho))
    return fraction - alpha - (alpha * (1 - alpha) * log / m).squareRoot() - log / (3 * m)
  }
}
