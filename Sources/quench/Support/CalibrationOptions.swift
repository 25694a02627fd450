import ArgumentParser
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a network that is written or served computes in.
enum Bits: String, CaseIterable, ExpressibleByArgument {
  case float32, int8
}

/// On which images the ranges of 8-bit integers are measured.
struct CalibrationOptions: ParsableArguments {
  @Option(help: "The data set on whose training images int8's ranges are measured.")
  var calibration: DataName?

  @Option(help: ArgumentHelp("Folder that holds --calibration's files.", valueName: "dir"), completion: .directory)
  var dataDir: String?

  @Option(help: ArgumentHelp("Measure on n images.", valueName: "n"))
  var calibrationImages = Calibration.standardImages

  func validate() throws {
    guard dataDir == nil || calibration != nil else { throw ValidationError("--data-dir is for --calibration.") }
    try requireUsage { try Calibration.check(images: calibrationImages) }
  }

  /// Which images, for `bits`; nil for float32.
  /// - Throws: `ValidationError` where only one of int8 and `--calibration` is given.
  func images(for bits: Bits) throws -> Calibration? {
    guard (bits == .int8) == (calibration != nil) else {
      throw ValidationError("--precision int8 and --calibration go together.")
    }
    guard let calibration else { return nil }
    var selection = DataSelection()
    (selection.data, selection.dataDir) = (calibration, dataDir)
    return Calibration(selection, images: calibrationImages)
  }
}
