import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// What a subcommand of `quench prune` asks for: a method, what it starts from and how it was set.
struct PruneJob {
  enum Start {
    /// A trained network: the user's, or one that is trained first.
    case trained(DenseOptions)
    /// A new network, with a trained one to compare with if the user names it.
    case initial(InitialOptions)

    var settings: Record {
      switch self {
      case .trained(let options): options.settings
      case .initial(let options): options.settings
      }
    }

    /// The network that is trained where none is given.
    var model: ModelName {
      switch self {
      case .trained(let options): (options.model ?? .resnet20).model
      case .initial(let options): options.model.model
      }
    }
  }

  var method: String
  /// The method's own settings under the names of their flags.
  var settings: Record
  /// The file of weights that the method goes back to, if the user names one.
  var rewind: String?
  var start: Start
  /// The epoch of the dense training whose weights the method wants as well.
  var snapshotEpoch: Int?
  /// Makes the method, from the weights that it goes back to.
  var pruner: (_ early: StateDictionary?) throws -> any Pruner

  /// Prunes and prints what came of it.
  func run(_ pruning: PruningOptions, _ options: LearningOptions) throws {
    let run = options.run
    let url = try run.folder(named: "prune-\(method)")
    let device = try run.machine.prepare()
    let data = try options.load(on: device)
    let given = try givenNetworks(data, seed: run.seedBits, device, run.output)
    let rewound = try rewind.map { path in
      let architecture = try given.network?.architecture ?? data.train.architecture(of: start.model)
      return try WeightsFile.state(path, for: architecture)
    }

    var settings = pruning.settings(try pruning.target)
    for part in [start.settings, self.settings, options.settings] { settings.merge(part) }
    settings["rewind"] = rewind.map { .string($0) }
    var inputs = data.inputs
    for part in [given.inputs, try Fingerprint.inputs(["rewind": rewind])] { inputs.merge(part) }
    let record = RunRecord.current(settings, inputs: inputs, device: device)

    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      var early: StateDictionary?
      var (network, dense) = (given.network, given.dense)
      if case .trained(let dense) = start, network == nil {
        (network, early) = try trainDense(dense, in: folder, data, options, device)
      }
      guard let network else { throw InputError("there is no network to prune") }
      if case .trained = start { dense = network }
      let work = PruneRun(
        method: method, pruner: try pruner(rewound ?? early), options: options, data: data,
        batchSize: settings["batch-size"]?.integer)
      return try work.prune(network, comparedWith: dense, in: folder, resumes: run.resume)
    }
    run.output.printResult(summary, PruneText.make(summary, url))
  }

  /// The networks that the user named, and the new one to prune.
  private func givenNetworks(
    _ data: ImageData, seed: UInt64, _ device: Device, _ output: OutputOptions
  ) throws -> (network: Network?, dense: Network?, inputs: Record) {
    switch start {
    case .trained(let options):
      let network = try options.weights.map {
        try WeightsFile.load($0, model: options.model, for: data.test, on: device, output).network
      }
      return (network, nil, try Fingerprint.inputs(["weights": options.weights]))
    case .initial(let options):
      let network =
        try options.initial.map {
          try WeightsFile.load($0, model: options.model, for: data.test, on: device, output).network
        } ?? Network(try data.train.architecture(of: start.model), seed: seed, device: device)
      let dense = try options.dense.map {
        try WeightsFile.load($0, model: nil, for: data.test, on: device, output).network
      }
      return (network, dense, try Fingerprint.inputs(["initial": options.initial, "dense": options.dense]))
    }
  }

  /// The dense network of this run: trained now, trained to its end, or loaded if it is done.
  private func trainDense(
    _ dense: DenseOptions, in folder: RunFolder, _ data: ImageData, _ options: LearningOptions, _ device: Device
  ) throws -> (Network, early: StateDictionary?) {
    let url = folder.artefact("dense")
    let resumes = try RunFolder.record(at: url) != nil
    var training = TrainRun(
      model: start.model,
      recipe: try RecipeOptions.parse(["--epochs", "\(dense.denseEpochs)"]),
      options: options, data: data, device: device)
    training.snapshotEpoch = snapshotEpoch
    var record = RunRecord.current(training.settings, inputs: data.inputs, device: device)
    record.command = ["quench", "train"]
    _ = try Run(at: url, record, resumes: resumes, options.run.output).perform { folder in
      try training.train(in: folder, resumes: resumes)
    }
    let network = try WeightsFile.load(
      url.appending(path: TrainRun.modelFileName).path, model: nil, for: data.test, on: device, options.run.output
    ).network
    return (
      network,
      try snapshotEpoch.map { epoch in
        try WeightsFile.state(url.appending(path: TrainRun.snapshotFileName(epoch)).path, for: network.architecture)
      }
    )
  }
}

extension Fingerprint {
  /// The fingerprints of the files that are named, under the names of their flags.
  static func inputs(_ files: KeyValuePairs<String, String?>) throws(InputError) -> Record {
    var inputs: Record = [:]
    for (flag, path) in files {
      if let path { inputs[flag] = .string(try sha256(ofFile: URL(filePath: path))) }
    }
    return inputs
  }
}
