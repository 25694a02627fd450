import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// An attack on a reconstructor, alone and behind a defense.
public struct AttackReconstructor: Experiment {
  public static let kind = "defend-reconstruct"

  /// The reconstructor's file of weights.
  public var weights = ""
  /// The folder of a run of ``TrainDefense``; nil: the reconstructor alone.
  public var defense: String?
  public var evaluation = ReconstructionEvaluation()
  /// Numbers that are measured of an image.
  public var measurements = 576
  public var selection = DataSelection()
  /// Of the attack and the noise, and of the images that a limit draws.
  public var seed = 1

  public init() {}

  public struct Outcome: Codable, Sendable {
    /// Test images.
    public var n: Int
    public var seconds: Double
    public var figures: ReconstructionFigures
  }

  /// Attacks need exact gradients.
  public func versions(on device: String) -> Record { tensorVersions(on: device, .float32) }

  public func checked() throws(InputError) -> AttackReconstructor {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try evaluation.validate()
    try requireSetting(measurements > 0, "measurements", "at least 1", measurements)
    guard evaluation.target == .undefended || defense != nil else {
      throw InputError("an attack on the defended reconstructor needs a defense", at: "defense")
    }
    try selection.validate()
    return self
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let seedBits = UInt64(bitPattern: Int64(seed))
    let test = try selection.load(.test, on: device, seed: seedBits, context.console)
    let reconstructor = try Network.reconstructor(at: weights, for: test, on: device)
    let loaded = try defense.map { try Defense.load($0, for: test, on: device) }
    var inputs = try Fingerprint.inputs([
      "weights": weights, "denoiser": defense.map { "\($0)/\(Defense.denoiserFileName)" }
    ])
    inputs["test images"] = .string(test.fingerprint)
    let folder = try context.open(inputs: inputs)
    let start = ContinuousClock.now
    let total = test.count * evaluation.epsilons.count
    var line = ProgressLine("Attacking", total: total, unit: "images", style: context.console.progress)
    let rows = evaluation(
      reconstructor, loaded, on: test,
      measurement: Measurement(shape: test.imageShape, count: measurements, device: device), seed: seedBits
    ) { line.update(Int(($0 * Double(total)).rounded())) }
    line.finish()
    try AtomicFile.write(Data(rows.table.utf8), to: folder.artefact("reconstruction.tsv"))
    return Outcome(
      n: test.count, seconds: (ContinuousClock.now - start) / .seconds(1), figures: .init(rows: rows))
  }

  public static func text(of run: PerformedRun<AttackReconstructor>) -> String {
    guard let outcome = run.outcome else { return "" }
    let rows = outcome.figures.rows.map { row in
      row.cells.map { $0.padding(toLength: 10, withPad: " ", startingAt: 0) }.joined()
    }
    return
      (["epsilon   RMSE      SSIM      defended: RMSE, SSIM"] + rows + [
        "folder    \(run.folder.url.relativePath)"
      ]).joined(separator: "\n")
  }

  public static func report(of run: PerformedRun<AttackReconstructor>) -> Report {
    let (experiment, rows) = (run.experiment, run.outcome?.figures.rows ?? [])
    let columns: [(name: String, error: (ReconstructionEvaluation.Row) -> Double?)] = [
      ("alone", \.error), ("defended", \.defendedError)
    ]
    let chart = LineChart(
      "Error over strength", x: Axis("L2 norm of the perturbation", unit: nil),
      y: Axis("Root mean squared error", unit: nil),
      series: columns.compactMap { name, error in
        let points = rows.compactMap { row in error(row).map { LineChart.Point(row.epsilon, $0) } }
        return points.isEmpty ? nil : LineChart.Series(name, points)
      }, caption: "Mean over the test images.")
    let table = Table(
      "Errors and similarities",
      columns: [
        .number("Epsilon"), .number("RMSE"), .number("SSIM"), .number("RMSE defended"), .number("SSIM defended")
      ], rows: rows.map { $0.cells.map { .init($0) } })
    return Report(
      title: "A reconstructor of \(experiment.selection.data.rawValue) under attack",
      summary:
        "Measurements of the images were perturbed to make the reconstruction worse; the attack looked at the "
        + "\(experiment.evaluation.target.rawValue) reconstructor. A defended answer is the mean of "
        + "`\(experiment.evaluation.copies)` noise draws. There is no certificate for images.",
      keyFigures: [.init("Images", Wording.count(run.outcome.map { Double($0.n) }))],
      sections: [Report.Section("What is left of the images", [.figure(chart), .table(table)])], record: run.record)
  }
}

/// What is left of images at each strength: `rmse_2`, `ssim_2`, `defended_rmse_2`, `defended_ssim_2`, and so on.
public struct ReconstructionFigures: InlineGroup, Hashable, Sendable {
  public var rows: [ReconstructionEvaluation.Row]

  init(rows: [ReconstructionEvaluation.Row]) { self.rows = rows }

  private static func keys(_ epsilon: String) -> [FigureKey] {
    ["rmse", "ssim", "defended_rmse", "defended_ssim"].map { FigureKey("\($0)_\(epsilon)") }
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: FigureKey.self)
    rows = []
    for key in container.allKeys where key.stringValue.hasPrefix("rmse_") {
      let text = String(key.stringValue.dropFirst("rmse_".count))
      guard let epsilon = Double(text) else { continue }
      let keys = Self.keys(text)
      rows.append(
        .init(
          epsilon: epsilon, error: try container.decode(Double.self, forKey: keys[0]),
          similarity: try container.decode(Double.self, forKey: keys[1]),
          defendedError: try container.decodeIfPresent(Double.self, forKey: keys[2]),
          defendedSimilarity: try container.decodeIfPresent(Double.self, forKey: keys[3])))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: FigureKey.self)
    for row in rows {
      let values = [row.error, row.similarity, row.defendedError, row.defendedSimilarity]
      for (key, value) in zip(Self.keys(NumberText.plain(row.epsilon)), values) {
        try container.encodeIfPresent(value, forKey: key)
      }
    }
  }
}

extension ReconstructionEvaluation.Row {
  fileprivate var values: [Double?] { [epsilon, error, similarity, defendedError, defendedSimilarity] }

  /// The strength and the figures as pages write them.
  fileprivate var cells: [String] {
    [NumberText.plain(epsilon)]
      + values.dropFirst().map { $0.map { NumberText.fixed($0, decimals: 4) } ?? "–" }
  }
}

extension [ReconstructionEvaluation.Row] {
  /// As tab-separated values.
  fileprivate var table: String {
    let lines = map { row in row.values.map { $0.map { "\($0)" } ?? "" }.joined(separator: "\t") }
    return (["epsilon\trmse\tssim\tdefended_rmse\tdefended_ssim"] + lines).joined(separator: "\n") + "\n"
  }
}
