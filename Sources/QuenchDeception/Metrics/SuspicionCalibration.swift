import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How suspicious clean images are, for a classifier and a denoiser: what a score is compared with.
public struct SuspicionCalibration: Hashable, Sendable {
  public let score: SuspicionScore
  /// Of clean images that the denoiser was not trained on, ascending.
  public let clean: [Double]

  public init(score: SuspicionScore = .standard, clean: [Double]) {
    self.score = score
    self.clean = clean.sorted()
  }

  /// Scores the clean images of `cells`, each image once however many cells it is in.
  /// - Parameters:
  ///   - score: How images are scored.
  ///   - cells: Pairs that the denoiser was not trained on.
  ///   - victim: The classifier.
  ///   - denoise: D.
  public init(
    score: SuspicionScore = .standard, of cells: [PairCell], victim: Victim, denoise: (Tensor) -> Tensor
  ) {
    var seen: Set<Int64> = []
    let scores = cells.flatMap { cell -> [Double] in
      let rows = cell.indices.array(Int64.self).enumerated().filter { seen.insert($0.element).inserted }
      guard !rows.isEmpty else { return [] }
      let images = PairCell.pixels(cell.clean.selecting(Tensor(rows.map(\.offset)).to(cell.clean.device)))
      return score(images, denoised: denoise(images)) { victim.logits($0) }
    }
    self.init(score: score, clean: scores)
  }

  /// The fewest clean images from which it is told how common a suspicion is: with fewer not even 5 % can be told from
  /// none.
  public static let fewest = 20

  /// How many clean images are at least as suspicious, of all that were scored; nil if those are fewer than ``fewest``.
  public func falsePositives(_ suspicion: Double) -> Accuracy? {
    guard clean.count >= Self.fewest else { return nil }
    return Accuracy(correct: clean.count { $0 >= suspicion }, count: clean.count)
  }

  public var value: Value {
    ["score": .string(score.rawValue), "clean": .array(clean.map { .double($0) })]
  }

  /// - Throws: `InputError` if `value` is none of ``value``.
  public init(_ value: Value, name: String) throws(InputError) {
    guard let record = value.record, let score = record["score"]?.string.flatMap(SuspicionScore.init(rawValue:)),
      let clean = record["clean"]?.array?.compactMap(\.number)
    else {
      throw InputError(
        "these are not scores of clean images", at: name, expected: "an object with the keys score and clean",
        remedy: "train the denoiser again with 'quench red train'")
    }
    self.init(score: score, clean: clean)
  }
}
