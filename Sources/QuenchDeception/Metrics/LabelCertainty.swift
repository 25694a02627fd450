import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The labels that attacked images get back by denoising, and how firmly each stands.
struct RecoveredLabels {
  /// F(D(x')), `[N]`.
  let labels: [Int64]
  /// In [0, 1]: the mean probability of the label over views of the image that are denoised on their own and then laid
  /// back: as it is, mirrored, and moved by a pixel each way.
  let firmness: [Double]

  /// - Parameters:
  ///   - images: x', float32 pixels in [0, 1], `[N, C, H, W]`.
  ///   - denoise: D.
  ///   - logits: The classifier's.
  init(of images: Tensor, denoise: (Tensor) -> Tensor, logits: (Tensor) -> Tensor) {
    let mirror = { (view: Tensor) in view.flipped([3]) }
    let views: [(there: (Tensor) -> Tensor, back: (Tensor) -> Tensor)] =
      [({ $0 }, { $0 }), (mirror, mirror)]
      + [(1, 0), (-1, 0), (0, 1), (0, -1)].map { down, right in
        (
          { Transformation.Move.translate(down: down, right: right)($0) },
          { Transformation.Move.translate(down: -down, right: -right)($0) }
        )
      }
    let answers = withoutGradient { views.map { logits($0.back(denoise($0.there(images)))).softmax(1) } }
    let own = answers[0].argmax(1)
    labels = own.array(Int64.self)
    firmness = Tensor.stacked(answers).mean([0]).gathered(1, own.unsqueezed(1)).squeezed(1).array(Double.self)
  }
}

/// How often labels that stand as firmly are right: what turns firmness into a probability.
///
/// It is that of the victims and attacks that it was measured on; for others it is a guess, which an evaluation checks.
public struct LabelCalibration: Hashable, Sendable {
  /// Of attacked images that the denoiser was not trained on, ascending.
  public let firmness: [Double]
  /// Whether the label of each is that of its clean image.
  public let isRight: [Bool]

  public init(_ labels: [(firmness: Double, isRight: Bool)]) {
    let sorted = labels.sorted { $0.firmness < $1.firmness }
    (firmness, isRight) = (sorted.map(\.firmness), sorted.map(\.isRight))
  }

  /// Measures it on the pairs of `cells`.
  /// - Parameters:
  ///   - cells: Pairs that the denoiser was not trained on, each with the classifier that judges it.
  ///   - denoise: D.
  init(of cells: [(pairs: PairCell, victim: Victim)], denoise: (Tensor) -> Tensor) {
    self.init(
      cells.flatMap { cell in
        zip(cell.pairs.clean.split(250), cell.pairs.adversarial.split(250)).flatMap { x, xA in
          let truth = cell.victim.answers(PairCell.pixels(x)).array(Int64.self)
          let found = RecoveredLabels(of: PairCell.pixels(xA), denoise: denoise) { cell.victim.logits($0) }
          return zip(found.firmness, zip(found.labels, truth)).map { ($0, $1.0 == $1.1) }
        }
      })
  }

  /// Labels that one is compared with; with fewer known nothing is said.
  public static let neighbors = 50

  /// How many of the labels that stand most nearly as firmly are right; nil if too few are known.
  public func likelihood(_ firmness: Double) -> Accuracy? {
    guard self.firmness.count >= Self.neighbors else { return nil }
    var window = 0..<Self.neighbors
    // The window moves up while what enters it lies nearer than what leaves it.
    while window.upperBound < self.firmness.count,
      self.firmness[window.upperBound] - firmness < firmness - self.firmness[window.lowerBound]
    {
      window = window.lowerBound + 1..<window.upperBound + 1
    }
    return Accuracy(correct: isRight[window].count { $0 }, count: window.count)
  }

  /// The share of such labels that have to be right for one to be told; below it the honest answer is that nobody can tell.
  public static let promise = 0.8

  public static func tells(_ likelihood: Accuracy) -> Bool { likelihood.fraction >= promise }

  var value: Value {
    [
      "firmness": .array(firmness.map { .double($0) }), "is_right": .array(isRight.map { .bool($0) })
    ]
  }

  /// - Throws: `InputError` if `value` is none of ``value``.
  init(_ value: Value, name: String) throws(InputError) {
    guard let firmness = value.record?["firmness"]?.array?.compactMap(\.number),
      let isRight = value.record?["is_right"]?.array?.compactMap(\.bool), firmness.count == isRight.count
    else {
      throw InputError(
        "these are not labels of attacked images", at: name,
        expected: "an object with the keys firmness and is_right",
        remedy: "train the denoiser again with 'quench red train'")
    }
    self.init(Array(zip(firmness, isRight)))
  }
}

/// What an estimate that says how likely it is right is worth over pairs.
public struct CertaintyFigures: InlineGroup, Hashable, Sendable {
  /// The share of pairs of which a label is told, and how often that is the clean image's; nil where none is told.
  public var told: Double
  public var paBenignTold: Double?
  /// The mean probability that was given to labels of being right, told or not: PA_benign where it is calibrated.
  public var meanLikelihood: Double

  /// - Parameters:
  ///   - likelihoods: A pair each.
  ///   - isRight: Whether its label is that of the clean image.
  init?(_ likelihoods: [Accuracy], isRight: [Bool]) {
    guard !likelihoods.isEmpty, likelihoods.count == isRight.count else { return nil }
    let toldRight = zip(likelihoods, isRight).filter { LabelCalibration.tells($0.0) }.map(\.1)
    told = Double(toldRight.count) / Double(isRight.count)
    paBenignTold = toldRight.isEmpty ? nil : Double(toldRight.count { $0 }) / Double(toldRight.count)
    meanLikelihood = PairFigures.mean(likelihoods.map(\.fraction))
  }
}
