import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a denoiser on an attack data set.
public struct TrainRed: Experiment {
  public static let kind = "red-train"
  public static let isShared = true

  /// What is learned.
  public enum Method: String, CaseIterable, Codable, Sendable {
    /// Pixels and what the perturbation does to the answers (Gong et al. 2022).
    case cddRed = "cdd-red"
    /// Pixels alone.
    case denoising = "do"
    /// The answer to the denoised image alone (Salman et al. 2020).
    case stability = "ds"
    /// The same from Gaussian noise instead of attacks.
    case gaussianStability = "ds-gauss"

    /// The settings that it alone takes.
    var parameters: [String] {
      switch self {
      case .cddRed: ["gamma", "lambda", "filter", "transformation", "reconstruction"]
      case .denoising: []
      case .stability: ["filter", "transformation"]
      case .gaussianStability: ["sigma"]
      }
    }

    /// Its hyper-parameters as published.
    public var recipe: RedRecipe {
      var recipe = RedRecipe()
      switch self {
      case .cddRed: recipe.objective = .classDiscriminative
      case .denoising: recipe.objective = .denoisingOnly
      case .stability: recipe.objective = .stability
      case .gaussianStability: (recipe.objective, recipe.noise) = (.stability, 0.25)
      }
      return recipe
    }
  }

  public var method: Method
  /// Runs that made the data, taken as one.
  public var pairs: [String] = []
  /// The classifiers whose answers are aligned: each those of the pairs of its name, the first all others.
  public var surrogate: [NamedWeights] = []
  /// A file of the denoiser to start from; nil: a new one.
  public var initial: String?
  public var design = DenoiserDesign()
  public var recipe: RedRecipe
  /// Compute batch norm's statistics over the training images anew at the end.
  public var recalibrate = false
  /// Of every random choice.
  public var seed = 1
  public var precision = Precision.automatic

  public init() { self.init(.cddRed) }
  public init(_ method: Method) { (self.method, recipe) = (method, method.recipe) }

  public struct Outcome: Codable, Sendable {
    /// What a classifier of attack families is worth: nil where the data are of one attack.
    public struct Family: InlineGroup, Sendable {
      public var families: [String]
      /// On test pairs, where there are any.
      public var familyAccuracy: AccuracyFigure?
      public var familyN: Int?
    }

    public var method: Method
    public var pairs: Int
    public var epochs: Int
    /// Of held-out pairs, in the best epoch; nil where none were held out.
    public var validationPaBenign: Double?
    public var validationPairs: Int
    /// Clean images whose suspicion is known.
    public var calibrationImages: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    public var parameters: Int
    public var seed: Int
    public var family: Family?
  }

  public static func defaults(for settings: Record) throws(InputError) -> Record {
    let method = try settings["method"].map { value throws(InputError) in
      try value.decode(Method.self, name: "method")
    }
    return try Value(encoding: TrainRed(method ?? .cddRed)).record ?? [:]
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  public func checked() throws(InputError) -> TrainRed {
    try requireSetting(!pairs.isEmpty, "pairs", "a run of 'quench red build-data'", "nothing")
    try surrogate.validate("surrogate")
    try design.validate()
    try recipe.validate()
    let (own, standard) = (recipe.objective, method.recipe.objective)
    let changed = [
      ("sigma", recipe.noise != method.recipe.noise), ("gamma", own.benign != standard.benign),
      ("lambda", own.adversarial != standard.adversarial), ("filter", own.filter != standard.filter),
      ("transformation", own.transformations != standard.transformations),
      ("reconstruction", own.reconstruction != standard.reconstruction)
    ]
    try InputError.require(
      changed.filter(\.1).map(\.0), takenBy: "the method \(method.rawValue)", which: method.parameters)
    if method == .gaussianStability { try requireSetting(recipe.noise > 0, "sigma", "above 0", recipe.noise) }
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let seedBits = UInt64(bitPattern: Int64(seed))
    let data = try RedDataset(
      contentsOf: pairs.map { URL(filePath: $0, directoryHint: .isDirectory) }, on: device)
    let surrogates = try surrogate.map { try $0.victim(taking: data.imageShape, on: device) }
    let network = design.network(input: data.imageShape, seed: seedBits, device: device)
    if let initial {
      try network.load(StateDictionary.weights(at: initial, for: network.architecture), from: initial)
    }
    let training = try RedTraining(
      network, on: data.train, surrogates: surrogates, recipe: recipe, seed: seedBits, precision: precision,
      world: context.world)
    let folder = try context.open(
      inputs: surrogate.inputs("surrogate").merging(Fingerprint.inputs(["initial": initial])))

    var session = context.session("Training", in: folder)
    session.atEpochEnd = { _, _ in
      guard let figures = training.validate() else { return [:] }
      return [
        "validation_pa_benign": .double(figures.benign), "validation_pa_adversarial": .double(figures.adversarial)
      ]
    }
    let cost = try session.run(training)
    let best = training.bestNetwork
    if recalibrate {
      let batches = data.train.lazy.flatMap { $0.adversarial.split(64) }.filter { $0.size(0) > 1 }
      best.recalibrateBatchNorm(on: batches.map { PairCell.pixels($0) })
    }
    try best.state.validateFinite(at: "the denoiser")
    try ModelFile(best).write(to: folder.artefact(DenoiserRun.denoiserFileName))
    try ModelFile(training.network).write(to: folder.artefact(DenoiserRun.lastFileName))
    let denoise = RedTraining.frozen(best)
    let calibration = SuspicionCalibration(of: training.validation, victim: surrogates[0], denoise: denoise)
    try AtomicFile.write(
      Data(calibration.value.json().utf8), to: folder.artefact(DenoiserRun.calibrationFileName))
    let labels = LabelCalibration(of: training.judgedValidation, denoise: denoise)
    try AtomicFile.write(Data(labels.value.json().utf8), to: folder.artefact(DenoiserRun.labelsFileName))
    if calibration.clean.count < SuspicionCalibration.fewest {
      context.console.note(
        "note: \(NumberText.count(calibration.clean.count, "clean image")) held out, too few for 'red analyse' to say "
          + "how common a suspicion is; give it clean pictures with `clean`, or build more pairs")
    }
    return Outcome(
      method: method, pairs: training.pairs, epochs: recipe.epochs, validationPaBenign: training.bestScore,
      validationPairs: training.validation.reduce(0) { $0 + $1.count },
      calibrationImages: calibration.clean.count, seconds: cost.seconds, imagesPerSecond: cost.imagesPerSecond,
      parameters: best.architecture.parameterCount, seed: seed,
      family: try family(of: data, denoise, seedBits, in: folder))
  }

  /// Trains and tests the classifier of attack families.
  private func family(
    of data: RedDataset, _ denoise: (Tensor) -> Tensor, _ seed: UInt64, in folder: RunFolder
  ) throws -> Outcome.Family? {
    guard OriginClassifier.classes(.attack, in: data.train).count > 1 else { return nil }
    let family = try OriginClassifier.train(on: data.train, input: .estimate, denoise: denoise, seed: seed)
    try ModelFile(family.network, classNames: family.classes)
      .write(to: folder.artefact(DenoiserRun.familyFileName))
    let test = family.accuracy(on: data.test, input: .estimate, denoise: denoise)
    return Outcome.Family(
      families: family.classes, familyAccuracy: test.count > 0 ? AccuracyFigure(test) : nil,
      familyN: test.count > 0 ? test.count : nil)
  }

  public static func text(of run: PerformedRun<TrainRed>) -> String {
    guard let outcome = run.outcome else { return "" }
    return """
      pairs       \(Wording.count(Double(outcome.pairs)))
      PA_benign   \(Wording.accuracy(outcome.validationPaBenign)) of \
      \(Wording.count(Double(outcome.validationPairs))) held-out pairs, best epoch
      training    \(Wording.duration(outcome.seconds)), \(Wording.count(outcome.imagesPerSecond)) pairs a second
      denoiser    \(run.folder.artefact(DenoiserRun.denoiserFileName).relativePath)
      """
  }

  public static func report(of run: PerformedRun<TrainRed>) -> Report {
    func points(_ key: String) -> [LineChart.Point] {
      run.metrics.compactMap { row in
        guard let x = row["epoch"]?.number, let y = row[key]?.number else { return nil }
        return LineChart.Point(x, y)
      }
    }
    let (experiment, outcome, epoch) = (run.experiment, run.outcome, Axis("Epoch", unit: nil))
    return Report(
      title: "Denoiser by \(experiment.method.rawValue)",
      summary:
        "A denoiser was trained on the pairs in `\(experiment.pairs.joined(separator: ", "))`; the answers of "
        + "`\(experiment.surrogate.map(\.text).joined(separator: ", "))` guide it.",
      keyFigures: [
        .init(
          "PA_benign", Wording.accuracy(outcome?.validationPaBenign),
          detail:
            "\(Wording.count(outcome.map { Double($0.validationPairs) })) held-out pairs, by which the epoch was "
            + "chosen"),
        .init("Pairs", Wording.count(outcome.map { Double($0.pairs) })),
        .init("Training time", Wording.duration(outcome?.seconds))
      ],
      sections: [
        Report.Section(
          "Learning",
          [
            .figure(
              LineChart(
                "Loss", x: epoch, y: Axis("Loss", unit: nil), series: [.init("training batches", points("loss"))])),
            .figure(
              LineChart(
                "Prediction alignment of held-out pairs", x: epoch, y: Axis("Share", unit: nil, style: .percent),
                series: [
                  .init("PA_benign", points("validation_pa_benign")),
                  .init("PA_adv", points("validation_pa_adversarial"))
                ]))
          ])
      ], record: run.record)
  }
}
