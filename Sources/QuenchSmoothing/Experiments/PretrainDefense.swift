import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a part of a defense without the model, or of a reconstructor: a model to defend.
public struct PretrainDefense: Experiment {
  public static let kind = "defend-pretrain"

  public enum Part: String, CaseIterable, Codable, Sendable {
    case autoencoder, denoiser, reconstructor
  }

  public var part = Part.autoencoder
  /// The autoencoder; nil: the usual one for images of this size.
  public var architecture: AutoencoderName?
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
    /// Test images.
    public var n: Int
    public var parameters: Int
    public var seconds: Double
    public var imagesPerSecond: Double
    /// Images that a model was asked about: none.
    public var queries: Int
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, learning.precision) }

  public func checked() throws(InputError) -> PretrainDefense {
    var experiment = self
    // A reconstructor has one task.
    if part == .reconstructor { experiment.task.kind = .reconstruction }
    try task.validate()
    try denoiser.validate()
    try learning.validate()
    experiment.recipe = try recipe.checked(for: experiment.task)
    return experiment
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let data = try learning.load(on: device, context.console)
    let measurement = task.measurement(of: data.train)
    let autoencoder = part == .autoencoder ? try freshAutoencoder(for: data, device) : nil
    let network = try freshNetwork(for: data, device)
    let chain =
      autoencoder.map { [("encoder", $0.encoder), ("decoder", $0.decoder)] }
      ?? network.map { [(part.rawValue, $0)] } ?? []
    // A reconstructor learns from images to give them back from measurements; the others know measurements alone.
    let reconstructs = part == .reconstructor
    let test = reconstructs ? data.test : data.test.shown(by: measurement)
    let learner = Pretraining(
      chain, on: reconstructs ? data.train : data.train.shown(by: measurement), recipe: recipe,
      noise: part == .denoiser ? recipe.sigma : 0, measurement: reconstructs ? measurement : nil,
      seed: learning.seedBits, precision: learning.precision)
    let folder = try context.open(inputs: data.inputs)
    let cost = try context.session("Training", in: folder).run(learner)
    try autoencoder?.write(to: folder.url)
    if let network { try ModelFile(network).write(to: folder.artefact("\(part.rawValue).safetensors")) }
    return Outcome(
      part: part, data: data.test.name, epochs: recipe.epochs, testMse: learner.error(on: test), n: test.count,
      parameters: chain.reduce(0) { $0 + $1.1.architecture.parameterCount }, seconds: cost.seconds,
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
