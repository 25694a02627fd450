import Foundation
import QuenchSupport

/// What a CTF fit says of one micrograph.
public struct CTFMeasurement: Hashable, Sendable {
  /// The micrograph's name without folder and extension.
  public var name: String
  public var fit: CTFFit
  /// Agreement of rings and model, where the file says; the two programs have scales of their own.
  public var figureOfMerit: Double?
  /// The line that says so, counted from 1.
  public var line: Int

  public init(name: String, fit: CTFFit, figureOfMerit: Double? = nil, line: Int = 0) {
    self.name = name
    self.fit = fit
    self.figureOfMerit = figureOfMerit
    self.line = line
  }

  /// A micrograph's name by a file's: without folder and the extensions that images and their metadata have.
  package static func name(ofFile name: String) -> String { name.lastPathPart.withoutExtension }

  /// A resolution as CTF programs write it: 0, infinity and NaN stand for a failed fit, too.
  static func fit(_ value: Double) -> CTFFit {
    value.isFinite && value > 0 ? CTFFit(fileValue: value) ?? .failed : .failed
  }
}

/// The text output of CTFFIND (Rohou and Grigorieff 2015): comments, then a row of numbers for each micrograph.
public struct CTFFIND: Hashable, Sendable {
  public let measurements: [CTFMeasurement]
  public let warnings: [String]

  /// Number, two defoci, azimuth, phase shift, correlation, resolution.
  private static let columns = 7

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path. Names the micrographs if the comments don't.
  ///   - isGrowing: Whether the file is being written: a last line without an end is left for later, and a row that is none
  ///     is a warning.
  /// - Throws: `InputError` with the line of a row that is none.
  public init(_ data: Data, name: String, isGrowing: Bool = false) throws(InputError) {
    let file = try TextFile(data, name: name)
    var input = name.lastPathPart.withoutExtension
    var count = 1
    var measurements: [CTFMeasurement] = []
    var warnings: [String] = []
    for line in file.lines where !line.text.isEmpty {
      if line.text.hasPrefix("#") {
        if let text = line.text.value(after: "Input file:") { input = text.lastPathPart.withoutExtension }
        if let text = line.text.value(after: "Number of micrographs:"), let number = Int(text) { count = number }
        continue
      }
      if isGrowing, !line.isComplete { continue }
      do {
        let row = try Self.row(line, of: file)
        measurements.append(
          CTFMeasurement(
            name: count > 1 ? "\(input)#\(Int(row[0]))" : input, fit: CTFMeasurement.fit(row[6]),
            figureOfMerit: row[5].isFinite ? row[5] : nil, line: line.number))
      } catch {
        guard isGrowing else { throw error }
        warnings.append("\(error); left out")
      }
    }
    if measurements.isEmpty { warnings.append("\(name): no micrograph in it yet") }
    self.measurements = measurements
    self.warnings = warnings
  }

  /// The numbers of a row, the first of which is a micrograph's.
  private static func row(_ line: TextFile.Line, of file: TextFile) throws(InputError) -> [Double] {
    let numbers = line.text.words().map(Double.init)
    guard numbers.count >= columns, !numbers.contains(nil) else {
      throw InputError(
        "not a row of CTFFIND's output", at: file.location(line.number),
        expected: "\(columns) numbers or more: micrograph, defocus 1, defocus 2, azimuth, phase shift,"
          + " correlation, resolution",
        found: "'\(line.text.shortened)'")
    }
    let row = numbers.compactMap { $0 }
    guard let number = Int(exactly: row[0]), number >= 1 else {
      throw InputError(
        "a micrograph's number is none", at: file.location(line.number), expected: "1 or more",
        found: line.text.words()[0].shortened)
    }
    return row
  }
}

extension String {
  /// What follows `label`, up to the next semicolon.
  fileprivate func value(after label: String) -> String? {
    guard let range = range(of: label) else { return nil }
    return self[range.upperBound...].prefix { $0 != ";" }.trimmingBlanks()
  }

  /// A file's name without the extensions that images and their metadata have.
  var withoutExtension: String {
    var name = self
    let extensions = [".mrc", ".mrcs", ".st", ".tif", ".tiff", ".eer", ".png", ".txt", ".ctf", ".mdoc"]
    while let found = extensions.first(where: { name.lowercased().hasSuffix($0) }), name.count > found.count {
      name.removeLast(found.count)
    }
    return name
  }
}
