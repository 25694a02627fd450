import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct DefendReconstructCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Attack a reconstructor, alone and behind a defence.",
    discussion: """
      Examples:
        quench defend reconstruct --data mnist \\
          --weights runs/reconstructor/reconstructor.safetensors \\
          --defense runs/defend
        quench defend reconstruct --data mnist --limit 500 --epsilons 0,2 \\
          --attack defended --weights reconstructor.safetensors \\
          --defense runs/defend

      The measurements are perturbed by projected gradient ascent on the error of the
      image that is reconstructed, within L2 balls of several radii. The attack looks
      at the reconstructor alone, or through the defence and its noise. Tells the root
      mean squared error and the structural similarity to the true images; there is no
      certificate for images. Writes reconstruction.tsv, summary.json and report.html.
      """)

  @Option(help: ArgumentHelp("The reconstructor's weights.", valueName: "file"), completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("A run of 'defend train'; without it the reconstructor alone.", valueName: "dir"),
    completion: .directory)
  var defense: String?

  @Option(help: ArgumentHelp("L2 norms of the perturbations.", valueName: "list"))
  var epsilons = "0,1,2,3,4"

  @Option(help: "What the attack looks at: the undefended reconstructor or the defended one.")
  var attack = ReconstructionEvaluation.Target.undefended

  @Option(help: "Steps of the attack.")
  var steps = 40

  @Option(help: "Standard deviation of the defence's noise.")
  var sigma = 0.25

  @Option(help: ArgumentHelp("Noise draws that a defended answer is the mean of.", valueName: "n"))
  var copies = 10

  @Option(help: ArgumentHelp("Numbers that are measured of an image.", valueName: "n"))
  var measurements = 576

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    guard let radii, !radii.isEmpty, radii.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      throw ValidationError("--epsilons must be numbers of 0 or more, such as 0,1,2.")
    }
    guard steps > 0, copies > 0, measurements > 0, sigma > 0, sigma.isFinite else {
      throw ValidationError("--steps, --copies, --measurements and --sigma must be above 0.")
    }
    guard attack == .undefended || defense != nil else {
      throw ValidationError("--attack defended needs --defense.")
    }
  }

  func run() throws {
    let url = try options.folder(named: "defend-reconstruct")
    let device = try options.machine.prepare()
    let test = try data.load(.test, on: device, seed: options.seedBits, options.output)
    let reconstructor = try Network.reconstructor(at: weights, for: test, on: device)
    let loaded = try defense.map { try Defense.load($0, for: test, on: device) }
    var inputs = try Fingerprint.inputs([
      "weights": weights, "denoiser": defense.map { "\($0)/\(Defense.denoiserFileName)" }
    ])
    inputs["test images"] = .string(test.fingerprint)
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      let start = ContinuousClock.now
      var line = ProgressLine(
        "Attacking", total: test.count * evaluation.epsilons.count, unit: "images", style: options.output.progress)
      let rows = evaluation(
        reconstructor, loaded, on: test,
        measurement: Measurement(shape: test.imageShape, count: measurements, device: device),
        seed: options.seedBits
      ) { line.update(Int(($0 * Double(test.count * evaluation.epsilons.count)).rounded())) }
      line.finish()
      try AtomicFile.write(Data(rows.text.utf8), to: folder.artefact("reconstruction.tsv"))
      return rows.summary(count: test.count, seconds: (ContinuousClock.now - start) / .seconds(1))
    }
    options.output.printResult(
      summary, ReconstructionReport.text(summary, epsilons) + "\nfolder    \(url.relativePath)")
  }

  private var radii: [Double]? { ReconstructionReport.epsilons(epsilons) }

  private var evaluation: ReconstructionEvaluation {
    var evaluation = ReconstructionEvaluation()
    (evaluation.epsilons, evaluation.target) = (radii ?? [], attack)
    (evaluation.steps, evaluation.sigma, evaluation.copies) = (steps, sigma, copies)
    return evaluation
  }

  private var settings: Record {
    var settings: Record = [
      "weights": .string(weights), "epsilons": .string(epsilons), "attack": .string(attack.rawValue),
      "steps": .int(steps), "sigma": .double(sigma), "copies": .int(copies), "measurements": .int(measurements)
    ]
    settings["defense"] = defense.map { .string($0) }
    settings.merge(data.settings)
    settings["seed"] = .int(options.seed)
    return settings
  }
}

extension ReconstructionEvaluation.Target: ExpressibleByArgument {}
