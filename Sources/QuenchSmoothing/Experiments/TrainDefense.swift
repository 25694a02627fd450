import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a defense from a model's answers (Zhang et al. 2022), or for comparison with its gradients.
public struct TrainDefense: Experiment {
  public static let kind = "defend-train"
  public static let isShared = true
  public static let revisable = BlackBoxSettings.revisable.union(LedgerSettings.revisable)

  /// How the loss's slope is estimated.
  public enum Estimator: String, CaseIterable, Codable, Sendable {
    /// Every coordinate in turn.
    case cge
    /// Random directions.
    case rge
    /// Random directions, for a model that tells labels alone.
    case labels
  }

  public var method = DefenseMethod.zoAEDS
  /// The folder of an autoencoder that ``PretrainDefense`` trained, for methods that use one.
  public var autoencoder: String?
  /// The folder of a denoiser that ``PretrainDefense`` trained, to start from; nil: a fresh one.
  public var warmStart: String?
  public var task = DefenseTask()
  public var box = BlackBoxSettings()
  /// Nil: `labels` where the model tells labels alone, else `cge` over a code and `rge` over pixels.
  public var estimator: Estimator?
  /// Random directions an image.
  public var directions = 192
  public var difference = GradientEstimator.Difference.antithetic
  /// μ, the length of the step of a difference; nil: 0.005, or longer if the answers are coarse; for labels 0.5.
  public var smoothingStep: Double?
  /// First ask a model that is somebody else's about 32 images, twice: what its answers are like, and which step they
  /// need.
  public var probe = true
  /// Ask no query about coordinates that a ReLU holds at 0.
  public var skipDead = true
  public var ledger = LedgerSettings()
  public var denoiser = Denoiser()
  public var recipe = DefenseRecipe.ofRuns
  public var learning = LearningSettings()

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var method: DefenseMethod
    public var data: String
    public var epochs: Int
    /// Images that the model was asked about, those answered from the ledger included.
    public var queries: Int
    public var codeSize: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    /// Of the time, what the model's answers were waited for.
    public var queryShareOfTime: Double
    public var peakMemoryMb: Double
    public var seed: Int
    public var smoothingStep: Double?
    /// The share of differences that were exactly 0.
    public var zeroDifferences: Double?
    /// Images that the model answered with NaN or infinity.
    public var imagesLeftOut: Int
    public var costs: QueryCosts
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, learning.precision) }

  public func checked() throws(InputError) -> TrainDefense {
    guard method.usesAutoencoder == (autoencoder != nil) else {
      throw InputError(
        "\(method.rawValue) \(method.usesAutoencoder ? "needs an" : "has no") autoencoder", at: "autoencoder",
        remedy: method.usesAutoencoder ? "train one: 'quench defend pretrain autoencoder'" : "leave it out")
    }
    try box.validate()
    guard task.kind == .classification || box.weights != nil else {
      throw InputError("the task reconstruction needs the model's weights", at: "weights")
    }
    try task.validate()
    try requireSetting(directions > 0, "directions", "at least 1", directions)
    try requireSetting(smoothingStep ?? 1 > 0, "smoothing-step", "above 0", smoothingStep ?? 0)
    if method.usesQueriesOnly { _ = try gradientEstimator(feedback) }
    try ledger.validate()
    try denoiser.validate()
    try learning.validate()
    var experiment = self
    experiment.recipe = try recipe.checked(for: task)
    return experiment
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    guard !method.usesQueriesOnly || !box.isForeign || context.world.size == 1 else {
      throw InputError(
        "somebody else's model is asked by one process, which keeps the book of its queries", at: "method",
        found: "\(method.rawValue) in \(context.world.size) processes",
        remedy: "start it once, or give --standalone so that each process does all of it by itself")
    }
    let data = try learning.load(on: device, context.console)
      .shared(in: context.world, batchSize: recipe.batchSize)
    let defense = try freshDefense(for: data, device)
    for (_, network) in defense.trained { network.world = context.world }
    let model = method.usesQueriesOnly ? try blackBox(for: data.train, device, context.lab) : nil
    let network = method.usesQueriesOnly ? nil : try network(for: data.train, device, context.console)
    let folder = try context.open(inputs: data.inputs.merging(Fingerprint.inputs(["weights": box.weights])))
    var (book, estimator): (QueryLedger?, GradientEstimator?) = (nil, nil)
    let slope: DefenseTraining.Slope
    if let model {
      let metered = try ledger.meter(model, box, in: folder, rank: context.world.rank)
      let probed = try probed(metered, defense, data.train, in: folder, context.console)
      (book, estimator, slope) = (metered.ledger, probed, .queries(metered, probed))
    } else if let network {
      slope = .network(network, feedback)
    } else {
      preconditionFailure("a method has queries or gradients")
    }
    let learner = DefenseTraining(
      defense, of: slope, on: data.train.shown(by: task.measurement(of: data.train)), recipe: recipe,
      seed: learning.seedBits, precision: learning.precision)
    learner.onFinding = { context.console.note("note: \($0)") }
    if method.usesQueriesOnly { tellQueries(learner.mostQueries, context.console) }
    let cost = try context.session("Defending", in: folder).run(learner)
    try defense.write(to: folder.url)
    let isOfDifferences = estimator?.isOfDifferences == true
    return Outcome(
      method: method, data: data.train.name, epochs: recipe.epochs, queries: learner.queries,
      codeSize: defense.codeSize, seconds: cost.seconds, imagesPerSecond: cost.imagesPerSecond,
      queryShareOfTime: learner.seconds.waiting / max(learner.seconds.all, 1e-9),
      peakMemoryMb: Double(ProcessMemory.peakBytes) / 1e6, seed: learning.seed,
      smoothingStep: isOfDifferences ? estimator?.smoothingStep : nil,
      zeroDifferences: isOfDifferences ? learner.tally.zeroShare : nil, imagesLeftOut: learner.tally.leftOut,
      costs: try QueryCosts(book, price: ledger.price))
  }

  private func tellQueries(_ most: Int, _ console: RunConsole) {
    console.note("at most \(Wording.count(Double(most))) queries in all")
    if let budget = ledger.queryBudget, most > budget {
      console.note("note: that may be more than the budget of \(Wording.count(Double(budget)))")
    }
  }

  private func freshDefense(for data: LearningData, _ device: Device) throws(InputError) -> Defense {
    let network: Network
    if let warmStart {
      let file = URL(filePath: warmStart).appending(path: Defense.denoiserFileName)
      network = try ModelFile(contentsOf: file, device: device).network
    } else {
      network = denoiser.network(input: data.train.imageShape, seed: learning.seedBits, device: device)
    }
    let defense = Defense(
      denoiser: network,
      autoencoder: try autoencoder.map { path throws(InputError) in
        try Defense.Autoencoder(contentsOf: URL(filePath: path), device: device)
      })
    try defense.check(at: warmStart ?? autoencoder ?? "the defense")
    guard defense.inputShape == data.train.imageShape else {
      throw InputError(
        "the parts take other images than those of \(data.train.name)", at: warmStart ?? autoencoder,
        expected: "\(data.train.imageShape)", found: "\(defense.inputShape)")
    }
    return defense
  }

  /// The estimator, its step chosen by what the model's answers are like, which is found out once a run.
  private func probed(
    _ model: MeteredBlackBox, _ defense: Defense, _ dataset: ImageDataset, in folder: RunFolder,
    _ console: RunConsole
  ) throws -> GradientEstimator {
    var estimator = try gradientEstimator(model.model.feedback)
    guard box.isForeign, probe else { return estimator }
    let file = folder.artefact(DefenseProbe.fileName)
    let found =
      try DefenseProbe(ifAt: file)
      ?? DefenseProbe(
        model, defense, estimator, on: dataset, sigma: recipe.sigma, seed: learning.seedBits)
    try found.write(to: file)
    let findings = try found.findings(
      on: estimator, model.model.feedback, classes: dataset.classNames, isGiven: smoothingStep != nil)
    for finding in findings { console.note("note: \(finding)") }
    if smoothingStep == nil { estimator.smoothingStep = found.step?.best?.step ?? estimator.smoothingStep }
    return estimator
  }

  private var feedback: Feedback { task.kind == .reconstruction ? .images : box.feedback }

  private func network(
    for dataset: ImageDataset, _ device: Device, _ console: RunConsole
  ) throws(InputError) -> Network {
    guard task.kind == .reconstruction, let weights = box.weights else {
      return try box.network(for: dataset, on: device, console)
    }
    return try Network.reconstructor(at: weights, for: dataset, on: device)
  }

  private func blackBox(for dataset: ImageDataset, _ device: Device, _ lab: Lab) throws -> any BlackBox {
    guard task.kind == .reconstruction else {
      return try box.blackBox(for: dataset, dtype: .float32, batchSize: box.queryBatch, on: device, in: lab)
    }
    return LocalBlackBox(
      try network(for: dataset, device, lab.console), feedback: .images, version: try box.version(),
      batchSize: box.queryBatch)
  }

  private func gradientEstimator(_ feedback: Feedback) throws(InputError) -> GradientEstimator {
    let name = estimator ?? (feedback == .labels ? .labels : method == .zoAEDS ? .cge : .rge)
    guard feedback != .labels || name == .labels else {
      throw InputError("the model tells labels alone", at: "estimator", expected: "labels", found: name.rawValue)
    }
    let estimation: GradientEstimator.Method =
      switch name {
      case .cge: .coordinatewise
      case .rge: .random(directions: directions)
      case .labels: .smoothed(directions: directions, deviation: smoothingStep ?? 0.5)
      }
    // Only a code comes from a ReLU.
    return GradientEstimator(
      estimation, difference: difference, smoothingStep: smoothingStep ?? 0.005,
      skipsDeadCoordinates: skipDead && method.usesAutoencoder)
  }
}
