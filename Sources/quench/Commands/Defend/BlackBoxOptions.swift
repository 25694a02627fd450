import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

#if HTTP
  import QuenchServer
#endif

/// The model that is defended.
struct BlackBoxOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The model's weights: safetensors, or what torch.save wrote. It is only asked, but by fo-ds and fo-ae-ds.",
      valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @Option(
    help: ArgumentHelp(
      "A program that reads images and writes answers, in place of weights: 'python3 model.py'.",
      valueName: "command"))
  var program: String?

  @Option(
    help: ArgumentHelp(
      "A model behind the Open Inference Protocol, in place of weights: http://host:port/v2/models/NAME.",
      valueName: "url"))
  var endpoint: String?

  @Option(help: ArgumentHelp("Holds the token that the endpoint asks for.", valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(help: "What the model shall answer: logits, probabilities or labels; a program says itself.")
  var feedback = Feedback.logits

  @Option(help: ArgumentHelp("Images a request.", valueName: "n"))
  var queryBatch = 512

  @Option(help: ArgumentHelp("Requests at once to an endpoint.", valueName: "n"))
  var connections = 4

  @Option(help: "Seconds in which an endpoint or a program must answer a request.")
  var timeout = 60.0

  @Option(help: ArgumentHelp("Tries of a request that fails for a while.", valueName: "n"))
  var tries = MeteredBlackBox.Patience().tries

  @Option(help: ArgumentHelp("The most images a second that the model is asked about.", valueName: "n"))
  var queryRate: Double?

  @Flag(
    help:
      "Where the model asks for a longer pause than a minute (Retry-After), wait so long: such a try does not count."
  )
  var waitQuota = false

  @Flag(help: "Cut pixels off at 0 and 1 before the model sees them: a part of the classifier that is certified.")
  var clip = false

  @OptionGroup var endpointOptions: EndpointOptions

  func validate() throws {
    guard endpoint != nil || endpointOptions.isEmpty else {
      throw ValidationError("\(endpointOptions.arguments[0]) needs --endpoint.")
    }
    guard [weights, program, endpoint].count(where: { $0 != nil }) == 1 else {
      throw ValidationError("Name the model with either --weights, --program or --endpoint.")
    }
    guard tokenFile == nil || endpoint != nil else { throw ValidationError("--token-file needs --endpoint.") }
    guard queryBatch > 0, connections > 0, timeout > 0, tries > 0, queryRate ?? 1 > 0 else {
      throw ValidationError("--query-batch, --connections, --timeout, --tries and --query-rate must be above 0.")
    }
  }

  var patience: MeteredBlackBox.Patience {
    var patience = MeteredBlackBox.Patience()
    patience.tries = tries
    patience.rate = queryRate
    patience.waitsForQuota = waitQuota
    return patience
  }

  /// The settings under the names of their flags. Where an endpoint lies is none: the ledger knows the model.
  var settings: Record {
    var settings: Record = [:]
    settings["weights"] = weights.map { .string($0) }
    settings["model"] = model.map { .string($0.rawValue) }
    settings["program"] = program.map { .string($0) }
    settings["feedback"] = .string(feedback.rawValue)
    settings["query-batch"] = .int(queryBatch)
    if clip { settings["clip"] = true }
    settings.merge(endpointOptions.settings)
    return settings
  }

  /// The fingerprint of the weights, for the run's record.
  func inputs() throws -> Record {
    guard let weights else { return [:] }
    return ["weights": .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))]
  }

  /// Tells the weights from others.
  func version() throws(InputError) -> String {
    try weights.map { path throws(InputError) in
      String(try Fingerprint.sha256(ofFile: URL(filePath: path)).prefix(12))
    } ?? ""
  }

  /// The network whose weights are at hand.
  func network(for dataset: ImageDataset, on device: Device, _ output: OutputOptions) throws -> Network {
    guard let weights else {
      throw InputError(
        "a first-order method needs the model's weights", at: program == nil ? "--endpoint" : "--program",
        remedy: "choose zo-ds or zo-ae-ds")
    }
    return try ModelFile(
      path: weights, model: model?.model, for: dataset, on: device, output.console
    ).network
  }

  /// Whether the model is somebody else's, of whose answers nothing is known.
  var isForeign: Bool { weights == nil }

  /// The model as a black box.
  /// - Parameter dtype: float32 for training: differences of 16-bit answers say little about a slope.
  func blackBox(
    for dataset: ImageDataset, dtype: DType?, batchSize: Int, on device: Device, _ output: OutputOptions
  ) throws -> any BlackBox {
    let model = try unclipped(for: dataset, dtype: dtype, batchSize: batchSize, on: device, output)
    return clip ? ClippedBlackBox(model) : model
  }

  private func unclipped(
    for dataset: ImageDataset, dtype: DType?, batchSize: Int, on device: Device, _ output: OutputOptions
  ) throws -> any BlackBox {
    if weights != nil {
      return LocalBlackBox(
        try network(for: dataset, on: device, output), feedback: feedback, version: try version(),
        batchSize: batchSize, dtype: dtype ?? InferencePlan.fastest(on: device))
    }
    let model: any BlackBox =
      if let endpoint {
        try remote(endpoint, for: dataset)
      } else {
        try ProgramBlackBox((program ?? "").split(separator: " ").map(String.init), timeout: timeout)
      }
    guard model.classes == dataset.classNames.count else {
      throw InputError(
        "the model knows another number of classes than \(dataset.name)", at: endpoint ?? program,
        expected: "\(dataset.classNames.count)", found: "\(model.classes)",
        remedy: "name the data set that it was trained on with --data")
    }
    return model
  }

  private func remote(_ endpoint: String, for dataset: ImageDataset) throws -> any BlackBox {
    #if HTTP
      var hints = endpointOptions.hints
      hints.likelyClasses = dataset.classNames.count
      let (feedback, timeout, authorities) = (feedback, timeout, endpointOptions.caFile)
      let token = try tokenFile.map { try BearerToken(contentsOf: $0) }
      return try RemoteBlackBox(images: dataset.imageShape, concurrency: connections) { [hints] in
        try await RemoteModel(
          endpoint, timeout: timeout, feedback: feedback, token: token, authorities: authorities, hints: hints)
      }
    #else
      throw MissingHTTP.error(for: "--endpoint")
    #endif
  }
}
