import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How suspicious a denoiser makes an image.
public enum SuspicionScore: String, CaseIterable, Codable, Sendable {
  /// 1 if the answer changes when the image is denoised.
  case answer
  /// ‖softmax f(u) - softmax f(D(u))‖₁
  case probabilities
  /// ‖f(u) - f(D(u))‖₂
  case logits
  /// ‖u - D(u)‖₂
  case pixels

  /// What is compared where nothing else is asked for. Probabilities stand still where the classifier is sure of both
  /// answers, and a clean image near a boundary moves them as far as an attack does; logits go on moving. They are on the
  /// classifier's own scale: compare only scores of one classifier.
  public static let standard = SuspicionScore.logits

  /// Scores of `images`, one a sample.
  public func callAsFunction(_ images: Tensor, denoised: Tensor, logits: (Tensor) -> Tensor) -> [Double] {
    withoutGradient {
      guard self != .pixels else { return (images - denoised).flattened(from: 1).norm(2, [1]).array(Double.self) }
      let (before, after) = (logits(images), logits(denoised))
      switch self {
      case .answer: return (before.argmax(1) .!= after.argmax(1)).to(.float32).array(Double.self)
      case .probabilities: return (before.softmax(1) - after.softmax(1)).abs().sum([1]).array(Double.self)
      case .logits: return (before - after).norm(2, [1]).array(Double.self)
      case .pixels: return []
      }
    }
  }
}

/// How well scores tell adversarial images from clean ones.
public struct Detection: Hashable, Sendable {
  /// Images of each kind.
  public var adversarial: Int
  public var clean: Int
  /// The probability that an adversarial image scores higher than a clean one; equal scores count half.
  public var auroc: Double
  /// The area under precision over recall: the mean precision at each adversarial image's score.
  public var aupr: Double
  /// The adversarial images found where 5 % of the clean ones are taken for such; nil where these are too few to tell.
  public var recallAtFivePercent: Accuracy?

  /// - Precondition: There is one score of each kind at least.
  public init(adversarial: [Double], clean: [Double]) {
    let sorted = clean.sorted()
    (self.adversarial, self.clean) = (adversarial.count, clean.count)
    func below(_ score: Double, orEqual: Bool) -> Int {
      var (low, high) = (0, sorted.count)
      while low < high {
        let middle = (low + high) / 2
        if sorted[middle] < score || orEqual && sorted[middle] == score { low = middle + 1 } else { high = middle }
      }
      return low
    }
    let wins = adversarial.reduce(0.0) { $0 + Double(below($1, orEqual: false) + below($1, orEqual: true)) / 2 }
    auroc = wins / Double(adversarial.count * clean.count)
    if clean.count >= SuspicionCalibration.fewest {
      let threshold = sorted[sorted.count - 1 - Int(0.05 * Double(sorted.count))]
      recallAtFivePercent = Accuracy(correct: adversarial.count { $0 > threshold }, count: adversarial.count)
    }
    let order = adversarial.sorted(by: >)
    aupr =
      order.enumerated().reduce(0.0) { sum, entry in
        let found = order.lastIndex { $0 >= entry.element } ?? entry.offset
        let wrong = sorted.count - below(entry.element, orEqual: false)
        return sum + Double(found + 1) / Double(found + 1 + wrong)
      } / Double(order.count)
  }

  /// A 95 % interval for ``auroc`` that stays within [0, 1] and has a width also where every image was told (Newcombe 2006,
  /// method 5): the values from which the measured one is 1.96 standard errors away, by Hanley and McNeil's variance.
  public var aurocInterval: ClosedRange<Double> {
    let (m, n) = (Double(adversarial), Double(clean))
    let half = (m + n) / 2 - 1
    func reaches(_ value: Double) -> Bool {
      let spread = 1 + half * ((1 - value) / (2 - value) + value / (1 + value))
      return abs(auroc - value) <= 1.959963984540054 * (value * (1 - value) * spread / (m * n)).squareRoot()
    }
    func end(from inside: Double, to outside: Double) -> Double {
      var (inside, outside) = (inside, outside)
      for _ in 0..<50 {
        let middle = (inside + outside) / 2
        if reaches(middle) { inside = middle } else { outside = middle }
      }
      return inside
    }
    return end(from: auroc, to: 0)...end(from: auroc, to: 1)
  }
}

/// How well scores tell adversarial images from clean ones, as an outcome has it.
public struct DetectionFigures: Codable, Hashable, Sendable {
  enum CodingKeys: String, CodingKey {
    case auroc, aupr
    case adversarial = "n_adversarial"
    case clean = "n_clean"
    case recall = "recall_at_5_percent_false_positives"
  }

  /// A figure with the ends of its 95 % interval.
  public struct AUROC: PrefixedGroup, Hashable, Sendable {
    public var value: Double
    public var low: Double
    public var high: Double
  }

  public var auroc: AUROC
  public var aupr: Double
  /// Images of each kind.
  public var adversarial: Int
  public var clean: Int
  /// Nil where the clean images are too few to tell.
  public var recall: AccuracyFigure?

  public init(_ detection: Detection) {
    let ends = detection.aurocInterval
    auroc = AUROC(value: detection.auroc, low: ends.lowerBound, high: ends.upperBound)
    (aupr, adversarial, clean) = (detection.aupr, detection.adversarial, detection.clean)
    recall = detection.recallAtFivePercent.map { AccuracyFigure($0) }
  }
}
