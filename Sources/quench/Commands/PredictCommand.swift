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
      that torch.export.save wrote. A picture of another size than the network's is resized
      until it covers it with a margin of 1/7, and the middle is cut out; one that
      says how the camera was held is turned upright. A picture that cannot be read is
      warned of and left out.

      With --json: an array, in the order of the file names, of
        {"file": "a.png", "top": [{"class": 3, "label": "cat", "probability": 0.9}]}
      and with --certify "certificate": {"class", "label", "radius"}, null where it
      abstains; with --red "suspicion", and "clean_as_suspicious", the share of clean
      images that are as suspicious.

      Examples:
        quench predict photo.jpg --weights runs/train/model.safetensors
        quench predict pictures --weights net.pt2 --mean imagenet --std imagenet \\
          --classes labels.txt --json
        quench predict photo.jpg --weights runs/noisy/model.safetensors --certify 0.25
      """)

  @ArgumentParser.Argument(
    help: "Pictures, or folders of pictures: JPEG, PNG, WebP, TIFF or BMP.", completion: .file())
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

  @OptionGroup var pictureOptions: PictureOptions
  @OptionGroup var pixels: NormalizationOptions

  @Option(help: "Pictures classified at a time.")
  var batchSize = 64

  @OptionGroup var inspection: InspectionOptions

  @OptionGroup(title: "Run") var machine: MachineOptions
  @OptionGroup(title: "Run") var output: OutputOptions

  func validate() throws {
    guard !pictures.isEmpty else { throw ValidationError("Name a picture or a folder of pictures.") }
    guard top >= 1 else { throw ValidationError("--top must be at least 1.") }
    guard batchSize >= 1 else { throw ValidationError("--batch-size must be at least 1.") }
    _ = try machine.layerPrecision
  }

  func run() throws {
    let device = try machine.prepare()
    let files = try PicturePredictor.pictures(at: pictures)
    let settings = pictureOptions.settings
    let named = try model.map { name throws(InputError) in
      let size = settings.imageSize ?? settings.crop
      return try NamedNetwork(name.model, input: size.map { [settings.channels ?? 3, $0.height, $0.width] })
    }
    let file = try ModelFile(
      contentsOf: URL(filePath: weights), named: named, normalization: pixels.value, device: device)
    output.tell(file, at: weights)
    var predictor = try PicturePredictor(
      file, labels: pixels.settings.labels(for:), pictures: settings,
      dtype: try machine.layerPrecision == .bfloat16 ? .bfloat16 : .float32, at: weights)
    (predictor.top, predictor.batchSize) = (top, batchSize)
    let inspect = try PictureInspection(
      inspection, size: predictor.size, classNames: predictor.classNames, on: device)
    let logits = predictor.logits
    let results = try predictor(
      files, warn: { output.note("warning: \($0)") }, inspect: { images in try inspect(images, logits: logits) })
    print(output.json ? Value.array(results.map(Self.record)).json() : Self.text(results))
  }

  private static func record(_ prediction: PicturePredictor.Prediction) -> Value {
    let top = prediction.guesses.map { guess -> Value in
      .object([
        "class": .int(guess.index), "label": guess.label.map { .string($0) } ?? .null,
        "probability": .double(guess.probability)
      ])
    }
    let record: Record = ["file": .string(prediction.file.relativePath), "top": .array(top)]
    return .object(record.merging(prediction.findings))
  }

  private static func text(_ results: [PicturePredictor.Prediction]) -> String {
    results.map { result in
      let lines = result.guesses.map { guess in
        "  \(NumberText.percent(guess.probability))  \(guess.label ?? "class \(guess.index)")"
      }
      return ([result.file.relativePath] + lines + PictureInspection.text(result.findings)).joined(separator: "\n")
    }
    .joined(separator: "\n")
  }
}
