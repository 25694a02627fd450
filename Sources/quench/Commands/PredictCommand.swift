import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a network takes pictures for.
struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Tell the classes of pictures of any size.",
    discussion: """
      The weights are a model file, what torch.save wrote (with --model), or a network
      that torch.export.save wrote. Pictures of another size than the network's are
      resized until they cover it with a margin of 1/7, and the middle is cut out. A
      picture that cannot be read is warned of and left out.

      With --json: an array, in the order of the file names, of
        {"file": "a.png", "top": [{"class": 3, "label": "cat", "probability": 0.9}]}

      Examples:
        quench predict photo.jpg --weights runs/train/model.safetensors
        quench predict pictures --weights net.pt2 --mean imagenet --std imagenet \\
          --classes labels.txt --json
      """)

  @ArgumentParser.Argument(help: "Pictures, or folders of pictures: JPEG or PNG.", completion: .file())
  var pictures: [String]

  @Option(
    help: ArgumentHelp(
      "Weights: safetensors, what torch.save wrote, or what torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @Option(help: ArgumentHelp("How many classes to tell of each picture.", valueName: "n"))
  var top = 5

  @Option(help: "The size of the network's images, where it takes several: 224, or height x width such as 240x320.")
  var imageSize: PictureSides?

  @Option(
    help: ArgumentHelp("Resize the shorter side to n pixels before the middle is cut out.", valueName: "n"))
  var resize: Int?

  @OptionGroup var normalization: NormalizationOptions

  @Option(help: ArgumentHelp("Names of the classes, one a line.", valueName: "file"), completion: .file())
  var classes: String?

  @Option(help: "Pictures classified at a time.")
  var batchSize = 64

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  func validate() throws {
    guard !pictures.isEmpty else { throw ValidationError("Name a picture or a folder of pictures.") }
    guard top >= 1 else { throw ValidationError("--top must be at least 1.") }
    guard batchSize >= 1 else { throw ValidationError("--batch-size must be at least 1.") }
    if let resize, !(1...8192).contains(resize) { throw ValidationError("--resize must be 1 to 8192.") }
  }

  func run() throws {
    let device = try machine.prepare()
    let files = try PicturePredictor.pictures(at: pictures)
    let labels = try classes.map { try ClassLabels(contentsOf: URL(filePath: $0)).names }
    let named = try model.map { name throws(InputError) in
      let channels = name.model.usualArchitecture.inputShape[0]
      let shape = imageSize.flatMap { ImageShape("\(channels)x\($0.height)x\($0.width)") }
      return try name.model.architecture(input: shape, classes: labels?.count)
    }
    let file = try ModelFile(
      contentsOf: URL(filePath: weights), architecture: named, normalization: normalization.value, device: device)
    output.tell(file, at: weights)
    let network = file.network
    if let imageSize { try fit(network, imageSize) }
    var predictor = try PicturePredictor(
      network, classNames: labels ?? file.classNames, resize: resize,
      dtype: machine.precision == .bfloat16 ? .bfloat16 : .float32, at: weights)
    (predictor.top, predictor.batchSize) = (top, batchSize)
    let results = try predictor(files) { output.note("warning: \($0)") }
    print(output.json ? Value.array(results.map { Self.record($0.file, $0.guesses) }).json() : Self.text(results))
  }

  private func fit(_ network: Network, _ size: PictureSides) throws(InputError) {
    let shape = [network.architecture.inputShape.first ?? 3, size.height, size.width]
    guard shape != network.architecture.inputShape else { return }
    guard network.isImported, network.architecture.accepts(imageShape: shape) else {
      throw InputError(
        "the network takes images of one size alone", at: weights, expected: network.architecture.inputText,
        found: "\(size)", remedy: "leave --image-size out: pictures are resized to the network's size")
    }
    try network.adapt(to: shape)
  }

  private static func record(_ file: URL, _ guesses: [PicturePredictor.Guess]) -> Value {
    let top = guesses.map { guess -> Value in
      .object([
        "class": .int(guess.index), "label": guess.label.map { .string($0) } ?? .null,
        "probability": .double(guess.probability)
      ])
    }
    return .object(["file": .string(file.relativePath), "top": .array(top)])
  }

  private static func text(_ results: [(file: URL, guesses: [PicturePredictor.Guess])]) -> String {
    results.map { file, guesses in
      let lines = guesses.map { guess in
        "  \(NumberText.percent(guess.probability))  \(guess.label ?? "class \(guess.index)")"
      }
      return ([file.relativePath] + lines).joined(separator: "\n")
    }
    .joined(separator: "\n")
  }
}

/// Height and width: `224` or `240x320`.
struct PictureSides: Hashable, LosslessStringConvertible, ExpressibleByArgument, Encodable {
  var height: Int
  var width: Int

  init?(_ text: String) {
    let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard let height = sides.first ?? nil, let width = sides.last ?? nil, sides.count <= 2,
      [height, width].allSatisfy({ (1...4096).contains($0) })
    else { return nil }
    (self.height, self.width) = (height, width)
  }

  var description: String { height == width ? "\(height)" : "\(height)x\(width)" }
}

/// What pixels are normalized by, where a file of weights does not say.
struct NormalizationOptions: ParsableArguments {
  @Option(
    help: """
      Means that pixels in [0, 1] are normalized by, in place of what the file of weights says: a number a channel \
      (0.485,0.456,0.406), or imagenet, cifar10 or none.
      """)
  var mean: ChannelNumbers?

  @Option(help: "Standard deviations, likewise.")
  var std: ChannelNumbers?

  /// Nil where nothing is said.
  var value: Normalization? {
    get throws(InputError) {
      var pixels = PixelNormalization()
      (pixels.mean, pixels.std) = (mean, std)
      return try pixels.value
    }
  }

  func validate() throws { try requireUsage { _ = try value } }
}

extension ChannelNumbers: ExpressibleByArgument {}
