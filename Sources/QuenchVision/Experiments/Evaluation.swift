import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// What a classifier makes of labelled images, image by image: `evaluation.json` of a run folder.
public struct Evaluation: Codable, Hashable, Sendable {
  /// An image with what it is and what it was taken for.
  public struct Example: Codable, Hashable, Sendable {
    public var png: Data
    public var label: Int
    public var predicted: Int
    /// The probability that the classifier gives its answer.
    public var confidence: Double
  }

  /// In label order.
  public var classNames: [String]
  /// Images of each class (rows) by the class that they were taken for (columns).
  public var confusion: [[Int]]
  /// The first images.
  public var samples: [Example]
  /// The wrong answers that the classifier was surest of, surest first.
  public var mistakes: [Example]
  public var seconds: Double

  public static let fileName = "evaluation.json"

  public var accuracy: Accuracy {
    Accuracy(
      correct: confusion.indices.reduce(0) { $0 + confusion[$1][$1] },
      count: confusion.reduce(0) { $0 + $1.reduce(0, +) })
  }

  public var imagesPerSecond: Double { Double(accuracy.count) / max(seconds, 1e-9) }

  /// Classifies every image of `dataset` with `plan`.
  /// - Parameters:
  ///   - plan: The classifier.
  ///   - dataset: The labelled images.
  ///   - batchSize: Images that are classified at once.
  ///   - examples: How many images are kept to look at, of either kind.
  ///   - progress: How the work's progress is shown.
  /// - Throws: `InputError` if the network answers NaN or infinity to any of them.
  public init(
    of plan: InferencePlan, on dataset: ImageDataset, batchSize: Int = 500, examples: Int = 16,
    progress: ProgressLine.Style = .quiet
  ) throws(InputError) {
    var line = ProgressLine("Testing", total: dataset.count, unit: "images", style: progress)
    let start = ContinuousClock.now
    var answers: [(predicted: Int, confidence: Double)] = []
    try dataset.answers(of: plan.callAsFunction, batchSize: batchSize) { logits, _ in
      let (confidence, predicted) = logits.softmax(1).maxWithIndex(1)
      answers += zip(predicted.array(Int64.self), confidence.array(Float.self)).map { (Int($0), Double($1)) }
      line.update(answers.count)
    }
    seconds = (ContinuousClock.now - start) / .seconds(1)
    line.finish()

    let labels = dataset.labels.array(Int64.self).map { Int($0) }
    classNames = dataset.classNames
    let none = [Int](repeating: 0, count: dataset.classNames.count)
    confusion = Array(repeating: none, count: none.count)
    for (label, answer) in zip(labels, answers) { confusion[label][answer.predicted] += 1 }

    func example(_ index: Int) throws(InputError) -> Example {
      Example(
        png: try ImageGrid.png(dataset.subset([index]).images[0]), label: labels[index],
        predicted: answers[index].predicted, confidence: answers[index].confidence)
    }
    func all(_ indices: some Sequence<Int>) throws(InputError) -> [Example] {
      var found: [Example] = []
      for index in indices { found.append(try example(index)) }
      return found
    }
    let wrong = labels.indices.filter { answers[$0].predicted != labels[$0] }
    samples = try all(labels.indices.prefix(examples))
    mistakes = try all(
      wrong.sorted { (-answers[$0].confidence, $0) < (-answers[$1].confidence, $1) }.prefix(examples))
  }

  /// - Throws: `InputError` if the file cannot be written.
  public func write(to url: URL) throws(InputError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let data: Data
    do { data = try encoder.encode(self) } catch { throw InputError.writing(url, error) }
    try AtomicFile.write(data, to: url)
  }

  /// - Throws: `InputError` if the file cannot be read or is no evaluation.
  public init(contentsOf url: URL) throws(InputError) {
    let data = try InputFile.read(url)
    guard let evaluation = try? JSONDecoder().decode(Evaluation.self, from: data),
      evaluation.isConsistent
    else { throw InputError("this is not an evaluation", at: url.path) }
    self = evaluation
  }

  private var isConsistent: Bool {
    let classes = classNames.indices
    return confusion.count == classes.count && confusion.allSatisfy { $0.count == classes.count }
      && (samples + mistakes).allSatisfy { classes.contains($0.label) && classes.contains($0.predicted) }
  }
}

extension ImageGrid {
  /// A PNG of uint8 `[1 or 3, H, W]`.
  /// - Throws: `InputError` if it cannot be encoded.
  public static func png(_ image: Tensor) throws(InputError) -> Data {
    try PNG.encode(
      pixels: Array(image.permuted([1, 2, 0]).data()), width: image.size(2), height: image.size(1),
      channels: image.size(0))
  }
}
