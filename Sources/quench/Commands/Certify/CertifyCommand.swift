import ArgumentParser
import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

struct CertifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "certify",
    abstract: "Certify within which distance no change of an image changes a classifier's answer under noise.",
    discussion: """
      Examples:
        quench certify --weights runs/noisy/model.safetensors --sigma 0.25 \\
          --limit 500
        quench certify --weights runs/noisy/model.safetensors --target-radius 0.5
        quench certify --weights runs/noisy/model.safetensors --fixed --n 100000
        quench certify plot runs/certify            accuracy against radius

      Randomized smoothing (Cohen et al. 2019): the class that the network gives most
      often to noisy copies of an image is certain to stay within the radius, but for
      a probability of alpha an image. Train the network with noise of the same
      sigma: quench train --noise 0.25.

      Unless --fixed is given, no more noisy copies are taken than the radii need
      (--n at most), with the same guarantee. Writes certified.tsv, a row for each
      image as soon as it is known, summary.json and report.html; --resume goes on
      after a break and ends with the same rows. All flags: quench certify run
      --help.
      """,
    subcommands: [CertifyRunCommand.self, CertifyPlotCommand.self], defaultSubcommand: CertifyRunCommand.self)
}

struct CertifyRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Certify a data set's test images; 'run' may be left out.")

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save wrote.", valueName: "file"), completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ClassifierName?

  @OptionGroup(title: "Certification") var certification: CertificationOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func run() throws {
    let url = try options.folder(named: "certify")
    let device = try options.machine.prepare()
    let test = try data.load(.test, on: device, seed: options.seedBits, options.output)
    let file = try ModelFile(
      path: weights, model: model?.model, for: test, on: device, options.output.console)
    let fingerprint = try Fingerprint.sha256(ofFile: URL(filePath: weights))
    let record = RunRecord.current(
      settings, inputs: ["test images": .string(test.fingerprint), "weights": .string(fingerprint)], device: device)
    let dtype = options.machine.precision.inference ?? InferencePlan.fastest(on: device)
    let plan = InferencePlan(file.network, batchSize: certification.batchSize, dtype: dtype)
    if let finding = Certify.finding(onSigma: certification.sigma, ofWeights: URL(filePath: weights)) {
      options.output.note("note: \(finding)")
    }
    let certifying = CertifyRun(
      options: certification, data: test, seed: options.seedBits,
      version: "\(fingerprint.prefix(12))-\(plan.dtype)",
      device: device, output: options.output)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      var summary: Record = ["model": .string(file.network.architecture.name), "data": .string(data.data.rawValue)]
      summary.merge(try certifying.certify(in: folder, resumes: options.resume) { plan($0) })
      return summary
    }
    options.output.printResult(summary, CertifyRun.text(summary, url))
  }

  private var settings: Record {
    var settings: Record = ["weights": .string(weights)]
    settings["model"] = model.map { .string($0.rawValue) }
    settings.merge(certification.settings)
    settings.merge(data.settings)
    settings["seed"] = .int(options.seed)
    settings["precision"] = .string(options.machine.precision.rawValue)
    return settings
  }
}

/// How predictions are certified.
struct CertificationOptions: ParsableArguments {
  @Option(help: "Standard deviation of the noise, pixels in [0, 1].")
  var sigma = 0.25

  @Option(help: "Noisy copies that pick the class.")
  var n0 = 100

  @Option(help: "Noisy copies that bound its probability: at most, or with --fixed exactly.")
  var n = 10_000

  @Option(help: "Probability that a certificate is wrong.")
  var alpha = 0.001

  @Flag(help: "Take all of --n copies, for the largest radius that they show (Cohen et al. 2019).")
  var fixed = false

  @Option(help: ArgumentHelp("Ask for this radius alone.", valueName: "radius"))
  var targetRadius: Double?

  @Option(
    help: ArgumentHelp("Ask for these radii, from the smallest on (default: 0,0.25,0.5,0.75).", valueName: "list"))
  var radii: RadiusList?

  @Option(help: "Noisy copies that are classified at once; no certificate depends on it.")
  var batchSize = 256

  @Option(
    help: ArgumentHelp(
      "Certify part I of K of the images (1/4): others do the rest in their own folders.", valueName: "i/k"))
  var shard = Shard.whole

  static let standardRadii = [0, 0.25, 0.5, 0.75]

  func validate() throws {
    guard batchSize > 0 else { throw ValidationError("--batch-size must be at least 1.") }
    guard [fixed, targetRadius != nil, radii != nil].count(where: { $0 }) < 2 else {
      throw ValidationError("--fixed, --target-radius and --radii exclude each other.")
    }
    if let targetRadius, !(targetRadius >= 0 && targetRadius < 1e6) {
      throw ValidationError("--target-radius must be from 0 on and below 1,000,000.")
    }
    try requireUsage { _ = try certify() }
  }

  /// The radii at which the certified accuracy is told.
  var reportedRadii: [Double] { targetRadius.map { [$0] } ?? radii?.values ?? Self.standardRadii }

  /// - Throws: `InputError` for values out of range or that can certify nothing.
  func certify() throws(InputError) -> Certify {
    guard !fixed else {
      return try Certify(fixed: n, sigma: sigma, selection: n0, failureProbability: alpha)
    }
    func asking(_ radii: [Double]) throws(InputError) -> Certify {
      try Certify(radii: radii, atMost: n, sigma: sigma, selection: n0, failureProbability: alpha)
    }
    guard targetRadius == nil, radii == nil else { return try asking(reportedRadii) }
    // Nobody asked for the radii that n copies cannot show.
    let largest = try asking([0]).largestRadius
    return try asking(Self.standardRadii.filter { $0 < largest })
  }

  /// The settings under the names of their flags.
  var settings: Record {
    var settings: Record = [
      "sigma": .double(sigma), "n0": .int(n0), "n": .int(n), "alpha": .double(alpha), "fixed": .bool(fixed)
    ]
    settings["target-radius"] = targetRadius.map { .double($0) }
    settings["radii"] = radii.map { .string($0.description) }
    if shard != .whole { settings["shard"] = .string(shard.description) }
    return settings
  }
}

/// Rising radii: `0.25,0.5,0.75`.
struct RadiusList: ExpressibleByArgument, CustomStringConvertible {
  let values: [Double]

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map {
      Double($0.trimmingCharacters(in: .whitespaces))
    }
    guard !values.isEmpty, values.allSatisfy({ $0.map { $0 >= 0 && $0.isFinite } ?? false }) else { return nil }
    self.values = values.compactMap { $0 }.sorted()
  }

  var description: String { values.map { "\($0)" }.joined(separator: ",") }
}

/// Every k-th image, from the i-th on.
struct Shard: ExpressibleByArgument, CustomStringConvertible, Equatable {
  let part: Int
  let of: Int

  static let whole = Shard(part: 1, of: 1)

  private init(part: Int, of: Int) {
    self.part = part
    self.of = of
  }

  init?(argument: String) {
    let parts = argument.split(separator: "/").map { Int($0) }
    guard parts.count == 2, let part = parts[0], let of = parts[1], of >= 1, (1...of).contains(part) else {
      return nil
    }
    self.init(part: part, of: of)
  }

  var description: String { "\(part)/\(of)" }

  func indices(of count: Int) -> [Int] { Array(stride(from: part - 1, to: count, by: of)) }
}
