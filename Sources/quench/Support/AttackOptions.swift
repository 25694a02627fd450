import ArgumentParser
import Attacks
import Foundation
import Reporting
import Support
import Torch
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
struct PixelBudgets: ExpressibleByArgument {
  /// Ascending.
  let values: [PixelBudget]

  init(_ values: [PixelBudget]) { self.values = values.sorted { $0.value < $1.value } }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let budgets = parts.compactMap { PixelBudget(argument: String($0)) }
    guard budgets.count == parts.count, !budgets.isEmpty else { return nil }
    self.init(budgets)
  }

  var defaultValueDescription: String { text }
  var text: String { values.map(\.description).joined(separator: ",") }
}

/// Which network is attacked on which images, and how the evaluation goes.
struct AttackedOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save wrote.", valueName: "file"), completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

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

  var precision: Precision { run.machine.attackPrecision }

  func validate() throws {
    guard batchSize > 0 else { throw ValidationError("--batch-size must be at least 1.") }
    guard data.trainLimit == nil else {
      throw ValidationError("--train-limit: an attack uses no training images; --limit is for those it attacks.")
    }
    if let expectedAccuracy, !(0...1).contains(expectedAccuracy) {
      throw ValidationError("--expected-accuracy must be from 0 to 1.")
    }
  }

  /// The settings under the names of their flags.
  var settings: Record {
    var settings: Record = ["weights": .string(weights)]
    settings["model"] = model.map { .string($0.rawValue) }
    settings.merge(data.settings)
    settings["batch-size"] = .int(batchSize)
    settings["expected-accuracy"] = expectedAccuracy.map { .double($0) }
    if savePictures { settings["save-pictures"] = true }
    if saveArrays { settings["save-arrays"] = true }
    settings["eight-bit"] = .bool(eightBit)
    settings["probe"] = .bool(probe)
    settings["precision"] = .string(precision.rawValue)
    settings["seed"] = .int(run.seed)
    return settings
  }

  /// Attacks the network and writes the run's folder.
  /// - Parameters:
  ///   - name: The folder's, where the user names none.
  ///   - settings: Those of the attack.
  ///   - inputs: Fingerprints of files beside weights and images.
  ///   - make: The evaluator for the model, and other models that it needs are made there.
  func perform(
    _ name: String, _ settings: Record, inputs: Record = [:],
    _ make: (AttackedModel, ImageDataset, Device) throws -> AttackEvaluator
  ) throws {
    let url = try run.folder(named: "attack-\(name)")
    let device = try run.machine.prepare()
    let test = try data.load(.test, on: device, seed: run.seedBits, run.output)
    let network = try ModelFile(
      path: weights, model: model?.model, for: test, on: device, run.output.console
    ).network
    let target = AttackedModel(network, precision: precision)
    var evaluator = try make(target, test, device)
    evaluator.seed = run.seedBits
    evaluator.batchSize = batchSize
    evaluator.expectedCleanAccuracy = expectedAccuracy
    evaluator.progress = run.output.progress
    (evaluator.staysOnGrid, evaluator.probes) = (eightBit, probe)
    evaluator.warn = run.output.note

    var all: Record = settings
    all.merge(self.settings)
    var fingerprints: Record = [
      "test images": .string(test.fingerprint),
      "weights": .string(try Fingerprint.sha256(ofFile: URL(filePath: weights)))
    ]
    fingerprints.merge(inputs)
    let record = RunRecord.current(all, inputs: fingerprints, device: device)
    Interruption.watch()
    let summary = try Run(at: url, record, resumes: run.resume, run.output).perform { folder in
      if savePictures || saveArrays {
        let broken = BrokenPictures(
          pictures: savePictures ? folder.artefact("pictures") : nil,
          arrays: saveArrays ? folder.artefact("arrays") : nil, classNames: test.classNames,
          sortsByBudget: (evaluator.epsilons?.count ?? 1) > 1)
        evaluator.keepBroken = broken.write
      }
      let report = try evaluator.run(on: target, try AttackData(test), in: folder, resumes: run.resume)
      var summary: Record = ["attack": .string(name)]
      summary.merge(report.summary)
      return summary
    }
    run.output.printResult(summary, AttackText.make(summary, url))
    if !run.output.json { for finding in AttackText.findings(summary) { run.output.note("note: \(finding)") } }
  }
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
