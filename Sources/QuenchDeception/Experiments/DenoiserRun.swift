import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a denoiser's training left in its folder.
public struct DenoiserRun: Sendable {
  /// The run's folder.
  public let url: URL

  public init(_ url: URL) { self.url = url }

  /// The denoiser of the best epoch, and that of the last one.
  public static let denoiserFileName = "denoiser.safetensors"
  public static let lastFileName = "denoiser-last.safetensors"
  /// The classifier of attack families.
  public static let familyFileName = "family.safetensors"
  /// How firmly the labels of attacked images stand.
  public static let labelsFileName = "labels.json"
  /// The scores of clean images.
  public static let calibrationFileName = "calibration.json"

  /// - Throws: `InputError` if the file is missing or damaged.
  public func denoiser(on device: Device = .cpu) throws(InputError) -> Network {
    try ModelFile(contentsOf: url.appending(path: Self.denoiserFileName), device: device).network
  }

  /// The classifier of attack families; nil where the run has none: its data were of one attack.
  /// - Throws: `InputError` if the file is damaged.
  public func family(on device: Device = .cpu) throws(InputError) -> OriginClassifier? {
    let url = url.appending(path: Self.familyFileName)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let file = try ModelFile(contentsOf: url, device: device)
    let families = file.classNames
    guard families.allSatisfy({ RedAttack(rawValue: $0) != nil }),
      families.count == file.network.architecture.outputShape.first
    else {
      throw InputError("the classifier of attack families is damaged", at: url.path)
    }
    return OriginClassifier(file.network, classes: families)
  }

  /// How often the classifier of attacks was right about test pairs; nil where that was not measured.
  public var familyAccuracy: Accuracy? {
    guard let summary = try? RunFolder(existing: url).readSummary(), let share = summary["family_accuracy"]?.number,
      let count = summary["family_n"]?.integer
    else { return nil }
    return Accuracy(correct: Int((share * Double(count)).rounded()), count: count)
  }

  /// How likely recovered labels are right; nil for a run of a version that did not ask.
  /// - Throws: `InputError` if the file is damaged.
  public func labels() throws(InputError) -> LabelCalibration? {
    let url = url.appending(path: Self.labelsFileName)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    return try LabelCalibration(Value(json: InputFile.read(url), name: url.path), name: url.path)
  }

  /// - Throws: `InputError` if the file is missing or damaged.
  public func calibration() throws(InputError) -> SuspicionCalibration {
    let url = url.appending(path: Self.calibrationFileName)
    return try SuspicionCalibration(Value(json: InputFile.read(url), name: url.path), name: url.path)
  }
}
