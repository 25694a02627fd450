import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct DefendEvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Certify a defence together with its model.",
    discussion: """
      Examples:
        quench defend evaluate --weights box.safetensors --defense runs/defend \\
          --limit 500
        quench defend evaluate --program 'python3 model.py' --defense runs/defend
        quench defend evaluate --endpoint http://host:8000/v2/models/box \\
          --defense runs/defend --query-budget 100000

      Noisy pixels leave [0, 1]. Where the model takes none outside, --clip cuts them
      off after the noise: the certificate is then that of the clipped classifier,
      and says so. NaN and infinity for an answer count as another class.

      Writes certified.tsv, summary.json and report.html, as 'quench certify' does.
      """)

  @Option(
    help: ArgumentHelp("A run of 'defend train'; without it the model alone.", valueName: "dir"),
    completion: .directory)
  var defense: String?

  @OptionGroup(title: "Model") var box: BlackBoxOptions
  @OptionGroup(title: "Ledger") var book: LedgerOptions
  @OptionGroup(title: "Certification") var certification: CertificationOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func run() throws {
    let url = try options.folder(named: "defend-evaluate")
    let device = try options.machine.prepare()
    let test = try data.load(.test, on: device, seed: options.seedBits, options.output)
    let loaded = try defense.map { try Defense.load($0, for: test, on: device) }
    let dtype = options.machine.precision.inference ?? InferencePlan.fastest(on: device)
    let model = try box.blackBox(
      for: test, dtype: dtype, batchSize: certification.batchSize, on: device, options.output)
    let plan = loaded.map { DefensePlan($0, batchSize: certification.batchSize, dtype: dtype) }
    var inputs: Record = ["test images": .string(test.fingerprint)]
    inputs.merge(try box.inputs())
    if let defense {
      let file = URL(filePath: defense).appending(path: Defense.denoiserFileName)
      inputs["denoiser"] = .string(try Fingerprint.sha256(ofFile: file))
      if let finding = Defense.finding(onSigma: certification.sigma, in: URL(filePath: defense)) {
        options.output.note("note: \(finding)")
      }
    }
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    // What is computed here depends on the element type; what a model elsewhere computes in is its own affair.
    var version = model.version
    if let denoiser = inputs["denoiser"]?.string { version += "+\(denoiser.prefix(12))" }
    if !box.isForeign || loaded != nil { version += "-\(dtype)" }
    var certifying = CertifyRun(
      options: certification, data: test, seed: options.seedBits, version: version, device: device,
      output: options.output)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      var summary: Record = [
        "model": .string(loaded == nil ? "the model alone" : "a defended model"),
        "data": .string(data.data.rawValue)
      ]
      let metered = try book.meter(model, box, in: folder)
      if model.concurrency > 1 { certifying.copiesAtOnce = metered.batchSize * model.concurrency }
      if box.isForeign, !options.resume {
        Interruption.watch()
        let probe = try BlackBoxProbe(metered, on: BlackBoxProbe.sample(of: test))
        for finding in probe.findings(model.feedback, classes: test.classNames) {
          options.output.note("note: \(finding)")
        }
      }
      summary.merge(
        try certifying.certify(in: folder, resumes: options.resume) { noisy in
          model.feedback.scores(
            try metered.answer(spread: noisy, for: .certification) { plan?($0) ?? $0 }, classes: model.classes)
        })
      summary.merge(try book.costs(metered.ledger))
      return summary
    }
    options.output.printResult(
      summary, CertifyRun.text(summary, url) + "\nqueries        " + LedgerOptions.text(summary))
  }

  private var settings: Record {
    var settings = box.settings
    settings["defense"] = defense.map { .string($0) }
    settings.merge(certification.settings)
    settings.merge(data.settings)
    settings["seed"] = .int(options.seed)
    settings["precision"] = .string(options.machine.precision.rawValue)
    return settings
  }
}
