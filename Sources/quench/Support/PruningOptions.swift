import ArgumentParser
import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// What every pruning method takes, and the way from the flags to the result.
struct PruningOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Fraction of the weights to keep, above 0 and at most 1.", valueName: "ratio"))
  var keep: Double?

  @Option(help: ArgumentHelp("Fraction of the weights to drop, instead of --keep.", valueName: "fraction"))
  var sparsity: Double?

  @Option(
    help: ArgumentHelp(
      "The trained network; without it, one is trained first, in the folder dense of the run.", valueName: "file"),
    completion: .file())
  var weights: String?

  @Option(help: "The network to train first, or whose weights --weights holds where the file does not say.")
  var model: ModelName?

  @Option(help: "Epochs of the dense training where no --weights are given.")
  var denseEpochs = TrainingRecipe().epochs

  func validate() throws {
    guard (keep == nil) != (sparsity == nil) else {
      throw ValidationError("Give either --keep or --sparsity\(keep == nil ? "." : ", not both.")")
    }
    guard denseEpochs > 0 else { throw ValidationError("--dense-epochs must be at least 1.") }
    guard model?.isClassifier ?? true else {
      throw ValidationError("--model \(model?.rawValue ?? "") is no classifier.")
    }
    try requireUsage { _ = try keepRatio }
  }

  var keepRatio: KeepRatio {
    get throws(InputError) {
      guard let sparsity else { return try KeepRatio(keep ?? 0) }
      guard (0..<1).contains(sparsity) else {
        throw InputError(
          "not a fraction of weights to drop", at: "--sparsity", expected: "0 or more and below 1",
          found: "\(sparsity)")
      }
      // 1 - 0.9 is 0.09999999999999998; what the user means is 0.1.
      return try KeepRatio(((1 - sparsity) * 1e12).rounded() / 1e12, at: "--sparsity")
    }
  }

  /// Prunes by `method` and prints what came of it.
  /// - Parameter methodSettings: The method's own settings under the names of their flags.
  func run(_ method: PruningMethod, _ methodSettings: Record, _ options: LearningOptions) throws {
    let run = options.run
    let url = try run.folder(named: "prune-\(method.name)")
    let device = try run.machine.prepare()
    let data = try options.load(on: device)
    var inputs = data.inputs
    var given: Network?
    if let weights {
      given = try WeightsFile.load(weights, model: model, for: data.test, on: device).network
      inputs["weights"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))
    }
    if let rewind = methodSettings["rewind"]?.string {
      inputs["rewind"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: rewind)))
    }

    var settings: Record = ["keep": .double(method.keepRatio.value)]
    settings["weights"] = weights.map { .string($0) }
    settings["model"] = model.map { .string($0.rawValue) }
    if weights == nil { settings["dense-epochs"] = .int(denseEpochs) }
    settings.merge(methodSettings)
    settings.merge(options.settings)

    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let pruning = PruneRun(method: method, options: options, data: data)
    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      let network = try given ?? trainDense(in: folder, data, options, device)
      return try pruning.prune(network, in: folder, resumes: run.resume)
    }
    run.output.printResult(summary, Self.text(summary, url))
  }

  /// The dense network of this run: trained now, trained to its end, or loaded if it is done.
  private func trainDense(
    in folder: RunFolder, _ data: ImageData, _ options: LearningOptions, _ device: Device
  ) throws -> Network {
    let url = folder.artefact("dense")
    let resumes = (try? RunFolder(existing: url)) != nil
    // A kill may have left the folder without its configuration: nothing was trained in it then.
    if !resumes { try? FileManager.default.removeItem(at: url) }
    let training = TrainRun(
      model: model ?? .resnet20, recipe: try RecipeOptions.parse(["--epochs", "\(denseEpochs)"]), options: options,
      data: data, device: device)
    var record = RunRecord.current(training.settings, inputs: data.inputs, device: device)
    record.command = ["quench", "train"]
    _ = try Run(at: url, record, resumes: resumes, options.run.output).perform { folder in
      try training.train(in: folder, resumes: resumes)
    }
    return try WeightsFile.load(
      url.appending(path: TrainRun.modelFileName).path, model: nil, for: data.test, on: device
    ).network
  }

  private static func text(_ summary: Record, _ url: URL) -> String {
    let kept = summary["kept"]?.number ?? 0
    let total = summary["prunable"]?.number ?? 1
    func row(_ name: String, _ kept: Double, _ ratio: Double, _ accuracy: String, _ interval: String) -> [Table
      .Cell]
    {
      [
        "\(name)", "\(Wording.count(kept))", "\(NumberText.plain(ratio))", "\(NumberText.plain(1 - ratio))",
        "\(Wording.accuracy(summary[accuracy]?.number))",
        "\(Wording.interval(summary[interval + "_low"]?.number, summary[interval + "_high"]?.number))"
      ]
    }
    let table = Table(
      "Dense and pruned",
      columns: [
        .text("network"), .number("weights kept"), .number("keep ratio"), .number("sparsity"),
        .number("test accuracy"), .number("95 % interval")
      ],
      rows: [
        row("dense", total, 1, "dense_accuracy", "dense_interval"),
        row(
          summary["method"]?.string ?? "pruned", kept, summary["keep_ratio"]?.number ?? kept / total, "accuracy",
          "interval")
      ])
    return """
      \(table.text)

      Tested on \(Wording.count(summary["n"]?.number)) images. \(PruneReport.speedStatement)
      weights   \(url.appending(path: TrainRun.modelFileName).relativePath)
      report    \(url.appending(path: "report.html").relativePath)
      """
  }
}
