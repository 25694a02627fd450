import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a classifier under noise answers to a data set's test images, without a radius (Cohen et al. 2019, PREDICT).
public struct PredictUnderNoise: Experiment {
  public static let kind = "certify-predict"
  public static let revisable: Set<String> = ["batch-size"]

  /// The file of weights.
  public var weights = ""
  /// The network that the weights belong to, where their file does not say.
  public var model: ModelName?
  public var pixels = PixelNormalization()
  /// σ, the noise's standard deviation, in units in which pixels lie in [0, 1].
  public var sigma = 0.25
  public var predict = Predict()
  /// Noisy copies that are classified at once. No prediction depends on it.
  public var batchSize = 256
  public var shard = Shard.whole
  public var selection = DataSelection()
  /// Of the noise, and of the images that a limit draws.
  public var seed = 1
  public var precision = Precision.automatic

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var model: String
    public var data: String
    public var images: Int
    /// Images that abstained count as wrong.
    public var accuracy: AccuracyFigure
    public var abstained: Int
    /// Noisy copies that got NaN or infinity for an answer.
    public var noAnswer: Int
    public var samplesPerImage: Int
    public var seconds: Double
    public var samplesPerSecond: Double
    public var modelVersion: String
    /// What a prediction means.
    public var statement: String
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  public func checked() throws(InputError) -> PredictUnderNoise {
    try requireSetting(!weights.isEmpty, "weights", "a file", "nothing")
    try requireSetting(sigma > 0 && sigma <= 1000, "sigma", "above 0 and at most 1000", sigma)
    try requireSetting(batchSize > 0, "batch-size", "at least 1", batchSize)
    try predict.validate()
    try selection.validate()
    _ = try pixels.value
    return self
  }

  /// An image's row in `metrics.jsonl`.
  struct Row: Codable, Hashable {
    var image: Int
    var label: Int
    /// Nil where it abstained.
    var predicted: Int?
    /// Of the two classes that got most.
    var votes: [Int]
    var noAnswer: Int
    var seconds: Double

    var isCorrect: Bool { predicted == label }
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let seedBits = UInt64(bitPattern: Int64(seed))
    let wanted = try WantedPictures(weights, model: model, pixels: pixels, selection)
    let test = try selection.load(.test, for: wanted, on: device, seed: seedBits, context.console)
    let network = try ModelFile(path: weights, model: model, pixels: pixels, for: test, on: device, context.console)
      .network
    let fingerprint = try Fingerprint.sha256(ofFile: URL(filePath: weights))
    let plan = InferencePlan(
      network, batchSize: batchSize, dtype: precision.inference ?? InferencePlan.fastest(on: device))
    let folder = try context.open(inputs: [
      "test images": .string(test.fingerprint), "weights": .string(fingerprint)
    ])
    if let finding = Certify.finding(onSigma: sigma, ofWeights: URL(filePath: weights)) {
      context.console.note("note: \(finding)")
    }
    let indices = shard.indices(of: test.count)
    var rows = try Self.rows(context.isResumed && folder.hasMetrics ? MetricStream.read(folder.metrics) : [])
    guard rows.map(\.image) == Array(indices.prefix(rows.count)) else {
      throw InputError(
        "the rows are not those of this run's images", at: folder.metrics.path,
        remedy: "start the run in another folder")
    }
    let stream = try MetricStream(at: folder.metrics, after: rows.last?.image, key: "image")
    let labels = test.labels.array(Int64.self).map { Int($0) }
    var line = ProgressLine(
      "Predicting", total: indices.count, unit: "images", startingAt: rows.count, style: context.console.progress)
    var vote = NoisyVote(predict, sigma: sigma, seed: seedBits)
    (vote.batchSize, vote.device) = (batchSize, device)
    try vote(indices.dropFirst(rows.count), of: test, classify: plan.callAsFunction) { result in
      let votes = result.counts.sorted(by: >).prefix(2).filter { $0 > 0 }
      let row = Row(
        image: result.index, label: labels[result.index], predicted: result.prediction.label, votes: Array(votes),
        noAnswer: predict.votes - result.counts.reduce(0, +), seconds: result.seconds)
      try stream.append((Value(encoding: row, style: .figures).record ?? [:]).withoutNulls)
      rows.append(row)
      line.update(rows.count)
    }
    line.finish()
    let seconds = rows.reduce(0) { $0 + $1.seconds }
    return Outcome(
      model: network.architecture.name, data: selection.data.rawValue, images: rows.count,
      accuracy: AccuracyFigure(Accuracy(correct: rows.count(where: \.isCorrect), count: rows.count)),
      abstained: rows.count { $0.predicted == nil }, noAnswer: rows.reduce(0) { $0 + $1.noAnswer },
      samplesPerImage: predict.votes, seconds: seconds,
      samplesPerSecond: Double(rows.count * predict.votes) / max(seconds, 1e-9),
      modelVersion: "\(fingerprint.prefix(12))-\(plan.dtype)",
      statement: "each prediction differs from the smoothed classifier's with probability at most "
        + "\(predict.failureProbability); images that abstained count as wrong")
  }

  private static func rows(_ metrics: [Record]) throws(InputError) -> [Row] {
    var rows: [Row] = []
    for row in metrics { rows.append(try Value.object(row).decode(style: .figures, name: "metrics.jsonl")) }
    return rows
  }

  public static func text(of run: PerformedRun<PredictUnderNoise>) -> String {
    guard let outcome = run.outcome else { return "" }
    return Wording.lines([
      "accuracy": "\(Wording.accuracy(outcome.accuracy.value)) of \(NumberText.count(outcome.images, "image")) "
        + "(95 %: \(outcome.accuracy.interval))",
      "abstained": "\(Wording.count(Double(outcome.abstained))), counted as wrong",
      "noisy copies": "\(Wording.count(Double(outcome.samplesPerImage))) an image, "
        + "\(Wording.count(outcome.samplesPerSecond)) a second",
      "rows": run.folder.metrics.relativePath,
      "report": run.folder.report.relativePath
    ])
  }

  public static func report(of run: PerformedRun<PredictUnderNoise>) -> Report {
    let (experiment, rows) = (run.experiment, (try? rows(run.metrics)) ?? [])
    let classes = Dictionary(grouping: rows, by: \.label).sorted { $0.key < $1.key }
    return Report(
      title: "Predictions of \(run.outcome?.model ?? "a network") under noise",
      summary: "Each image of `\(experiment.selection.data.rawValue)` was classified "
        + "\(experiment.predict.votes) times under Gaussian noise of standard deviation `\(experiment.sigma)`. The class "
        + "that most copies got is the prediction where it leads so clearly that it is the smoothed classifier's but "
        + "with probability `\(experiment.predict.failureProbability)`; else the classifier abstains.",
      keyFigures: run.outcome.map { outcome in
        [
          outcome.accuracy.keyFigure("Accuracy under noise", of: outcome.images),
          .init("Abstained", Wording.count(Double(outcome.abstained)), detail: "images, counted as wrong"),
          .init("Speed", Wording.count(outcome.samplesPerSecond), detail: "noisy copies a second")
        ]
      } ?? [],
      sections: [
        Report.Section(
          "Predictions by class",
          [
            .table(
              Table(
                "Images of each class",
                columns: [
                  .number("Class"), .number("Images"), .number("Right"), .number("Abstained"), .number("Wrong")
                ],
                rows: classes.map { label, rows in
                  let (right, abstained) = (rows.count(where: \.isCorrect), rows.count { $0.predicted == nil })
                  return [label, rows.count, right, abstained, rows.count - right - abstained]
                    .map { .init(Wording.count(Double($0))) }
                }))
          ])
      ], record: run.record)
  }
}
