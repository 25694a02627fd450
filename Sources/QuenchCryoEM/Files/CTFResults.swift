import Foundation
import QuenchSupport

/// Measured resolutions from a file of either program, told apart by its content.
public struct CTFResults: Hashable, Sendable {
  public let measurements: [CTFMeasurement]
  public let warnings: [String]

  /// - Parameters:
  ///   - data: CTFFIND's text output or a RELION STAR file.
  ///   - name: What they are, for errors: usually the file's path.
  ///   - isGrowing: Whether the file is being written: a last line without an end is left for later, a STAR file without a
  ///     table of fits has no measurement yet, and a row that cannot be read is a warning.
  /// - Throws: `InputError` with the line of what cannot be read.
  public init(_ data: Data, name: String, isGrowing: Bool = false) throws(InputError) {
    if try Self.isSTAR(data, name: name) {
      let file = try STARFile(data, name: name, isGrowing: isGrowing)
      guard file.hasFits || !isGrowing else {
        measurements = []
        warnings = file.warnings + ["\(name): \(file.missingFits)"]
        return
      }
      (measurements, warnings) = try file.fits()
    } else {
      let file = try CTFFIND(data, name: name, isGrowing: isGrowing)
      measurements = file.measurements
      warnings = file.warnings
    }
  }

  /// - Throws: `InputError` as ``init(_:name:isGrowing:)`` does, or if the file cannot be read.
  public init(contentsOf url: URL, isGrowing: Bool = false) throws(InputError) {
    try self.init(InputFile.read(url), name: url.path, isGrowing: isGrowing)
  }

  private static func isSTAR(_ data: Data, name: String) throws(InputError) -> Bool {
    try TextFile(data, name: name).lines.first { !$0.text.isEmpty && !$0.text.hasPrefix("#") }?
      .text.hasPrefix("data_") ?? false
  }
}
