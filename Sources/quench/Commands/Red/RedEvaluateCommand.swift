import ArgumentParser
import Deception
import Foundation
import Reporting
import Support
import Torch
import Vision

struct RedEvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Evaluate a denoiser on test pairs of seen and unseen attacks.",
    discussion: """
      Examples:
        quench red evaluate --run runs/red --pairs runs/red-data \\
          --victim v1=a.safetensors --victim v2=b.safetensors
        quench red evaluate --run runs/red --pairs runs/red-data \\
          --victim v1=a.safetensors --defense --data cifar10 --limit 200

      Each pair is judged by the victim that the attack was made on. The baseline is
      the identity. With --defense also the accuracy through the denoiser, under
      attacks that do not know it and under attacks that do: a denoiser is no defense
      by itself.
      """)

  @Option(
    name: .customLong("run"), help: ArgumentHelp("The run of 'quench red train'.", valueName: "dir"),
    completion: .directory)
  var denoiserRun: String

  @Flag(
    inversion: .prefixedNo,
    help: "Train small networks that tell attack, strength and victim from perturbations: minutes.")
  var origins = true

  @Flag(
    name: [.customLong("defense"), .customLong("defence")],
    help: "Also measure robust accuracy through the denoiser on the images of --data.")
  var defence = false

  @OptionGroup(title: "Pairs") var pairs: PairsOptions
  @OptionGroup(title: "Victims") var victims: VictimOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    try requireUsage {
      try InputError.require(
        defence ? data.given.filter { $0 == "--train-limit" } : data.given,
        takenBy: defence ? "an evaluation, which learns nothing," : "an evaluation without --defense", which: [])
    }
  }

  private var settings: Record {
    var settings: Record = [
      "run": .string(denoiserRun), "pairs": pairs.value, "origins": .bool(origins), "defence": .bool(defence),
      "seed": .int(options.seed)
    ]
    settings.merge(victims.settings)
    if defence { settings.merge(data.settings) }
    return settings
  }

  func run() throws {
    let url = try options.folder(named: "red-evaluate")
    let device = try options.machine.prepare()
    let source = URL(filePath: denoiserRun, directoryHint: .isDirectory)
    let denoiser = try RedRunFiles.denoiser(in: source)
    let dataset = try pairs.load()
    guard denoiser.architecture.inputShape == dataset.imageShape else {
      throw InputError(
        "the denoiser takes images of another size", at: denoiserRun, expected: "\(dataset.imageShape)",
        found: "\(denoiser.architecture.inputShape)")
    }
    let named = victims.victim + victims.unseen
    var evaluation = RedEvaluation(
      victims: try named.map { try $0.victim(taking: dataset.imageShape, on: device) },
      seenVictims: Set(victims.victim.map(\.name)), denoise: RedTraining.frozen(denoiser))
    evaluation.progress = options.output.progress
    var inputs = try victims.inputs()
    inputs["denoiser"] = .string(try Fingerprint.sha256(ofFile: source.appending(path: RedRunFiles.denoiser)))
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      try evaluate(evaluation, denoiser, dataset, device, in: folder)
    }
    options.output.printResult(summary, Self.text(summary, url))
  }

  private func evaluate(
    _ evaluation: RedEvaluation, _ denoiser: Network, _ dataset: RedDataset, _ device: Device, in folder: RunFolder
  ) throws -> Record {
    let cells = try evaluation.cells(dataset.test)
    try AtomicFile.write(
      Data((Value.array(cells.map { .object($0.record) }).json(pretty: true) + "\n").utf8),
      to: folder.artefact(RedRunFiles.cells))
    if let file = (victims.victim + victims.unseen).first {
      let classNames = try ModelFile(contentsOf: URL(filePath: file.path)).classNames
      let strips = try evaluation.examples(dataset.test).map { try PictureStrip($0, classNames: classNames) }
      try PictureStrip.write(strips, to: folder.artefact(PictureStrip.fileName))
    }
    var summary: Record = ["cells": .int(cells.count)]
    summary["groups"] = .object(RedEvaluation.groups(cells))
    summary["detection"] = .object(evaluation.detection(dataset.test))
    if let studies = evaluation.studies(dataset.test) {
      summary["studies_n"] = .int(studies.pairs)
      summary["portions"] = studies.portions.value
      summary["consistency"] = studies.consistency.value
    }
    for trait in OriginClassifier.Trait.allCases
    where origins && OriginClassifier.classes(trait, in: dataset.train).count > 1 {
      for input in OriginClassifier.Input.allCases {
        summary["\(trait.rawValue)_from_\(input.rawValue)"] = .object(
          try origin(trait, from: input, dataset, evaluation.denoise))
      }
    }
    if defence, let victim = evaluation.victims.first {
      let test = try data.load(.test, on: device, seed: options.seedBits, options.output)
      guard test.imageShape == dataset.imageShape else {
        throw InputError(
          "the images of --data have another size", expected: "\(dataset.imageShape)", found: "\(test.imageShape)")
      }
      let rows = try evaluation.defence(test, of: victim, denoiser: denoiser, seed: options.seedBits)
      summary["defence"] = .array(rows.map { .object($0) })
    }
    return summary
  }

  /// How well a small network tells where held-out perturbations come from.
  private func origin(
    _ trait: OriginClassifier.Trait, from input: OriginClassifier.Input, _ dataset: RedDataset,
    _ denoise: (Tensor) -> Tensor
  ) throws -> Record {
    let classifier = try OriginClassifier.train(
      on: dataset.train, telling: trait, input: input, denoise: denoise, seed: options.seedBits)
    let counts = classifier.confusion(on: dataset.test, input: input, denoise: denoise)
    let accuracy = Accuracy(confusion: counts)
    return [
      "accuracy": .double(accuracy.fraction), "n": .int(accuracy.count),
      "interval": [.double(accuracy.interval.lowerBound), .double(accuracy.interval.upperBound)],
      "classes": .array(classifier.classes.map { .string($0) }),
      "confusion": .array(counts.map { .array($0.map { .int($0) }) })
    ]
  }

  private static func text(_ summary: Record, _ url: URL) -> String {
    var lines: [String] = []
    for group in RedEvaluation.Group.allCases.map(\.rawValue) + ["all"] {
      guard let benign = summary["groups.\(group).pa_benign_cell_mean"]?.number else { continue }
      let adversarial = summary["groups.\(group).pa_adversarial_cell_mean"]?.number
      let error = summary["groups.\(group).d_x_xr"]?.number ?? .nan
      let title = group.padding(toLength: 16, withPad: " ", startingAt: 0)
      lines.append(
        "\(title) PA_benign \(Wording.accuracy(benign)), PA_adv \(Wording.accuracy(adversarial)), "
          + "d(x, x_R) \(NumberText.plain(error))")
    }
    let auroc = summary["detection.\(SuspicionScore.standard.rawValue).auroc"]?.number
    let interval =
      summary["detection.\(SuspicionScore.standard.rawValue).auroc_interval"]?.array?.map(\.number) ?? []
    lines.append(
      "detection        AUROC \(NumberText.plain(auroc ?? .nan)) (95 %: \(NumberText.plain((interval.first ?? nil) ?? .nan)) "
        + "to \(NumberText.plain((interval.last ?? nil) ?? .nan)))")
    for finding in RedReportPage.findings(summary) { lines.append("note: \(finding)") }
    lines.append("report           \(url.appending(path: "report.html").relativePath)")
    return lines.joined(separator: "\n")
  }
}
