import ArgumentParser
import Deception
import Foundation
import Reporting
import Support
import Torch
import Vision

struct RedTrainCommand: ParsableCommand {
  enum Method: String, CaseIterable, ExpressibleByArgument {
    case cddRed = "cdd-red"
    case denoising = "do"
    case stability = "ds"
    case gaussianStability = "ds-gauss"

    /// The flags that it alone takes.
    var flags: [String] {
      switch self {
      case .cddRed: ["--gamma", "--lambda", "--filter", "--transformation"]
      case .denoising, .stability: []
      case .gaussianStability: ["--sigma"]
      }
    }
  }

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a denoiser on a built data set.",
    discussion: """
      Examples:
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --out runs/red
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --method do
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --method ds --initial runs/do/denoiser.safetensors
        quench red train --pairs runs/red-data --surrogate v1=a.safetensors \\
          --surrogate v2=b.safetensors --initial runs/do/denoiser.safetensors \\
          --gamma 0.05 --lambda 0.15 --transformation flip --epochs 5
                                             cdd-red for images of 32 pixels

      cdd-red keeps what the perturbation does to the answers; do minimizes the
      pixels' error alone; ds the answer to the denoised image alone; ds-gauss the
      same from Gaussian noise instead of attacks. Defaults are the published ones;
      at 32 pixels cropping and cutmix destroy what they move, and the last example,
      with all victims of the data as surrogates, recovers far more.
      Writes the denoiser of the best epoch by held-out pairs, a classifier of attack
      families, and the scores of clean images that 'red analyse' compares with.
      """)

  @Option(help: "cdd-red, do (denoising only), ds (denoised smoothing's stability) or ds-gauss.")
  var method = Method.cddRed

  @Option(help: "Standard deviation of the noise of ds-gauss, pixels in [0, 1] (default: 0.25).")
  var sigma: Double?

  @Option(
    help: ArgumentHelp(
      """
      The classifier whose answers are aligned. Give several to align each pair by that of its victim's name, and by \
      the first where none has it; the first also scores the clean images for 'red analyse'.
      """, valueName: "name=file"))
  var surrogate: [NamedFile]

  @Option(help: ArgumentHelp("Start from this denoiser.", valueName: "file"), completion: .file())
  var initial: String?

  @Option(help: "Layers of the denoiser.")
  var depth = 17

  @Option(help: "Channels of its layers.")
  var width = 64

  @Option(help: "Share of the batch in batch norm's running statistics; the released code has 0.95.")
  var batchNormMomentum = 0.1

  @Option(help: "Passes over the pairs.")
  var epochs = RedRecipe().epochs

  @Option(help: "Pairs per step.")
  var batchSize = RedRecipe().batchSize

  @Option(help: "The learning rate before it is divided by ten at 47 % and 93 % of the epochs.")
  var learningRate = RedRecipe().learningRate

  @Option(help: "γ, the weight of the answers to denoised images, in cdd-red (default: \(Self.cddRed.benign)).")
  var gamma: Double?

  @Option(
    help:
      "λ, the weight of the answers to the perturbation's effect, in cdd-red (default: \(Self.cddRed.adversarial))."
  )
  var lambda: Double?

  @Option(
    help:
      "Which transformed copies count for the answers in cdd-red: per-term, joint or none (default: \(Self.cddRed.filter.rawValue))."
  )
  var filter: RedObjective.Filter?

  @Option(
    help: """
      Transformations of cdd-red, any of flip, rotate, translate, cutout, crop-pad, cutmix. Give several (default: \
      \(Self.cddRed.transformations.map(\.rawValue).joined(separator: ", "))).
      """)
  var transformation: [Transformation] = []

  private static let cddRed = RedObjective.classDiscriminative

  @Flag(help: "Recompute batch norm's statistics over the training images at the end.")
  var recalibrate = false

  @Option(help: ArgumentHelp("Seconds between checkpoints inside an epoch.", valueName: "seconds"))
  var checkpointInterval = 60.0

  @OptionGroup(title: "Pairs") var pairs: PairsOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    try surrogate.requireDistinctNames("--surrogate")
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
    try require(depth >= 3 && width >= 1, "--depth must be at least 3 and --width at least 1.")
    try require(epochs > 0 && batchSize > 1, "--epochs must be at least 1 and --batch-size at least 2.")
    try require(learningRate > 0 && learningRate.isFinite, "--learning-rate must be above 0.")
    try require(sigma ?? 1 > 0 && (sigma ?? 1).isFinite, "--sigma must be above 0.")
    try require(gamma ?? 0 >= 0 && lambda ?? 0 >= 0, "--gamma and --lambda must be 0 or more.")
    try require((0.0...1).contains(batchNormMomentum), "--batch-norm-momentum must be from 0 to 1.")
    let given = [
      ("--sigma", sigma != nil), ("--gamma", gamma != nil), ("--lambda", lambda != nil),
      ("--filter", filter != nil),
      ("--transformation", !transformation.isEmpty)
    ]
    try requireUsage {
      try InputError.require(
        given.filter(\.1).map(\.0), takenBy: "the method \(method.rawValue)", which: method.flags)
    }
  }

  private var recipe: RedRecipe {
    var recipe = RedRecipe()
    (recipe.epochs, recipe.batchSize, recipe.learningRate) = (epochs, batchSize, learningRate)
    switch method {
    case .denoising: recipe.objective = .denoisingOnly
    case .stability: recipe.objective = .stability
    case .gaussianStability: (recipe.objective, recipe.noise) = (.stability, sigma ?? 0.25)
    case .cddRed:
      let standard = Self.cddRed
      recipe.objective.benign = gamma ?? standard.benign
      recipe.objective.adversarial = lambda ?? standard.adversarial
      recipe.objective.filter = filter ?? standard.filter
      recipe.objective.transformations = transformation.isEmpty ? standard.transformations : transformation
    }
    return recipe
  }

  private var settings: Record {
    get throws(InputError) {
      var settings: Record = [
        "method": .string(method.rawValue), "pairs": pairs.value,
        "surrogates": .array(surrogate.map { .string($0.text) }), "depth": .int(depth), "width": .int(width),
        "batch-norm-momentum": .double(batchNormMomentum), "recalibrate": .bool(recalibrate),
        "seed": .int(options.seed), "precision": .string(options.machine.precision.rawValue)
      ]
      settings["initial"] = initial.map { .string($0) }
      settings.merge(try Value(encoding: recipe).record ?? [:])
      return settings
    }
  }

  func run() throws {
    let url = try options.folder(named: "red-\(method.rawValue)")
    let device = try options.machine.prepare()
    let data = try pairs.load()
    let surrogates = try surrogate.map { try $0.victim(taking: data.imageShape, on: device) }
    let design = DenoiserDesign(depth: depth, width: width, batchNormMomentum: batchNormMomentum)
    let network = design.network(input: data.imageShape, seed: options.seedBits, device: device)
    if let initial {
      try network.load(StateDictionary.weights(at: initial, for: network.architecture), from: initial)
    }
    let training = try RedTraining(
      network, on: data.train, surrogates: surrogates, recipe: recipe, seed: options.seedBits,
      precision: options.machine.precision)
    var inputs = try surrogate.inputs("surrogate")
    inputs.merge(try Fingerprint.inputs(["initial": initial]))
    let record = RunRecord.current(try settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      try train(training, surrogates[0], data, in: folder)
    }
    if let count = summary["calibration_images"]?.integer, count < SuspicionCalibration.fewest {
      options.output.note(
        "note: \(NumberText.count(count, "clean image")) held out, too few for 'red analyse' to say how common a suspicion is; give it "
          + "clean pictures with --clean, or build more pairs")
    }
    options.output.printResult(
      summary,
      """
      pairs       \(Wording.count(summary["pairs"]?.number))
      PA_benign   \(Wording.accuracy(summary["validation_pa_benign"]?.number)) of \
      \(Wording.count(summary["validation_pairs"]?.number)) held-out pairs, best epoch
      training    \(Wording.duration(summary["seconds"]?.number)), \
      \(Wording.count(summary["images_per_second"]?.number)) pairs a second
      denoiser    \(url.appending(path: RedRunFiles.denoiser).relativePath)
      """)
  }

  private func train(
    _ training: RedTraining, _ victim: Victim, _ data: RedDataset, in folder: RunFolder
  ) throws -> Record {
    Interruption.watch()
    var session = TrainingSession(folder: folder)
    (session.task, session.resumes, session.progress) = ("Training", options.resume, options.output.progress)
    (session.checkpointInterval, session.warn) = (checkpointInterval, options.output.note)
    session.atEpochEnd = { _, _ in
      guard let figures = training.validate() else { return [:] }
      return [
        "validation_pa_benign": .double(figures.benign), "validation_pa_adversarial": .double(figures.adversarial)
      ]
    }
    let outcome = try session.run(training)
    let best = training.bestNetwork
    if recalibrate {
      let batches = data.train.lazy.flatMap { $0.adversarial.split(64) }.filter { $0.size(0) > 1 }
      best.recalibrateBatchNorm(on: batches.map { PairCell.pixels($0) })
    }
    try best.state.validateFinite(at: "the denoiser")
    try ModelFile(best).write(to: folder.artefact(RedRunFiles.denoiser))
    try ModelFile(training.network).write(to: folder.artefact(RedRunFiles.last))
    let denoise = RedTraining.frozen(best)
    let calibration = SuspicionCalibration(of: training.validation, victim: victim, denoise: denoise)
    try AtomicFile.write(Data(calibration.value.json().utf8), to: folder.artefact(RedRunFiles.calibration))
    var summary: Record = [
      "method": .string(method.rawValue), "pairs": .int(training.pairs), "epochs": .int(epochs),
      "validation_pa_benign": training.bestScore.map { .double($0) } ?? .null,
      "validation_pairs": .int(training.validation.reduce(0) { $0 + $1.count }),
      "calibration_images": .int(calibration.clean.count),
      "seconds": .double(outcome.seconds), "images_per_second": .double(outcome.imagesPerSecond),
      "parameters": .int(best.architecture.parameterCount), "seed": .int(options.seed)
    ]
    if OriginClassifier.classes(.attack, in: data.train).count > 1 {
      let family = try OriginClassifier.train(
        on: data.train, input: .estimate, denoise: denoise, seed: options.seedBits)
      try ModelFile(family.network, classNames: family.classes)
        .write(to: folder.artefact(RedRunFiles.family))
      summary["families"] = .array(family.classes.map { .string($0) })
      let test = family.accuracy(on: data.test, input: .estimate, denoise: denoise)
      if test.count > 0 {
        (summary["family_accuracy"], summary["family_n"]) = (.double(test.fraction), .int(test.count))
        summary["family_interval"] = [.double(test.interval.lowerBound), .double(test.interval.upperBound)]
      }
    }
    return summary
  }
}
