import ArgumentParser
import Foundation
import QuenchDeception
import QuenchReporting
import QuenchSupport

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
      and the likeliest attack. Where the answer changes, it also tells how many of \(LabelCalibration.neighbors)
      labels that stood as firmly were right, and says so where that is a guess. --clean names pictures that nobody attacked: then these,
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

  func run() throws {
    var analysis = AnalyseRed()
    (analysis.pictures, analysis.denoiserRun, analysis.weights) = (pictures, denoiserRun, weights)
    (analysis.clean, analysis.tellsPixelRoles) = (clean, pixelRoles)
    let found: AnalysisPage
    do { found = try analysis.run(on: try machine.prepare(), output.console) } catch let error as InputError {
      throw error.namingFlags
    }
    let page = try found.write(into: URL(filePath: out, directoryHint: .isDirectory))
    output.printResult(found.record, "\(found.text)\n\npage  \(page.relativePath)")
    guard let error = found.error else { return }
    // The result is printed: with --json it is the one object that is.
    Failure(error, code: .failure).tell()
    throw ExitCode.failure
  }
}
