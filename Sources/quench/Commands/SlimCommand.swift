import ArgumentParser
import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

struct SlimCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "slim",
    abstract: "Cut pruned channels out of a network to make it smaller and faster.",
    discussion: """
      A mask alone sets weights to zero; slimming takes whole filters and channels
      that a mask prunes out of every layer they pass through, and checks that the
      answers stay those of the masked network. Single zeros inside a filter stay.

      Policies for the streams that residual blocks add to, where layers share
      channels:
        inner-only     leave streams as they are (default)
        intersection   cut what the masks of all layers on a stream agree on
        group-score    choose a stream's channels by the scores of all its layers
        none           cut nothing, apply the mask

      Examples:
        quench slim --weights pruned.safetensors --mask mask.safetensors
        quench slim --weights pruned.safetensors --policy group-score --round-to 8
        quench slim --weights pruned.safetensors --silence --recalibrate 50
        quench slim --weights pruned.safetensors --keep-layer layer4 --json

      Writes model.safetensors, which loads like any other model and is fine-tuned by
      'quench train --initial', summary.json, config.yaml and report.html.
      """)

  @Option(
    help: ArgumentHelp("The pruned network: safetensors, or what torch.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(
    help: ArgumentHelp("Its mask; without one, every weight that is zero counts as masked.", valueName: "file"),
    completion: .file())
  var mask: String?

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ModelName?

  @Option(help: "With --model: channels x height x width of its images, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "With --model: its number of classes.")
  var classes: Int?

  @Option(help: "What may be cut: see above.")
  var policy = Slimming.Policy.innerOnly

  @Option(help: ArgumentHelp("Leave widths at multiples of n.", valueName: "n"))
  var roundTo = 1

  @Option(
    help: ArgumentHelp("A layer, or a block of layers, to leave as it is; may be repeated.", valueName: "name"))
  var keepLayer: [String] = []

  @Flag(help: "Zero what batch norms and biases add behind masked filters, so that these can be cut.")
  var silence = false

  @Option(
    help: ArgumentHelp(
      "Estimate batch norm's statistics anew on n batches of training images, and test before and after.",
      valueName: "n"))
  var recalibrate = 0

  @Option(help: "Images in a batch of --recalibrate.")
  var batchSize = 128

  @Flag(inversion: .prefixedNo, help: "Crop and mirror the images of --recalibrate at random, as training does.")
  var augmentation = true

  @Option(help: ArgumentHelp("Length of each of the rounds that latency is the median of.", valueName: "seconds"))
  var seconds = 0.2

  @OptionGroup(title: "Data of --recalibrate") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    func require(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
    try require((1...1024).contains(roundTo), "--round-to must be 1 to 1024.")
    try require(recalibrate >= 0, "--recalibrate must be 0 or more.")
    try require(batchSize > 1, "--batch-size must be at least 2, which batch norm needs.")
    try require((0...60).contains(seconds), "--seconds must be 0 to 60.")
    try require(classes.map { (1...100_000).contains($0) } ?? true, "--classes must be 1 to 100000.")
    try require(model != nil || input == nil && classes == nil, "--input and --classes need --model.")
  }

  func run() throws {
    let device = try options.machine.prepare()
    let url = try options.folder(named: "slim")
    var inputs: Record = ["weights": .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))]
    if let mask { inputs["mask"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: mask))) }
    var images: ImageData?
    let file: ModelFile
    if recalibrate > 0 {
      let loaded = try ImageData(data, holdOut: nil, seed: options.seedBits, on: device, options.output)
      inputs.merge(loaded.inputs)
      let classifier = model.map(ClassifierName.init(model:))
      file = try WeightsFile.load(weights, model: classifier, for: loaded.test, on: device, options.output)
      images = loaded
    } else {
      let named = try model.map { try $0.architecture(input: input, classes: classes) }
      file = try ModelFile(contentsOf: URL(filePath: weights), architecture: named, device: device)
      options.output.tell(file, at: weights)
    }
    let slim = SlimRun(
      slimming: slimming, file: file, mask: mask.map { URL(filePath: $0) }, images: images,
      batches: recalibrate, batchSize: batchSize, augmentation: augmentation ? Augmentation() : nil,
      seconds: seconds, options: options)

    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform(slim.perform)
    options.output.printResult(summary, SlimReport.text(summary, url))
  }

  var slimming: Slimming {
    var slimming = Slimming(policy: policy)
    slimming.roundTo = roundTo
    slimming.keptLayers = keepLayer
    slimming.silencesMaskedFilters = silence
    return slimming
  }

  private var settings: Record {
    var settings: Record = ["weights": .string(weights)]
    settings["mask"] = mask.map { .string($0) }
    settings["model"] = model.map { .string($0.rawValue) }
    settings["policy"] = .string(policy.rawValue)
    settings["round-to"] = .int(roundTo)
    settings["keep-layer"] = .array(keepLayer.map { .string($0) })
    settings["silence"] = .bool(silence)
    settings["recalibrate"] = .int(recalibrate)
    if recalibrate > 0 {
      settings["batch-size"] = .int(batchSize)
      settings["augmentation"] = .bool(augmentation)
      settings.merge(data.settings)
    }
    settings["seed"] = .int(options.seed)
    settings["precision"] = .string(options.machine.precision.rawValue)
    return settings
  }
}

extension Slimming.Policy: ExpressibleByArgument {}
