import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Suspicious pictures, taken apart by a denoiser that was trained for it.
public struct AnalyseRed: Sendable {
  /// PNG or JPEG files, or folders of them.
  public var pictures: [String] = []
  /// The folder of the denoiser's training.
  public var denoiserRun = ""
  /// The file of the classifier that may be deceived.
  public var weights = ""
  /// Pictures that are known to be clean, or folders of them; empty: what the denoiser's run held out.
  public var clean: [String] = []
  /// Also tell what each pixel of the perturbation is for: a pass of the classifier a pixel.
  public var tellsPixelRoles = false

  public init() {}

  /// A picture with what was found, or why nothing was.
  public struct Case {
    public var path: String
    public var finding: Analyst.Finding?
    public var problem: String?
  }

  /// Takes the pictures apart.
  /// - Parameters:
  ///   - device: Where the classifier and the denoiser compute.
  ///   - console: Told of clean pictures that are left out or too few.
  /// - Returns: What was found, with the pictures that could not be read.
  /// - Throws: `InputError` if not one picture can be read, if the clean ones are too few, or if classifier and denoiser
  ///   do not fit together.
  public func run(on device: Device, _ console: RunConsole) throws(InputError) -> AnalysisPage {
    let source = DenoiserRun(URL(filePath: denoiserRun, directoryHint: .isDirectory))
    let denoiser = try source.denoiser(on: device)
    let shape = denoiser.architecture.inputShape
    let file = try ModelFile(contentsOf: URL(filePath: weights), device: device)
    guard file.network.architecture.inputShape == shape, file.network.architecture.outputShape.count == 1 else {
      throw InputError(
        "the classifier does not fit the denoiser", at: weights, expected: "images \(shape)",
        found: "\(file.network.architecture.inputShape)")
    }
    var analyst = Analyst(
      denoise: RedTraining.frozen(denoiser), victim: Victim("victim", file.network),
      families: try source.family(on: device), calibration: try source.calibration())
    analyst.labels = try source.labels()
    let reference = clean.isEmpty ? [] : try findings(of: Self.files(clean), by: analyst, shape)
    if !clean.isEmpty {
      analyst.calibration = try calibration(reference, analyst.calibration.score, console)
    } else if analyst.calibration.clean.count < SuspicionCalibration.fewest {
      console.note(
        "note: \(NumberText.count(analyst.calibration.clean.count, "clean image")) known, too few to say how common a suspicion is; "
          + "name \(SuspicionCalibration.fewest) or more with `clean`")
    }
    analyst.tellsPixelRoles = tellsPixelRoles
    let cases = try findings(of: Self.files(pictures), by: analyst, shape)
    return AnalysisPage(
      denoiserRun: denoiserRun, weights: weights, cases: cases, score: analyst.calibration.score,
      classNames: file.classNames,
      clean: analyst.calibration.clean.count, unreadableClean: reference.filter { $0.finding == nil },
      familyAccuracy: source.familyAccuracy,
      detection: clean.isEmpty
        ? nil
        : Detection(
          adversarial: cases.compactMap(\.finding?.suspicion), clean: analyst.calibration.clean))
  }

  /// What the pictures that are known to be clean say of suspicion.
  /// - Throws: `InputError` if there are too few of them.
  private func calibration(
    _ reference: [Case], _ score: SuspicionScore, _ console: RunConsole
  ) throws(InputError) -> SuspicionCalibration {
    let unread = reference.filter { $0.finding == nil }
    if !unread.isEmpty {
      console.note(
        "note: \(unread.count) of \(reference.count) clean pictures left out, the first: \(unread[0].problem ?? "")"
      )
    }
    let calibration = SuspicionCalibration(score: score, clean: reference.compactMap(\.finding?.suspicion))
    guard calibration.clean.count >= SuspicionCalibration.fewest else {
      throw InputError(
        "too few clean pictures to compare with", at: "clean", expected: "\(SuspicionCalibration.fewest) or more",
        found: "\(calibration.clean.count)")
    }
    return calibration
  }

  /// - Throws: `InputError` if not one of the files can be analysed.
  private func findings(of paths: [String], by analyst: Analyst, _ shape: [Int]) throws(InputError) -> [Case] {
    let cases = paths.map { path in
      do {
        let finding = analyst.analyse(try Self.read(path, shape).to(analyst.victim.network.device)).first
        guard finding?.suspicion.isFinite == true else {
          return Case(path: path, problem: "\(path): the classifier or the denoiser answers NaN or infinity")
        }
        return Case(path: path, finding: finding)
      } catch {
        return Case(path: path, problem: "\(error)")
      }
    }
    guard cases.contains(where: { $0.finding != nil }) else {
      throw InputError(
        "none of \(NumberText.count(cases.count, "picture")) can be analysed",
        remedy: "the first: \(cases[0].problem ?? "")")
    }
    return cases
  }

  /// The named pictures and those in the named folders, by name.
  private static func files(_ pictures: [String]) throws(InputError) -> [String] {
    var files: [String] = []
    for path in pictures {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw InputError("there is no such file or folder", at: path)
      }
      guard isFolder.boolValue else {
        files.append(path)
        continue
      }
      let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).filter { !$0.hasPrefix(".") }
      // Pictures of other kinds are tried too, so that each is told of.
      let found = names.filter { name in
        Self.pictureSuffixes.contains(URL(filePath: name).pathExtension.lowercased())
      }
      files += found.sorted().map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
    }
    guard !files.isEmpty else {
      throw InputError("there are no PNG or JPEG files", at: pictures.joined(separator: ", "))
    }
    return files
  }

  private static let pictureSuffixes: Set = [
    "png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "heic", "avif"
  ]

  private static func read(_ path: String, _ shape: [Int]) throws -> Tensor {
    let data = try Picture.content(of: URL(filePath: path))
    return try data.withUnsafeBytes { bytes in
      let picture = try Picture(decoding: bytes, name: path, channels: shape[0])
      guard [picture.height, picture.width] == Array(shape.dropFirst()) else {
        throw InputError(
          "the picture has another size than the classifier's images", at: path,
          expected: "\(shape[2]) x \(shape[1])", found: "\(picture.width) x \(picture.height)",
          remedy: "give it as the classifier got it: a perturbation does not survive resizing")
      }
      let planes = Tensor(try picture.planes(.uniform), shape: [1] + shape)
      return planes.to(.float32).contiguous(.channelsLast) * (1.0 / 255)
    }
  }
}
