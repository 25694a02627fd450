import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct DefendPretrainCommand: ParsableCommand {
  enum Part: String, CaseIterable, ExpressibleByArgument {
    case autoencoder, denoiser, reconstructor
  }

  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract:
      "Train a defence's autoencoder or denoiser to give back images, without the model; or a reconstructor.",
    discussion: """
      Examples:
        quench defend pretrain autoencoder --out runs/autoencoder
        quench defend pretrain denoiser --sigma 0.25 --out runs/denoiser
        quench defend pretrain reconstructor --data mnist --out runs/reconstructor
        quench defend pretrain autoencoder --data mnist --task reconstruction \\
          --out runs/autoencoder

      The autoencoder learns from clean images (stage 1), the denoiser from noisy
      ones, both by the mean squared error. It costs no query. The reconstructor is
      a model to defend: it gives back 28x28 grey images from linear measurements of
      them. Writes encoder.safetensors and decoder.safetensors, denoiser.safetensors
      or reconstructor.safetensors.
      """)

  @ArgumentParser.Argument(help: "autoencoder, denoiser or reconstructor.")
  var part: Part

  @Option(help: "The autoencoder; by default the usual one for images of this size.")
  var architecture: AutoencoderName?

  @OptionGroup(title: "Task") var task: TaskOptions
  @OptionGroup(title: "Denoiser") var denoiser: DenoiserOptions
  @OptionGroup(title: "Recipe") var recipe: DefenseRecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func run() throws {
    let run = options.run
    let url = try run.folder(named: part.rawValue)
    let device = try run.machine.prepare()
    let data = try options.load(on: device)
    let measurement = chosenTask.measurement(of: data.train)
    let autoencoder =
      part == .autoencoder ? try Defense.Autoencoder.fresh(architecture, for: data, run, device) : nil
    let network = try network(for: data, device)
    let chain =
      autoencoder.map { [("encoder", $0.encoder), ("decoder", $0.decoder)] }
      ?? network.map { [(part.rawValue, $0)] } ?? []
    // A reconstructor learns from images to give them back from measurements; the others know measurements alone.
    let reconstructs = part == .reconstructor
    let test = reconstructs ? data.test : data.test.shown(by: measurement)
    let learner = Pretraining(
      chain, on: reconstructs ? data.train : data.train.shown(by: measurement),
      recipe: chosenTask.recipe(recipe.recipe),
      noise: part == .denoiser ? recipe.sigma : 0, measurement: reconstructs ? measurement : nil,
      seed: run.seedBits,
      precision: run.machine.precision)
    let record = RunRecord.current(settings, inputs: data.inputs, device: device)
    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      let outcome = try options.session("Training", in: folder, resumes: run.resume).run(learner)
      try autoencoder?.write(to: folder.url)
      if let network { try ModelFile(network).write(to: folder.artefact("\(part.rawValue).safetensors")) }
      return [
        "part": .string(part.rawValue), "data": .string(data.test.name), "epochs": .int(recipe.epochs),
        "test_mse": .double(learner.error(on: test)), "n": .int(test.count),
        "parameters": .int(chain.reduce(0) { $0 + $1.1.architecture.parameterCount }),
        "seconds": .double(outcome.seconds), "images_per_second": .double(outcome.imagesPerSecond),
        "queries": .int(0)
      ]
    }
    run.output.printResult(
      summary,
      """
      mean squared error  \(NumberText.plain(summary["test_mse"]?.number ?? .nan)) on test images
      training            \(Wording.duration(summary["seconds"]?.number)), \
      \(Wording.count(summary["images_per_second"]?.number)) images a second
      folder              \(url.relativePath)
      """)
  }

  /// A reconstructor has one task.
  private var chosenTask: TaskOptions {
    var task = task
    if part == .reconstructor { task.task = .reconstruction }
    return task
  }

  /// The fresh network of a part that is one.
  private func network(for data: LearningData, _ device: Device) throws(InputError) -> Network? {
    let seed = options.run.seedBits
    switch part {
    case .autoencoder: return nil
    case .denoiser: return denoiser.denoiser.network(input: data.train.imageShape, seed: seed, device: device)
    case .reconstructor:
      let architecture = Architecture.reconstructor
      guard data.train.imageShape == architecture.inputShape else {
        throw InputError(
          "the reconstructor does not take the images of \(data.train.name)", at: "--data",
          expected: "\(architecture.inputShape), as of mnist and fashion-mnist", found: "\(data.train.imageShape)")
      }
      return Network(architecture, seed: seed, device: device)
    }
  }

  private var settings: Record {
    var settings: Record = ["part": .string(part.rawValue)]
    settings["architecture"] = architecture.map { .string($0.rawValue) }
    if part == .denoiser { settings.merge(denoiser.settings) }
    settings.merge(recipe.settings)
    settings.merge(chosenTask.settings)
    settings.merge(options.settings)
    return settings
  }
}

extension Defense.Autoencoder {
  /// A fresh one for a data set's images.
  /// - Throws: `InputError` if none takes such images.
  static func fresh(
    _ name: AutoencoderName?, for data: LearningData, _ run: RunOptions, _ device: Device
  ) throws(InputError) -> Defense.Autoencoder {
    let shape = data.train.imageShape
    guard let name = name ?? AutoencoderName.usual(for: shape), name.inputShape == shape else {
      throw InputError(
        "the autoencoder does not take the images of \(data.train.name)", at: "--architecture",
        expected: AutoencoderName.allCases.filter { $0.inputShape == shape }.map(\.rawValue).joined(
          separator: ", "),
        found: name?.rawValue ?? "none for images \(shape)")
    }
    return Defense.Autoencoder(name, seed: run.seedBits, device: device)
  }
}
