import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a part of a defense without the model, or of a reconstructor: a model to defend.
public struct PretrainDefense: Experiment {
  public static let kind = "defend-pretrain"
  public static let isShared = true

  public enum Part: String, CaseIterable, Codable, Sendable {
    case autoencoder, denoiser, reconstructor
  }

  public var part = Part.autoencoder
  /// The autoencoder; nil: the usual one for images of this size.
  public var architecture: AutoencoderName?
  /// In place of ``architecture``, the autoencoder of so many ``PrincipalComponents``, in which only the recipe's epochs,
  /// batch size and augmentation have a part, in float32; nil: none.
  public var components: Int?
  /// The folder of a trained denoiser: the autoencoder learns from what it makes of noisy images; nil: from clean ones.
  public var denoisedBy: String?
  /// The file of weights of the model to defend, which is tested on what the part gives back; nil: none is.
  public var weights: String?
  /// The network that these weights belong to, where their file does not say.
  public var model: ModelName?
  public var task = DefenseTask()
  public var denoiser = Denoiser()
  public var recipe = DefenseRecipe.ofRuns
  public var learning = LearningSettings()

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var part: Part
    public var data: String
    public var epochs: Int
    /// The mean squared error on the test images.
    public var testMse: Double
    /// The model's on what the part gives back of the test images; nil where none was named.
    public var modelAccuracy: AccuracyFigure?
    /// Test images.
    public var n: Int
    public var parameters: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    /// Images that a model was asked about: none.
    public var queries: Int
  }

  public func versions(on device: String) -> Record {
    tensorVersions(on: device, components == nil ? learning.precision : .float32)
  }

  public func checked() throws(InputError) -> PretrainDefense {
    var experiment = self
    // A reconstructor has one task.
    if part == .reconstructor { experiment.task.kind = .reconstruction }
    try task.validate()
    try denoiser.validate()
    try learning.validate()
    if denoisedBy != nil {
      try requireSetting(part == .autoencoder, "denoised-by", "the part autoencoder", part.rawValue)
    }
    if let components {
      try requireSetting(part == .autoencoder, "components", "the part autoencoder", part.rawValue)
      try requireSetting(
        architecture == nil, "architecture", "nothing beside components", architecture?.rawValue ?? "")
      try requireSetting(denoisedBy == nil, "denoised-by", "nothing beside components", denoisedBy ?? "")
      try requireSetting(components > 0, "components", "at least 1", components)
      try requireSetting(
        learning.precision != .bfloat16, "precision", "float32 or auto beside components",
        learning.precision.rawValue)
      var plain = DefenseRecipe.ofRuns
      (plain.epochs, plain.batchSize, plain.augmentation) = (recipe.epochs, recipe.batchSize, recipe.augmentation)
      (plain.sigma, plain.adamEpochs) = (recipe.sigma, recipe.adamEpochs)
      guard plain == recipe, [nil, recipe.epochs].contains(recipe.adamEpochs) else {
        throw InputError(
          "principal components are computed, and follow no gradient", at: "components",
          expected: "no setting of the recipe but epochs, batch size and augmentation",
          found: "an optimizer's")
      }
    }
    if let model { try requireSetting(weights != nil, "weights", "a file of \(model.rawValue)", "nothing") }
    if weights != nil {
      try requireSetting(
        experiment.task.kind == .classification, "weights", "the task classification", experiment.task.kind.rawValue
      )
    }
    experiment.recipe = try recipe.checked(for: experiment.task)
    return experiment
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let data = try learning.load(on: device, context.console)
      .shared(in: context.world, batchSize: recipe.batchSize)
    let measurement = task.measurement(of: data.train)
    let components = try components.map { count throws(InputError) in
      try PrincipalComponents(
        count, of: data.train.shown(by: measurement), recipe: recipe, seed: learning.seedBits)
    }
    let autoencoder =
      try components.map(\.autoencoder) ?? (part == .autoencoder ? freshAutoencoder(for: data, device) : nil)
    let network = try freshNetwork(for: data, device)
    let chain =
      autoencoder.map { [("encoder", $0.encoder), ("decoder", $0.decoder)] }
      ?? network.map { [(part.rawValue, $0)] } ?? []
    for (_, network) in chain { network.world = context.world }
    let trained = try trainedDenoiser(for: data, device)
    let classifier = try weights.map { path throws(InputError) in
      InferencePlan(
        try ModelFile(path: path, model: model, for: data.test, on: device, context.console).network,
        dtype: .float32)
    }
    // A reconstructor learns from images to give them back from measurements; the others know measurements alone.
    let reconstructs = part == .reconstructor
    let test = reconstructs ? data.test : data.test.shown(by: measurement)
    let learner = Pretraining(
      chain, on: reconstructs ? data.train : data.train.shown(by: measurement), recipe: recipe,
      noise: part == .denoiser || trained != nil ? recipe.sigma : 0, measurement: reconstructs ? measurement : nil,
      denoiser: trained, seed: learning.seedBits, precision: learning.precision)
    let files: KeyValuePairs = [
      "weights": weights, "denoised-by": denoisedBy.map { Self.denoiserFile(in: $0).path }
    ]
    let folder = try context.open(inputs: data.inputs.merging(Fingerprint.inputs(files)))
    let trainee: any Learner = components ?? learner
    let cost = try context.session("Training", in: folder).run(trainee)
    try autoencoder?.write(to: folder.url)
    if let network { try ModelFile(network).write(to: folder.artefact("\(part.rawValue).safetensors")) }
    return Outcome(
      part: part, data: data.test.name, epochs: recipe.epochs, testMse: learner.error(on: test),
      modelAccuracy: classifier.map { AccuracyFigure(learner.accuracy(of: $0.callAsFunction, on: test)) },
      n: test.count, parameters: chain.reduce(0) { $0 + $1.1.architecture.parameterCount }, seconds: cost.seconds,
      imagesPerSecond: cost.imagesPerSecond, queries: 0)
  }

  private func freshAutoencoder(
    for data: LearningData, _ device: Device
  ) throws(InputError) -> Defense.Autoencoder {
    let shape = data.train.imageShape
    guard let name = architecture ?? AutoencoderName.usual(for: shape), name.inputShape == shape else {
      throw InputError(
        "the autoencoder does not take the images of \(data.train.name)", at: "architecture",
        expected: AutoencoderName.allCases.filter { $0.inputShape == shape }.map(\.rawValue)
          .joined(separator: ", "),
        found: architecture?.rawValue ?? "none for images \(shape)")
    }
    return Defense.Autoencoder(name, seed: learning.seedBits, device: device)
  }

  private static func denoiserFile(in folder: String) -> URL {
    URL(filePath: folder).appending(path: Defense.denoiserFileName)
  }

  /// The denoiser that the autoencoder stands behind.
  private func trainedDenoiser(for data: LearningData, _ device: Device) throws(InputError) -> Network? {
    guard let denoisedBy else { return nil }
    let network = try ModelFile(contentsOf: Self.denoiserFile(in: denoisedBy), device: device).network
    let (input, output) = (network.architecture.inputShape, network.architecture.outputShape)
    guard input == data.train.imageShape, output == input else {
      throw InputError(
        "this is no denoiser of \(data.train.name)", at: denoisedBy,
        expected: "images \(data.train.imageShape) to images",
        found: "\(input) to \(output)")
    }
    return network.foldingBatchNorm()
  }

  /// The fresh network of a part that is one.
  private func freshNetwork(for data: LearningData, _ device: Device) throws(InputError) -> Network? {
    switch part {
    case .autoencoder: return nil
    case .denoiser: return denoiser.network(input: data.train.imageShape, seed: learning.seedBits, device: device)
    case .reconstructor:
      let architecture = Architecture.reconstructor
      guard data.train.imageShape == architecture.inputShape else {
        throw InputError(
          "the reconstructor does not take the images of \(data.train.name)", at: "data",
          expected: "\(architecture.inputShape), as of mnist and fashion-mnist", found: "\(data.train.imageShape)")
      }
      return Network(architecture, seed: learning.seedBits, device: device)
    }
  }
}
