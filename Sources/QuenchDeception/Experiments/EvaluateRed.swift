import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The evaluation of a denoiser on test pairs of seen and unseen attacks.
public struct EvaluateRed: Experiment {
  enum CodingKeys: String, CodingKey {
    case denoiserRun = "run"
    case pairs, victims, origins, defense, selection, seed
  }

  public static let kind = "red-evaluate"

  /// The folder of the denoiser's training.
  public var denoiserRun = ""
  /// Runs that made the data, taken as one.
  public var pairs: [String] = []
  /// Each judges the pairs that were made on it.
  public var victims = RedVictims()
  /// Train small networks that tell attack, strength and victim from perturbations.
  public var origins = true
  /// Also measure robust accuracy through the denoiser, on images of ``selection``.
  public var defense = false
  public var selection = DataSelection()
  /// Of the small networks and of the attacks on the defense.
  public var seed = 1

  public init() {}

  public struct Outcome: Codable, Sendable {
    /// The portion study and the consistency study.
    public struct Studies: InlineGroup, Sendable {
      /// Pairs that they are of.
      public var studiesN: Int
      public var portions: [PortionStudy.Point]
      public var consistency: [ConsistencyStudy.Figures]
    }

    public var cells: Int
    /// Nil where no attack of the test data succeeded.
    public var groups: ByCase<RedEvaluation.Group, RedEvaluation.GroupFigures>?
    public var detection: ByCase<SuspicionScore, DetectionFigures>?
    /// On the first victim's PGD pairs of medium strength; nil where it has none.
    public var studies: Studies?
    public var origins: OriginTable
    /// By attacker and budget.
    public var defense: [DefenseFigures]?
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> EvaluateRed {
    try requireSetting(!denoiserRun.isEmpty, "run", "a run of 'quench red train'", "nothing")
    try requireSetting(!pairs.isEmpty, "pairs", "a run of 'quench red build-data'", "nothing")
    try victims.validate()
    try selection.validate()
    let standard = DataSelection()
    let given = [
      ("data", selection.data != standard.data), ("data-dir", selection.dataDir != nil),
      ("limit", selection.limit != nil), ("train-limit", selection.trainLimit != nil),
      ("limit-order", selection.limitOrder != standard.limitOrder),
      ("skip-corrupt", selection.skipCorrupt != standard.skipCorrupt)
    ].filter(\.1).map(\.0)
    try InputError.require(
      defense ? given.filter { $0 == "train-limit" } : given,
      takenBy: defense ? "an evaluation, which learns nothing," : "an evaluation without `defense`", which: [])
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let source = URL(filePath: denoiserRun, directoryHint: .isDirectory)
    let denoiserFiles = DenoiserRun(source)
    let denoiser = try denoiserFiles.denoiser(on: device)
    let dataset = try RedDataset(
      contentsOf: pairs.map { URL(filePath: $0, directoryHint: .isDirectory) }, on: device)
    guard denoiser.architecture.inputShape == dataset.imageShape else {
      throw InputError(
        "the denoiser takes images of another size", at: denoiserRun, expected: "\(dataset.imageShape)",
        found: "\(denoiser.architecture.inputShape)")
    }
    var evaluation = RedEvaluation(
      victims: try victims.all.map { try $0.victim(taking: dataset.imageShape, on: device) },
      seenVictims: Set(victims.victim.map(\.name)), denoise: RedTraining.frozen(denoiser))
    evaluation.labels = try denoiserFiles.labels()
    evaluation.progress = context.console.progress
    var inputs = try victims.all.inputs("victim")
    inputs["denoiser"] = .string(
      try Fingerprint.sha256(ofFile: source.appending(path: DenoiserRun.denoiserFileName)))
    let folder = try context.open(inputs: inputs)

    let cells = try evaluation.cells(dataset.test)
    let figures = try Value(encoding: cells.map { RedEvaluation.CellFigures($0) }, style: .figures)
    try AtomicFile.write(Data((figures.json(pretty: true) + "\n").utf8), to: folder.artefact("cells.json"))
    let classNames = try victims.all.first.map { try ModelFile(contentsOf: URL(filePath: $0.path)).classNames }
    let strips = try evaluation.examples(dataset.test).map { try PictureStrip($0, classNames: classNames ?? []) }
    try PictureStrip.write(strips, to: folder.artefact(PictureStrip.fileName))
    let (groups, detection) = (RedEvaluation.groups(cells), evaluation.detection(dataset.test))
    return Outcome(
      cells: cells.count, groups: groups.isEmpty ? nil : groups, detection: detection.isEmpty ? nil : detection,
      studies: evaluation.studies(dataset.test).map {
        .init(studiesN: $0.pairs, portions: $0.portions.points, consistency: $0.consistency.figures)
      },
      origins: try origins ? OriginTable(of: dataset, evaluation.denoise, seed: seedBits) : OriginTable(),
      defense: try defense ? defense(by: evaluation, denoiser, dataset, device, context.console) : nil)
  }

  private var seedBits: UInt64 { UInt64(bitPattern: Int64(seed)) }

  private func defense(
    by evaluation: RedEvaluation, _ denoiser: Network, _ dataset: RedDataset, _ device: Device,
    _ console: RunConsole
  ) throws -> [DefenseFigures]? {
    guard let victim = evaluation.victims.first else { return nil }
    let test = try selection.load(.test, on: device, seed: seedBits, console)
    guard test.imageShape == dataset.imageShape else {
      throw InputError(
        "the images of `data` have another size", expected: "\(dataset.imageShape)", found: "\(test.imageShape)")
    }
    return try evaluation.defense(test, of: victim, denoiser: denoiser, seed: seedBits)
  }
}

/// What small networks tell of held-out perturbations: `attack_from_estimate` and the like.
public struct OriginTable: InlineGroup, Sendable {
  /// What is told, and what it is told from.
  public struct Question: RawRepresentable, CaseIterable, Hashable, Sendable {
    public let trait: OriginClassifier.Trait
    public let input: OriginClassifier.Input

    public static let allCases = OriginClassifier.Trait.allCases.flatMap { trait in
      OriginClassifier.Input.allCases.map { Question(trait: trait, input: $0) }
    }

    public init(trait: OriginClassifier.Trait, input: OriginClassifier.Input) {
      (self.trait, self.input) = (trait, input)
    }

    public init?(rawValue: String) {
      guard let question = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
      self = question
    }

    public var rawValue: String { "\(trait.rawValue)_from_\(input.rawValue)" }
  }

  public struct Answer: Codable, Hashable, Sendable {
    public var accuracy: AccuracyFigure
    /// Pairs.
    public var n: Int
    /// What is told apart.
    public var classes: [String]
    /// Pairs of each class (rows) by the class that they were taken for (columns).
    public var confusion: [[Int]]
  }

  public private(set) var answers = ByCase<Question, Answer>()

  init() {}

  /// Trains and tests a small network for each question that the data have several answers to.
  init(of dataset: RedDataset, _ denoise: (Tensor) -> Tensor, seed: UInt64) throws {
    for question in Question.allCases where OriginClassifier.classes(question.trait, in: dataset.train).count > 1 {
      let classifier = try OriginClassifier.train(
        on: dataset.train, telling: question.trait, input: question.input, denoise: denoise, seed: seed)
      let counts = classifier.confusion(on: dataset.test, input: question.input, denoise: denoise)
      let accuracy = Accuracy(confusion: counts)
      answers[question] = Answer(
        accuracy: AccuracyFigure(accuracy), n: accuracy.count, classes: classifier.classes, confusion: counts)
    }
  }

  public init(from decoder: any Decoder) throws { answers = try ByCase(from: decoder) }
  public func encode(to encoder: any Encoder) throws { try answers.encode(to: encoder) }
}
