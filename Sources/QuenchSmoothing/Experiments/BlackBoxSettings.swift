import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The model that is defended, and how it is asked.
public struct BlackBoxSettings: InlineGroup, Hashable, Sendable {
  /// The model's file of weights. One of this, ``program`` and ``endpoint`` names the model.
  public var weights: String?
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  /// The command line of a program that answers as ``ProgramBlackBox`` has it.
  public var program: String?
  /// A model behind the Open Inference Protocol, `http://host:port/v2/models/NAME`, which needs an ``EndpointConnector``.
  public var endpoint: String?
  /// The file with the token that the endpoint asks for.
  public var tokenFile: String?
  /// What the model shall answer; a program says itself.
  public var feedback = Feedback.logits
  /// Images a request.
  public var queryBatch = 512
  /// Requests at once to an endpoint.
  public var connections = 4
  /// Seconds in which an endpoint or a program must answer a request.
  public var timeout = 60.0
  /// Tries of a request that fails for a while.
  public var tries = MeteredBlackBox.Patience().tries
  /// The most images a second that the model is asked about; nil: any number.
  public var queryRate: Double?
  /// Wait as long as the model asks for, also for more than a minute; such a try does not count.
  public var waitQuota = false
  /// Cut pixels off at 0 and 1 before the model sees them: a part of the classifier that is certified.
  public var clip = false
  public var form = EndpointForm()

  /// The keys of settings that answers do not depend on: where the model is reached, and how patiently.
  static let revisable: Set<String> = [
    "endpoint", "token-file", "ca-file", "connections", "timeout", "tries", "query-rate", "wait-quota"
  ]

  public init() {}

  /// - Throws: `InputError` for a value out of its range, or if not one model is named.
  public func validate() throws(InputError) {
    guard [weights, program, endpoint].count(where: { $0 != nil }) == 1 else {
      throw InputError(
        "the model is named by either weights, program or endpoint", at: "weights", expected: "one of them",
        found: weights ?? program ?? endpoint == nil ? "none" : "several")
    }
    let first = form.given.first ?? (tokenFile == nil ? nil : "token-file")
    if let first, endpoint == nil {
      throw InputError("this describes an endpoint", at: first, remedy: "name the endpoint too")
    }
    try requireSetting(queryBatch > 0, "query-batch", "at least 1", queryBatch)
    try requireSetting(connections > 0, "connections", "at least 1", connections)
    try requireSetting(timeout > 0, "timeout", "above 0", timeout)
    try requireSetting(tries > 0, "tries", "at least 1", tries)
    try requireSetting(queryRate ?? 1 > 0, "query-rate", "above 0", queryRate ?? 0)
    try form.validate()
  }

  /// Whether the model is somebody else's, of whose answers nothing is known.
  public var isForeign: Bool { weights == nil }

  var patience: MeteredBlackBox.Patience {
    var patience = MeteredBlackBox.Patience()
    patience.tries = tries
    patience.rate = queryRate
    patience.waitsForQuota = waitQuota
    return patience
  }

  /// Tells the weights from others.
  func version() throws(InputError) -> String {
    try weights.map { path throws(InputError) in
      String(try Fingerprint.sha256(ofFile: URL(filePath: path)).prefix(12))
    } ?? ""
  }

  /// The network whose weights are at hand.
  func network(
    for dataset: ImageDataset, on device: Device, _ console: RunConsole
  ) throws(InputError) -> Network {
    guard let weights else {
      throw InputError(
        "a first-order method needs the model's weights", at: program == nil ? "endpoint" : "program",
        remedy: "choose zo-ds or zo-ae-ds")
    }
    return try ModelFile(path: weights, model: model, for: dataset, on: device, console).network
  }

  /// The model as a black box.
  /// - Parameters:
  ///   - dataset: What it is to be asked about.
  ///   - dtype: In which a network at hand computes: float32 for training, as differences of 16-bit answers say little
  ///     about a slope.
  ///   - batchSize: What a network at hand is made fast for.
  ///   - device: Where that is.
  ///   - lab: Has the ``EndpointConnector``.
  /// - Throws: `InputError` if the model cannot be reached, or knows other classes than the data set's.
  func blackBox(
    for dataset: ImageDataset, dtype: DType, batchSize: Int, on device: Device, in lab: Lab
  ) throws -> any BlackBox {
    let model: any BlackBox
    if weights != nil {
      model = LocalBlackBox(
        try network(for: dataset, on: device, lab.console), feedback: feedback, version: try version(),
        batchSize: batchSize, dtype: dtype)
    } else if let endpoint {
      guard let connector = lab.service((any EndpointConnector).self) else {
        throw InputError(
          "nothing here speaks HTTP", at: "endpoint", found: endpoint,
          remedy: "add an EndpointConnector to the lab's services")
      }
      model = try connector.connect(to: endpoint, self, for: dataset)
    } else {
      model = try ProgramBlackBox((program ?? "").split(separator: " ").map(String.init), timeout: timeout)
    }
    guard model.classes == dataset.classNames.count else {
      throw InputError(
        "the model knows another number of classes than \(dataset.name)", at: endpoint ?? program ?? weights,
        expected: "\(dataset.classNames.count)", found: "\(model.classes)",
        remedy: "name the data set that it was trained on")
    }
    return clip ? ClippedBlackBox(model) : model
  }
}

/// Reaches models over HTTP, which this library does not speak: one of a lab's services.
public protocol EndpointConnector: Sendable {
  /// - Parameters:
  ///   - endpoint: The model's URL.
  ///   - settings: What else is known of the model, and how it is to be asked.
  ///   - dataset: What it is to be asked about.
  /// - Throws: `InputError` if the endpoint is out of reach, or no classifier of such images.
  func connect(
    to endpoint: String, _ settings: BlackBoxSettings, for dataset: ImageDataset
  ) throws -> any BlackBox
}

/// What is known of an endpoint that its metadata do not say, or not truly.
public struct EndpointForm: InlineGroup, Hashable, Sendable {
  /// The name of the input for images; nil: its only one.
  public var input: String?
  /// The name of the output for classes; nil: the one that fits.
  public var output: String?
  /// Classes that it tells apart; nil: as its metadata or the data set say.
  public var classes: Int?
  /// The order of its pixels; nil: as its metadata say.
  public var layout: PixelForm.Layout?
  /// The type of its pixels, of ``PixelForm/datatypes``; nil: as its metadata say.
  public var datatype: InferenceTensor.DataType?
  /// What pixels in [0, 1] are multiplied by; nil: 255 for whole numbers, 1 for others.
  public var scale: Double?
  /// What is then subtracted, a number or one a channel; nil: 0.
  public var mean: [Double]?
  /// What is then divided by, a number or one a channel; nil: 1.
  public var std: [Double]?
  /// Certificates in PEM form to trust beside the system's.
  public var caFile: String?

  public init() {}

  /// The keys that have a value.
  var given: [String] {
    let values: KeyValuePairs<String, Any?> = [
      "input": input, "output": output, "classes": classes, "layout": layout, "datatype": datatype, "scale": scale,
      "mean": mean, "std": std, "ca-file": caFile
    ]
    return values.filter { $0.value != nil }.map(\.key)
  }

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting(classes ?? 2 > 1, "classes", "at least 2", classes ?? 0)
    try requireSetting(scale ?? 1 > 0 && scale ?? 1 < .infinity, "scale", "above 0", scale ?? 0)
    try requireSetting(mean?.allSatisfy(\.isFinite) ?? true, "mean", "numbers", mean ?? [])
    try requireSetting(std?.allSatisfy { $0.isFinite && $0 != 0 } ?? true, "std", "numbers other than 0", std ?? [])
    if let datatype {
      try requireSetting(
        PixelForm.datatypes.contains(datatype), "datatype",
        PixelForm.datatypes.map(\.rawValue).joined(separator: ", "), datatype.rawValue)
    }
  }
}
