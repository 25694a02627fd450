import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchCryoLearning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct CryoPredictorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predictor",
    abstract: "Predict holes' resolution from their pictures.",
    discussion: """
      Examples:
        quench cryo predictor synthesize --out synthetic        pictures to try it on
        quench cryo predictor train --images synthetic/images \\
          --survey synthetic/survey.csv
        quench cryo predictor predict \\
          --weights runs/cryo-predictor/model.safetensors \\
          --images new/images --out predictions.txt
      """,
    subcommands: [PredictorTrainCommand.self, PredictorPredictCommand.self, PredictorSynthesizeCommand.self])
}

struct PredictorSynthesizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "synthesize",
    abstract: "Draw made-up pictures of holes with a made-up CTF, and say so everywhere.",
    discussion: """
      Ice of uneven thickness, broken and empty holes and ice crystals; thick, thin
      or dirty ice makes the CTF bad. Nothing here comes from a microscope: it is for
      trying things out, not for figures.
      """)

  @Option(help: "Atlas tiles.") var tiles = SyntheticGrid().tiles
  @Option(help: "Squares of a tile.") var squares = SyntheticGrid().squaresPerTile
  @Option(help: "Patches of a square.") var patches = SyntheticGrid().patchesPerSquare
  @Option(help: "Holes of a patch.") var holes = SyntheticGrid().holesPerPatch
  @Option(help: "Height and width of a picture in pixels.") var side = 150
  @Option(help: "png or mrc.") var format = SyntheticGrid.PictureFormat.png
  @Option(help: "Seed of every random choice.") var seed = 1
  @Option(help: ArgumentHelp("Folder for pictures and survey.", valueName: "dir"), completion: .directory)
  var out: String
  @OptionGroup var output: OutputOptions

  func run() throws {
    let url = URL(filePath: out, directoryHint: .isDirectory)
    try RunFolder.check(url, resume: false)
    var grid = SyntheticGrid()
    (grid.tiles, grid.squaresPerTile, grid.patchesPerSquare, grid.holesPerPatch) = (tiles, squares, patches, holes)
    grid.seed = UInt64(bitPattern: Int64(seed))
    let count = try grid.holes().count
    var line = ProgressLine("Drawing", total: count, unit: "pictures", style: output.progress)
    try grid.write(to: url, format: format, side: side) { done, _ in line.update(done) }
    line.finish()
    output.printResult(
      ["synthetic": true, "holes": .int(count), "folder": .string(out)],
      "\(NumberText.count(count, "SYNTHETIC picture")), no microscope involved\nimages  \(out)/images\nsurvey  \(out)/survey.csv"
    )
  }
}

struct PredictorTrainCommand: ExperimentCommand {
  typealias Work = TrainPredictor

  private static let standard = PredictorRecipe()

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a predictor on pictures of holes whose CTF was measured.",
    discussion: """
      Examples:
        quench cryo predictor train --images images --survey train.csv \\
          --validation-survey val.csv --weights resnet50-imagenet.pt
        quench cryo predictor train --images images --survey train.csv \\
          --classes 6 --balance
        quench cryo predictor train --images images --survey train.csv --side 64 \\
          --model resnet18-imagenet --epochs 10          small enough for a processor

      Pictures are PNG, JPEG or MRC files named after their holes. The defaults are
      those of cryoRL's released code. With a validation survey the weights of the
      epoch with the lowest loss on it are kept. Writes model.safetensors,
      predictions.txt, metrics.jsonl, summary.json, config.yaml and report.html.

      predictions.txt is of the validation survey. Without one it is of the training
      survey, and cross-fitted: each part (--folds) is predicted by another network,
      trained on the other parts, so that planners may learn from it how good
      predictions are. These networks are not kept.
      """)

  @Option(help: ArgumentHelp("Folder of pictures.", valueName: "dir"), completion: .directory)
  var images: String

  @Option(help: ArgumentHelp("Holes with their measured CTF.", valueName: "csv"), completion: .file())
  var survey: String

  @Option(help: ArgumentHelp("Other holes, to choose the epoch by.", valueName: "csv"), completion: .file())
  var validationSurvey: String?

  @Option(help: "The network; published ones are resnet18-imagenet and resnet50-imagenet.")
  var model = ModelName.resnet50ImageNet

  @Option(
    help: ArgumentHelp("Weights to begin with, such as ImageNet's: all but the last layer.", valueName: "file"),
    completion: .file())
  var weights: String?

  @Option(
    help: ArgumentHelp("Tell classes apart instead, which end at these resolutions: 6 or 4,8.", valueName: "Å"))
  var classes: String?

  @Flag(help: "With --classes: each class counts the same, however rare it is.")
  var balance = false

  @Option(help: "Of regression: l2, l1 or smooth-l1.")
  var loss = standard.loss

  @Option(help: "Height and width that the network sees.")
  var side = 224

  @Option(help: ArgumentHelp("Å up to which a hole counts as good in the metrics.", valueName: "Å"))
  var threshold = 6.0

  @Option(help: "Times that every picture is seen.") var epochs = standard.epochs
  @Option(help: "Pictures a step.") var batchSize = standard.batchSize
  @Option(help: "The learning rate at the start; it falls to 0 by a cosine.") var learningRate = standard
    .learningRate
  @Option(help: "Momentum of gradient descent.") var momentum = standard.momentum
  @Option(help: "L2 penalty on every parameter.") var weightDecay = standard.weightDecay

  @Option(
    help: ArgumentHelp(
      """
      Without a validation survey: parts that are predicted by networks trained on the others, which takes n - 1 \
      trainings more; 0: none.
      """, valueName: "n"))
  var folds = 2

  @Option(help: ArgumentHelp("The least share of a picture that a random crop keeps.", valueName: "fraction"))
  var leastCrop = HoleAugmentation().area.lowerBound

  @Flag(inversion: .prefixedNo, help: "Crop, mirror and brighten training pictures at random.")
  var augmentation = true

  @Option(help: ArgumentHelp("Seconds between checkpoints inside an epoch.", valueName: "seconds"))
  var checkpointInterval = 60.0

  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }
  var lab: Lab {
    get throws {
      var lab = try options.machine.lab(options.output)
      lab.checkpointInterval = checkpointInterval
      return lab
    }
  }
}

struct PredictorPredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Predict holes from their pictures, as text that the planner reads.",
    discussion: """
      Example:
        quench cryo predictor predict --weights model.safetensors --images images \\
          --survey survey.csv --out predictions.txt

      A line a hole: its name and the resolution in Å, or the probabilities of the
      classes from best to worst.
      """)

  @Option(help: ArgumentHelp("What 'train' wrote.", valueName: "file"), completion: .file())
  var weights: String

  @Option(help: ArgumentHelp("Folder of pictures.", valueName: "dir"), completion: .directory)
  var images: String

  @Option(
    help: ArgumentHelp("Which holes; all pictures of the folder unless given.", valueName: "csv"),
    completion: .file())
  var survey: String?

  @Option(help: ArgumentHelp("The file to write.", valueName: "txt"), completion: .file())
  var out: String

  @Option(help: "Pictures that are looked at once.") var batchSize = 64
  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard batchSize > 0 else { throw ValidationError("--batch-size must be at least 1.") }
    _ = try machine.layerPrecision
  }

  func run() throws {
    let device = try machine.prepare()
    let predictor = try CTFPredictor(contentsOf: URL(filePath: weights), device: device)
    let holes = try survey.map { try SurveyFile(contentsOf: URL(filePath: $0)).survey.holes.map(\.name) }
    let pictures = try HoleImages.read(
      URL(filePath: images, directoryHint: .isDirectory), holes: holes, side: predictor.pictureSide, output.console)
    var line = ProgressLine("Predicting", total: pictures.count, unit: "pictures", style: output.progress)
    let clock = ContinuousClock.now
    let predictions = predictor.predict(pictures, batchSize: batchSize, precision: try machine.layerPrecision) {
      line.update($0)
    }
    let seconds = (ContinuousClock.now - clock) / .seconds(1)
    line.finish()
    try AtomicFile.write(Data(PredictionFile.text(pictures.names, predictions).utf8), to: URL(filePath: out))
    output.printResult(
      [
        "holes": .int(pictures.count), "images_per_second": .double(Double(pictures.count) / seconds),
        "file": .string(out)
      ],
      "\(NumberText.count(pictures.count, "hole")), \(Wording.count(Double(pictures.count) / seconds)) pictures a second\n"
        + out)
  }
}

extension SyntheticGrid.PictureFormat: ExpressibleByArgument {}
extension PredictorRecipe.Loss: ExpressibleByArgument {}
