import ArgumentParser
import Attacks
import Reporting
import Support
import Vision

extension AttackName: ExpressibleByArgument {}
extension Norm: ExpressibleByArgument {}
extension TargetPicker: ExpressibleByArgument {}
extension AutoAttack.Version: ExpressibleByArgument {}
extension AttackedModel.Knowledge: ExpressibleByArgument {}
extension AdversarialTraining.Method: ExpressibleByArgument {}

extension PixelBudget: ExpressibleByArgument {
  public init?(argument: String) { try? self.init(parsing: argument) }
  public var defaultValueDescription: String { description }
}

/// A list of budgets separated by commas.
struct PixelBudgets: ExpressibleByArgument, Encodable {
  let values: [PixelBudget]

  init(_ values: [PixelBudget]) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    values = parts.compactMap { PixelBudget(argument: String($0)) }
    guard values.count == parts.count, !values.isEmpty else { return nil }
  }

  var defaultValueDescription: String { values.map(\.description).joined(separator: ",") }

  func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }
}

/// Which network is attacked on which images, and how the evaluation goes.
struct AttackedOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save or torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @OptionGroup var pixels: NormalizationOptions

  @Option(help: "Images attacked at a time.")
  var batchSize = 250

  @Option(help: "The norm that the budget is measured in: linf, l2 or l1.")
  var norm: Norm?

  @Option(
    help: ArgumentHelp(
      "The clean accuracy that you expect, in [0, 1]: a difference of a point becomes a finding.",
      valueName: "fraction"))
  var expectedAccuracy: Double?

  @Flag(
    help:
      "Keep the broken images as 8-bit PNG files; their names say what the network answers to these.")
  var savePictures = false

  @Flag(
    help: "Keep the images that are broken as they were found: NumPy files of float32, [channels, height, width].")
  var saveArrays = false

  @Flag(help: "Search only among images of 8 bits, so that what deceives still does as a picture file.")
  var eightBit = false

  @Flag(
    inversion: .prefixedNo,
    help: "Try the images that are left with a short apgd-dlr, where no attack had its loss.")
  var probe = true

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var run: RunOptions
}

/// Training on adversarial images.
struct RobustnessOptions: ParsableArguments {
  @Option(help: "Train on adversarial images: fgsm-rs (one step from a random point) or pgd.")
  var adversarial: AdversarialTraining.Method?

  @Option(help: "The budget of these images, in pixel units (default: 8/255).")
  var adversarialEpsilon: PixelBudget?

  @Option(help: "Steps of pgd (default: 7).")
  var adversarialSteps: Int?
}
