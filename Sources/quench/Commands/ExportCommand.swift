import ArgumentParser
import Foundation
import QuenchExport
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct ExportCommand: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument {
    case onnx, sparse, safetensors
  }

  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a network for other programs, or pack a pruned one.",
    discussion: """
      onnx          for onnxruntime and the like: pixels in [0, 1] in, logits out,
                    any batch size, normalization inside
      sparse        safetensors that store a tensor of many zeros as a bitmask and the
                    nonzero values; every quench command reads it
      safetensors   plain, for PyTorch and others

      A file of weights alone needs the name of its network, and what a network file
      says itself: the input, the number of classes, and the data set whose mean
      and standard deviation normalize the pixels.

      Examples:
        quench export --weights model.safetensors --format onnx --out model.onnx
        quench export --weights pruned.safetensors --format sparse \\
          --out small.safetensors
        quench export --weights net.pt --model resnet20 --data cifar10 \\
          --format onnx --out net.onnx
        quench export --weights model.safetensors --format onnx --out small.onnx \\
          --precision int8 --calibration cifar10
      """)

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save or torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ModelName?

  @Option(help: "Size of --model's images: channels x height x width, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "Number of classes of --model.")
  var classes: Int?

  @Option(help: "The data set by whose statistics --model normalizes its images.")
  var data: DataName?

  @Option(help: "What to write.")
  var format: Format

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"), completion: .file())
  var out: String

  @Flag(help: "Overwrite the file if it exists.")
  var force = false

  @Flag(inversion: .prefixedNo, help: "Fold batch norm into the layer before it, in an ONNX file.")
  var fold = true

  @Option(help: "What an ONNX file computes in; int8 wants --calibration.")
  var precision = Bits.float32

  @OptionGroup var calibration: CalibrationOptions

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard precision == .float32 || format == .onnx else {
      throw ValidationError("--precision int8 is for --format onnx.")
    }
    _ = try calibration.images(for: precision)
    guard fold || format == .onnx else { throw ValidationError("--no-fold is for --format onnx.") }
    if let classes, !(1...100_000).contains(classes) { throw ValidationError("--classes must be 1 to 100000.") }
    guard model != nil || (input == nil && classes == nil && data == nil) else {
      throw ValidationError("--input, --classes and --data describe --model: give it as well.")
    }
  }

  func run() throws {
    let (source, target) = (URL(filePath: weights), URL(filePath: out))
    guard force || !FileManager.default.fileExists(atPath: target.path) else {
      throw InputError("the file exists", at: out, remedy: "choose another name, or overwrite it with --force")
    }
    let file = try ModelFile(contentsOf: source, named: try named)
    file.tell(output.console, at: weights)
    let network = file.network
    let bytesBefore = try source.fileSize()
    switch format {
    case .onnx:
      var export = ONNXExport()
      export.foldsBatchNorm = fold
      let pixels = try calibration.images(for: precision)?.pixels(for: network, nil, output.console)
      try export.write(network, classNames: file.classNames, calibration: pixels, to: target)
    case .sparse: try file.write(to: target, packsZeros: true)
    case .safetensors: try file.write(to: target)
    }
    let size = NetworkSize(of: network.architecture)
    report([
      "model": .string(network.architecture.name), "format": .string(format.rawValue), "weights": .string(weights),
      "out": .string(out), "bytes_before": .int(bytesBefore), "bytes_after": .int(try target.fileSize()),
      "parameters": .int(size.parameters), "prunable_weights": .int(size.prunableWeights),
      "zero_weights": .int(ModelsDescribeCommand.zeros(of: network))
    ])
  }

  /// What `--model` is; nil where the weights are to say.
  private var named: NamedNetwork? {
    get throws(InputError) {
      guard let model else { return nil }
      var named = try NamedNetwork(model, input: input?.sizes, classes: classes)
      guard let data else { return named }
      let architecture = try named.architecture()
      guard let statistics = data.statistics, statistics.mean.count == architecture.inputShape[0] else {
        throw InputError(
          "the data set does not say how such images are normalized", at: "--data",
          expected: "one with a published mean for \(architecture.inputShape[0]) channels", found: data.rawValue)
      }
      named.assumed = Normalization(statistics)
      named.assumedFrom = data.rawValue
      return named
    }
  }

  private func report(_ summary: Record) {
    func number(_ key: String) -> Double { summary[key]?.number ?? 0 }
    let zeros = number("zero_weights")
    var lines = [
      "network  \(summary["model"]?.string ?? ""), \(Wording.count(number("parameters"))) parameters, "
        + "\(NumberText.percent(zeros / max(number("prunable_weights"), 1))) of the prunable weights are zero",
      "before   \(Wording.count(number("bytes_before"))) bytes  \(weights)",
      "after    \(Wording.count(number("bytes_after"))) bytes  \(out), "
        + "\(NumberText.percent(number("bytes_after") / max(number("bytes_before"), 1))) of it"
    ]
    if format == .onnx, zeros > 0 {
      lines.append("An ONNX file stores a zero like any other number: zeros make it neither smaller nor faster.")
    }
    if format == .sparse, number("bytes_after") >= number("bytes_before") {
      lines.append("Nothing got smaller: no tensor has zeros enough, or the weights were packed before.")
    }
    output.printResult(summary, lines.joined(separator: "\n"))
  }
}
