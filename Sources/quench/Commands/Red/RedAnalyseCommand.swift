import ArgumentParser
import Deception
import Foundation
import Reporting
import Support
import Torch
import Vision

struct RedAnalyseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "analyse",
    abstract: "Take suspicious pictures apart.",
    discussion: """
      Examples:
        quench red analyse picture.png --run runs/red --weights a.safetensors
        quench red analyse suspicious/ --run runs/red --weights a.safetensors \\
          --clean known-good/ --out runs/case

      For each PNG or JPEG file: the estimated clean image, the perturbation
      stretched to be seen, the classifier's answers before and after, where it
      looks, how suspicious the picture is, how often a clean one is as suspicious,
      and the likeliest attack. --clean names pictures that nobody attacked: then these,
      \(SuspicionCalibration.fewest) at least, are what suspicion is compared with, in place of the few that the
      denoiser's run held out, and the page says how well suspicion tells the two
      kinds apart. Writes analysis.html and analysis.json, and exits with 1 if a
      picture could not be analysed. PNG keeps a perturbation; JPEG mostly does not.
      """)

  @ArgumentParser.Argument(help: "Pictures, or folders of them.", completion: .file())
  var pictures: [String]

  @Option(
    name: .customLong("run"), help: ArgumentHelp("The run of 'quench red train'.", valueName: "dir"),
    completion: .directory)
  var denoiserRun: String

  @Option(help: ArgumentHelp("The classifier that may be deceived.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp(
      "Pictures that are known to be clean, or folders of them, to compare with.", valueName: "path"),
    completion: .file())
  var clean: [String] = []

  @Flag(
    help:
      "Also show which pixels of the perturbation promote the wrong answer and which suppress the right one: a pass of the classifier a pixel."
  )
  var pixelRoles = false

  @Option(help: ArgumentHelp("Folder for the page and the JSON.", valueName: "dir"), completion: .directory)
  var out = "runs/red-analyse"

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  /// A picture with what was found, or why nothing was.
  struct Case {
    var path: String
    var finding: Analyst.Finding?
    var problem: String?
  }

  func run() throws {
    let device = try machine.prepare()
    let source = URL(filePath: denoiserRun, directoryHint: .isDirectory)
    let denoiser = try RedRunFiles.denoiser(in: source)
    let shape = denoiser.architecture.inputShape
    let file = try ModelFile(contentsOf: URL(filePath: weights), device: device)
    guard file.network.architecture.inputShape == shape, file.network.architecture.outputShape.count == 1 else {
      throw InputError(
        "the classifier does not fit the denoiser", at: weights, expected: "images \(shape)",
        found: "\(file.network.architecture.inputShape)")
    }
    var analyst = Analyst(
      denoise: RedTraining.frozen(denoiser), victim: Victim("victim", file.network),
      families: try RedRunFiles.family(in: source), calibration: try RedRunFiles.calibration(in: source))
    let reference = clean.isEmpty ? [] : try findings(of: Self.files(clean), by: analyst, shape)
    if !clean.isEmpty {
      analyst.calibration = try calibration(reference, analyst.calibration.score)
    } else if analyst.calibration.clean.count < SuspicionCalibration.fewest {
      output.note(
        "note: \(NumberText.count(analyst.calibration.clean.count, "clean image")) known, too few to say how common a suspicion is; "
          + "name \(SuspicionCalibration.fewest) or more with --clean")
    }
    analyst.tellsPixelRoles = pixelRoles
    let cases = try findings(of: Self.files(pictures), by: analyst, shape)
    let page = AnalysisPage(
      cases: cases, score: analyst.calibration.score, classNames: file.classNames,
      clean: analyst.calibration.clean.count, unreadableClean: reference.filter { $0.finding == nil },
      familyAccuracy: RedRunFiles.familyAccuracy(in: source),
      detection: clean.isEmpty
        ? nil
        : Detection(
          adversarial: cases.compactMap(\.finding?.suspicion), clean: analyst.calibration.clean))
    try write(page)
    let unread = cases.filter { $0.finding == nil }
    guard unread.isEmpty else {
      let error = InputError(
        "\(unread.count) of \(NumberText.count(cases.count, "picture")) could not be analysed",
        at: Self.names(unread),
        remedy: "the reasons are listed with the results of the others")
      // The result is printed: with --json it is the one object that is.
      Failure(error, code: .failure).tell()
      throw ExitCode.failure
    }
  }

  /// What the pictures that are known to be clean say of suspicion.
  /// - Throws: `InputError` if there are too few of them.
  private func calibration(
    _ reference: [Case], _ score: SuspicionScore
  ) throws(InputError) -> SuspicionCalibration {
    let unread = reference.filter { $0.finding == nil }
    if !unread.isEmpty {
      output.note(
        "note: \(unread.count) of \(reference.count) clean pictures left out, the first: \(unread[0].problem ?? "")"
      )
    }
    let calibration = SuspicionCalibration(score: score, clean: reference.compactMap(\.finding?.suspicion))
    guard calibration.clean.count >= SuspicionCalibration.fewest else {
      throw InputError(
        "too few clean pictures to compare with", at: "--clean", expected: "\(SuspicionCalibration.fewest) or more",
        found: "\(calibration.clean.count)")
    }
    return calibration
  }

  /// The names of files, the first few of many.
  static func names(_ cases: [Case]) -> String {
    let names = cases.prefix(5).map(\.path).joined(separator: ", ")
    return cases.count > 5 ? "\(names) and \(cases.count - 5) more" : names
  }

  /// - Throws: `InputError` if not one of the files can be analysed.
  private func findings(of paths: [String], by analyst: Analyst, _ shape: [Int]) throws(InputError) -> [Case] {
    let cases = paths.map { path in
      do {
        let finding = analyst.analyse(try Self.read(path, shape)).first
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

  private func write(_ page: AnalysisPage) throws {
    let folder = URL(filePath: out, directoryHint: .isDirectory)
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
    var record: Record = [
      "run": .string(denoiserRun), "weights": .string(weights), "score": .string(page.score.rawValue),
      "clean_images": .int(page.clean), "not_analysed": .int(page.cases.count { $0.finding == nil }),
      "clean_not_analysed": .array(page.unreadableClean.map { .string($0.path) }),
      "pictures": .array(page.cases.map { .object(page.record($0)) })
    ]
    record["detection"] = page.detection.map { .object($0.record) }
    try AtomicFile.write(
      Data((Value.object(record).json(pretty: true) + "\n").utf8), to: folder.appending(path: "analysis.json"))
    try page.report().write(to: folder.appending(path: "analysis.html"))
    output.printResult(
      record,
      page.lines().joined(separator: "\n") + "\n\npage  \(folder.appending(path: "analysis.html").relativePath)")
  }
}
