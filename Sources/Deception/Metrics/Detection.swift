import Reporting
import Torch

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
  /// The probability that an adversarial image scores higher than a clean one; equal scores count half.
  public var auroc: Double
  /// The area under precision over recall: the mean precision at each adversarial image's score.
  public var aupr: Double
  /// The share of adversarial images found where 5 % of the clean ones are taken for such.
  public var recallAtFivePercent: Double

  /// - Precondition: There is one score of each kind at least.
  public init(adversarial: [Double], clean: [Double]) {
    let sorted = clean.sorted()
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
    let threshold = sorted[max(0, sorted.count - 1 - Int(0.05 * Double(sorted.count)))]
    recallAtFivePercent = Double(adversarial.count { $0 > threshold }) / Double(adversarial.count)
    let order = adversarial.sorted(by: >)
    aupr =
      order.enumerated().reduce(0.0) { sum, entry in
        let found = order.lastIndex { $0 >= entry.element } ?? entry.offset
        let wrong = sorted.count - below(entry.element, orEqual: false)
        return sum + Double(found + 1) / Double(found + 1 + wrong)
      } / Double(order.count)
  }

  public var record: Record {
    [
      "auroc": .double(auroc), "aupr": .double(aupr),
      "recall_at_5_percent_false_positives": .double(recallAtFivePercent)
    ]
  }
}
