import Support
import Torch
import Vision

/// What a black box answers.
public enum Feedback: String, Codable, Sendable, CaseIterable {
  /// `[N, classes]`, any numbers.
  case logits
  /// `[N, classes]`, which add up to 1.
  case probabilities
  /// The best class alone, `[N]`, int64.
  case labels
}

/// A model that answers images and shows nothing else of itself: no weights, no gradients.
public protocol BlackBox: AnyObject {
  var feedback: Feedback { get }
  /// How many classes it tells apart.
  var classes: Int { get }
  /// Tells this model from others and from its own later versions.
  var version: String { get }
  /// The most images it takes at once; nil: any number.
  var largestBatch: Int? { get }
  /// How many requests it works on at once.
  var concurrency: Int { get }

  /// The model's answer for pixels in [0, 1], `[N, C, H, W]`, as ``feedback`` says.
  /// - Throws: `InputError` if the model cannot be reached, or answers what it must not; ``TemporaryFailure`` if the
  ///   same request may be answered later.
  func answer(_ images: Tensor) throws -> Tensor

  /// The answers to at most ``concurrency`` requests that are sent together, in their order; each may fail for itself.
  func answers(to requests: [Tensor]) -> [Result<Tensor, any Error>]
}

extension BlackBox {
  public var concurrency: Int { 1 }

  public func answers(to requests: [Tensor]) -> [Result<Tensor, any Error>] {
    requests.map { request in Result { try answer(request) } }
  }
}

/// A request was not answered, and may be when it is sent again: a server's error, a timeout, too many requests.
public struct TemporaryFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public var problem: String
  /// Seconds after which the model wants to be asked again; nil: it does not say.
  public var pause: Double?
  /// False where the request surely never left: then nobody counts it.
  public var wasSent: Bool

  public init(_ problem: String, pause: Double? = nil, wasSent: Bool = true) {
    self.problem = problem
    self.pause = pause
    self.wasSent = wasSent
  }

  public var description: String { problem }
}

/// A network in this process, used as somebody else's.
public final class LocalBlackBox: BlackBox {
  public let feedback: Feedback
  public let classes: Int
  public let version: String
  public var largestBatch: Int? { nil }
  private let plan: InferencePlan

  /// - Parameters:
  ///   - network: A classifier.
  ///   - feedback: What it shall answer.
  ///   - version: A fingerprint of its weights.
  ///   - batchSize: What it is made fast for.
  ///   - dtype: float32 unless given: differences of 16-bit answers say little about a slope.
  public init(
    _ network: Network, feedback: Feedback = .logits, version: String, batchSize: Int = 512,
    dtype: DType = .float32
  ) {
    plan = InferencePlan(network, batchSize: batchSize, dtype: dtype)
    classes = network.architecture.outputShape.first ?? 0
    self.feedback = feedback
    self.version = version
  }

  public func answer(_ images: Tensor) -> Tensor {
    withoutGradient {
      let logits = plan(images)
      return switch feedback {
      case .logits: logits
      case .probabilities: logits.softmax(1)
      case .labels: logits.argmax(1)
      }
    }
  }
}

extension Feedback {
  /// The class of each answer, `[N]`, int64.
  public func labels(_ answers: Tensor) -> Tensor { self == .labels ? answers : answers.argmax(1) }

  /// The loss of each answer against `labels`, `[N]`: cross-entropy, or 0 and 1 where only a class is told.
  public func losses(_ answers: Tensor, against labels: Tensor) -> Tensor {
    switch self {
    case .logits: answers.crossEntropy(labels, reduction: .none)
    case .probabilities:
      -answers.clamped(to: 1e-12...).log().gathered(1, labels.reshaped([-1, 1])).reshaped([-1])
    case .labels: (answers .!= labels).to(.float32)
    }
  }

  /// One answer's shape and type.
  func check(_ answers: Tensor, count: Int, classes: Int, from name: String) throws(InputError) {
    let expected = self == .labels ? [count] : [count, classes]
    guard answers.shape == expected else {
      throw InputError(
        "the model answers another number of images or classes", at: name, expected: "\(expected)",
        found: "\(answers.shape)", remedy: "name a model that knows the classes of the data set")
    }
    guard self == .labels || answers.isFinite().all() else {
      throw InputError("the model answers NaN or infinity", at: name)
    }
  }
}
