import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct DefendTrainCommand: ParsableCommand {
  enum EstimatorName: String, CaseIterable, ExpressibleByArgument {
    /// Every coordinate, random directions, smoothed labels.
    case cge, rge, labels
  }

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a defence from a model's answers.",
    discussion: """
      Examples:
        quench defend train --weights box.safetensors --autoencoder runs/autoencoder
        quench defend train --weights box.safetensors \\
          --autoencoder runs/autoencoder \\
          --estimator rge --directions 192 --query-budget 20000000
        quench defend train --program 'python3 model.py' \\
          --autoencoder runs/autoencoder
        quench defend train --endpoint http://host:8000/v2/models/box \\
          --autoencoder runs/autoencoder --query-rate 500 --price-per-1000 0.5
        quench defend train --weights box.safetensors --method fo-ds
        quench defend train --task reconstruction --data mnist \\
          --weights runs/reconstructor/reconstructor.safetensors \\
          --autoencoder runs/autoencoder

      Methods: zo-ae-ds, zo-ds (from queries alone), fo-ae-ds, fo-ds (with the
      model's gradients). Every image that the model is asked about is entered in the
      ledger before it is sent; at the budget training stops with a checkpoint, and
      --resume with a larger --query-budget goes on. A resumed run asks no question twice.
      An endpoint's errors and timeouts are met by waiting longer and longer and
      sending the same images again.

      An endpoint or a program is first asked about 32 images, to find out how its
      answers are rounded and how noisy they are; differences are then taken over
      steps in which that does not matter. What was found is in black-box.json.
      """)

  @Option(help: "zo-ae-ds, zo-ds, fo-ae-ds or fo-ds.")
  var method = DefenseMethod.zoAEDS

  @Option(help: ArgumentHelp("A run of 'defend pretrain autoencoder'.", valueName: "dir"), completion: .directory)
  var autoencoder: String?

  @Option(
    help: ArgumentHelp("Start from the denoiser of this run ('defend pretrain denoiser').", valueName: "dir"),
    completion: .directory)
  var warmStart: String?

  @OptionGroup(title: "Task") var task: TaskOptions
  @OptionGroup(title: "Model") var box: BlackBoxOptions

  @Option(
    help: "cge: every coordinate; rge: random directions; labels: random directions, for a model that tells labels."
  )
  var estimator: EstimatorName?

  @Option(help: ArgumentHelp("Random directions an image.", valueName: "q"))
  var directions = 192

  @Option(help: "antithetic (two queries a direction) or forward (one).")
  var difference = GradientEstimator.Difference.antithetic

  @Option(
    help: ArgumentHelp(
      "Length of the step of a difference (default: 0.005, longer if the answers are coarse; labels: 0.5).",
      valueName: "mu"))
  var smoothingStep: Double?

  @Flag(
    inversion: .prefixedNo,
    help: "First ask an endpoint or a program about 32 images: what its answers are like, and which step they need."
  )
  var probe = true

  @Flag(
    inversion: .prefixedNo,
    help: "Ask no query about coordinates that a ReLU holds at 0: the gradient stays the same.")
  var skipDead = true

  @OptionGroup(title: "Ledger") var book: LedgerOptions
  @OptionGroup(title: "Denoiser") var denoiser: DenoiserOptions
  @OptionGroup(title: "Recipe") var recipe: DefenseRecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func validate() throws {
    guard !method.usesAutoencoder || autoencoder != nil else {
      throw ValidationError(
        "--method \(method.rawValue) needs --autoencoder ('quench defend pretrain autoencoder').")
    }
    guard method.usesAutoencoder || autoencoder == nil else {
      throw ValidationError("--method \(method.rawValue) has no autoencoder.")
    }
    guard task.task == .classification || box.weights != nil else {
      throw ValidationError("--task reconstruction needs --weights.")
    }
    guard directions > 0 else { throw ValidationError("--directions must be at least 1.") }
    guard smoothingStep ?? 1 > 0 else { throw ValidationError("--smoothing-step must be above 0.") }
    guard !method.usesQueriesOnly || feedback != .labels || (estimator ?? .labels) == .labels else {
      throw ValidationError("A model that tells labels alone needs --estimator labels.")
    }
  }

  func run() throws {
    let run = options.run
    let url = try run.folder(named: "defend")
    let device = try run.machine.prepare()
    let data = try options.load(on: device)
    let defense = try defense(for: data, device)
    let record = RunRecord.current(
      settings, inputs: data.inputs.merging(try box.inputs()), device: device)
    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      try train(defense, data, in: folder, device)
    }
    run.output.printResult(summary, Self.text(summary, url))
  }

  private func defense(for data: LearningData, _ device: Device) throws(InputError) -> Defense {
    let network: Network
    if let warmStart {
      let file = URL(filePath: warmStart).appending(path: Defense.denoiserFileName)
      network = try ModelFile(contentsOf: file, device: device).network
    } else {
      network = denoiser.denoiser.network(
        input: data.train.imageShape, seed: options.run.seedBits, device: device)
    }
    let defense = Defense(
      denoiser: network,
      autoencoder: try autoencoder.map { path throws(InputError) in
        try Defense.Autoencoder(contentsOf: URL(filePath: path), device: device)
      })
    try defense.check(at: warmStart ?? autoencoder ?? "the defence")
    guard defense.inputShape == data.train.imageShape else {
      throw InputError(
        "the parts take other images than those of \(data.train.name)", at: warmStart ?? autoencoder,
        expected: "\(data.train.imageShape)", found: "\(defense.inputShape)")
    }
    return defense
  }

  private func train(
    _ defense: Defense, _ data: LearningData, in folder: RunFolder, _ device: Device
  ) throws -> Record {
    let run = options.run
    Interruption.watch()
    let slope: DefenseTraining.Slope
    var ledger: QueryLedger?
    if method.usesQueriesOnly {
      let model = try blackBox(for: data.train, device)
      let metered = try book.meter(model, box, in: folder)
      ledger = metered.ledger
      slope = .queries(metered, try probed(metered, defense, data.train, in: folder))
    } else {
      slope = .network(try network(for: data.train, device), feedback)
    }
    let learner = DefenseTraining(
      defense, of: slope, on: data.train.shown(by: task.measurement(of: data.train)),
      recipe: task.recipe(recipe.recipe),
      seed: run.seedBits, precision: run.machine.precision)
    learner.onFinding = { run.output.note("note: \($0)") }
    if method.usesQueriesOnly {
      run.output.note("at most \(Wording.count(Double(learner.mostQueries))) queries in all")
      if let queryBudget = book.queryBudget, learner.mostQueries > queryBudget {
        run.output.note("note: that may be more than the budget of \(Wording.count(Double(queryBudget)))")
      }
    }
    let outcome = try options.session("Defending", in: folder, resumes: run.resume).run(learner)
    try defense.write(to: folder.url)
    var summary: Record = [
      "method": .string(method.rawValue), "data": .string(data.train.name), "epochs": .int(recipe.epochs),
      "queries": .int(learner.queries), "code_size": .int(defense.codeSize), "seconds": .double(outcome.seconds),
      "images_per_second": .double(outcome.imagesPerSecond),
      "query_share_of_time": .double(learner.seconds.waiting / max(learner.seconds.all, 1e-9)),
      "peak_memory_mb": .double(Double(ProcessMemory.peakBytes) / 1e6), "seed": .int(run.seed)
    ]
    if case .queries(_, let estimator) = slope, estimator.isOfDifferences {
      summary["smoothing_step"] = .double(estimator.smoothingStep)
      summary["zero_differences"] = learner.tally.zeroShare.map { .double($0) }
    }
    summary["images_left_out"] = .int(learner.tally.leftOut)
    summary.merge(try book.costs(ledger))
    return summary
  }

  /// The estimator, its step chosen by what the model's answers are like, which is found out once a run.
  private func probed(
    _ model: MeteredBlackBox, _ defense: Defense, _ dataset: ImageDataset, in folder: RunFolder
  ) throws -> GradientEstimator {
    var estimator = try gradientEstimator(model.model.feedback)
    guard box.isForeign, probe else { return estimator }
    let file = folder.artefact(DefenseProbe.fileName)
    let found =
      try DefenseProbe(ifAt: file)
      ?? DefenseProbe(
        model, defense, estimator, on: dataset, sigma: recipe.sigma, seed: options.run.seedBits)
    try found.write(to: file)
    let findings = try found.findings(
      on: estimator, model.model.feedback, classes: dataset.classNames, isGiven: smoothingStep != nil)
    for finding in findings { options.run.output.note("note: \(finding)") }
    if smoothingStep == nil { estimator.smoothingStep = found.step?.best?.step ?? estimator.smoothingStep }
    return estimator
  }

  private var feedback: Feedback { task.task == .reconstruction ? .images : box.feedback }

  /// `validate` sees to the weights of a reconstructor.
  private func network(for dataset: ImageDataset, _ device: Device) throws -> Network {
    guard task.task == .reconstruction, let weights = box.weights else {
      return try box.network(for: dataset, on: device, options.run.output)
    }
    return try Network.reconstructor(at: weights, for: dataset, on: device)
  }

  private func blackBox(for dataset: ImageDataset, _ device: Device) throws -> any BlackBox {
    guard task.task == .reconstruction else {
      return try box.blackBox(
        for: dataset, dtype: .float32, batchSize: box.queryBatch, on: device, options.run.output)
    }
    return LocalBlackBox(
      try network(for: dataset, device), feedback: .images, version: try box.version(), batchSize: box.queryBatch)
  }

  private func gradientEstimator(_ feedback: Feedback) throws(InputError) -> GradientEstimator {
    let name = estimator ?? (feedback == .labels ? .labels : method == .zoAEDS ? .cge : .rge)
    guard feedback != .labels || name == .labels else {
      throw InputError("the model tells labels alone", at: "--estimator", expected: "labels", found: name.rawValue)
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

  private var settings: Record {
    var settings: Record = ["method": .string(method.rawValue)]
    settings["autoencoder"] = autoencoder.map { .string($0) }
    settings["warm-start"] = warmStart.map { .string($0) }
    settings.merge(box.settings)
    if method.usesQueriesOnly {
      settings["estimator"] = estimator.map { .string($0.rawValue) }
      settings["directions"] = .int(directions)
      settings["difference"] = .string(difference.rawValue)
      settings["smoothing-step"] = smoothingStep.map { .double($0) }
      settings["skip-dead"] = .bool(skipDead)
    }
    settings.merge(denoiser.settings)
    settings.merge(recipe.settings)
    settings.merge(task.settings)
    settings.merge(options.settings)
    return settings
  }

  private static func text(_ summary: Record, _ url: URL) -> String {
    """
    queries   \(Wording.count(summary["queries"]?.number)); \(LedgerOptions.text(summary))
    training  \(Wording.duration(summary["seconds"]?.number)), \
    \(Wording.count(summary["images_per_second"]?.number)) images a second
    defence   \(url.relativePath)
    report    \(url.appending(path: "report.html").relativePath)
    """
  }
}

extension Record {
  fileprivate func merging(_ other: Record) -> Record {
    var merged = self
    merged.merge(other)
    return merged
  }
}
