import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a black box answers.
public enum Feedback: String, Codable, Sendable, CaseIterable {
  /// `[N, classes]`, any numbers.
  case logits
  /// `[N, classes]`, which add up to 1.
  case probabilities
  /// The best class alone, `[N]`, int64.
  case labels
  /// An image for each image, `[N, C, H, W]`: a reconstruction, no classes.
  case images

  /// What a classifier can answer.
  public static let ofClassifiers: [Feedback] = [.logits, .probabilities, .labels]
}

/// A model that answers images and shows nothing else of itself: no weights, no gradients.
public protocol BlackBox: AnyObject {
  var feedback: Feedback { get }
  /// How many classes it tells apart; 0 where it answers images.
  var classes: Int { get }
  /// The shape of the answer to one image.
  var answerShape: [Int] { get }
  /// Tells this model from others and from its own later versions.
  var version: String { get }
  /// The most images it takes at once; nil: any number.
  var largestBatch: Int? { get }
  /// How many requests it works on at once.
  var concurrency: Int { get }

  /// The model's answer for pixels in [0, 1], `[N, C, H, W]`, as ``feedback`` says.
  /// - Throws: `InputError` if the model cannot be reached, or answers what it must not; ``TemporaryFailure`` if the
  ///   same request may be answered later, ``TooManyImages`` if a smaller one may be.
  func answer(_ images: Tensor) throws -> Tensor

  /// Sends a request, and gives what waits for its answer, which throws as ``answer(_:)`` does. At most
  /// ``concurrency`` requests are on their way, and their answers are waited for in the order of sending.
  func send(_ images: Tensor) -> PendingAnswer
}

/// Waits for the answer to a request that was sent.
public typealias PendingAnswer = () throws -> Tensor

extension BlackBox {
  public var concurrency: Int { 1 }
  public var answerShape: [Int] { feedback == .labels ? [] : [classes] }

  public func send(_ images: Tensor) -> PendingAnswer { { try self.answer(images) } }
}

/// A request holds more images than the model takes at once, and was not answered.
public struct TooManyImages: Error, Hashable, Sendable, CustomStringConvertible {
  /// What the model said.
  public var problem: String
  /// The most that it takes; nil: it does not say.
  public var limit: Int?

  public init(_ problem: String, limit: Int? = nil) {
    self.problem = problem
    self.limit = limit
  }

  public var description: String { problem }
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
  public let answerShape: [Int]
  public var largestBatch: Int? { nil }
  private let plan: InferencePlan

  /// - Parameters:
  ///   - network: A classifier, or for ``Feedback/images`` a network from images to images.
  ///   - feedback: What it shall answer.
  ///   - version: A fingerprint of its weights.
  ///   - batchSize: What it is made fast for.
  ///   - dtype: float32 unless given: differences of 16-bit answers say little about a slope.
  public init(
    _ network: Network, feedback: Feedback = .logits, version: String, batchSize: Int = 512,
    dtype: DType = .float32
  ) {
    plan = InferencePlan(network, batchSize: batchSize, dtype: dtype)
    let shape = network.architecture.outputShape
    classes = feedback == .images ? 0 : shape.first ?? 0
    answerShape = feedback == .labels ? [] : shape
    self.feedback = feedback
    self.version = version
  }

  public func answer(_ images: Tensor) -> Tensor {
    withoutGradient {
      let output = images.inFewSizes { plan($0) }
      return switch feedback {
      case .logits, .images: output
      case .probabilities: output.softmax(1)
      case .labels: output.argmax(1)
      }
    }
  }
}

extension Tensor {
  /// What `body` gives for these rows, which it is shown in a number that is a multiple of 64, the last repeated.
  ///
  /// The processor's library prepares and keeps a kernel for every batch size that it meets: where each batch has
  /// another, that takes more time than the work, and gigabytes.
  func inFewSizes(_ body: (Tensor) -> Tensor) -> Tensor {
    let count = size(0)
    guard count % 64 != 0, count > 64 else { return body(self) }
    let padding = self[count - 1..<count].repeatInterleaved(64 - count % 64, 0)
    return body(Tensor.concatenated([self, padding]))[0..<count]
  }
}

extension Feedback {
  /// What other answers are held against: the class of each, `[N]`, int64, or the images themselves.
  public func targets(_ answers: Tensor) -> Tensor {
    switch self {
    case .labels, .images: answers
    case .logits, .probabilities: answers.argmax(1)
    }
  }

  /// What classes are read off, `[N, classes]`, float: the answers themselves, or 1 at the class that each tells.
  public func scores(_ answers: Tensor, classes: Int) -> Tensor {
    self == .labels ? answers.oneHot(classes: classes).to(.float32) : answers
  }

  /// The loss of each answer against its target, `[N]`: cross-entropy, 0 and 1 where only a class is told, the mean
  /// squared difference of images.
  public func losses(_ answers: Tensor, against targets: Tensor) -> Tensor {
    switch self {
    case .logits: answers.crossEntropy(targets, reduction: .none)
    case .probabilities:
      -answers.clamped(to: 1e-12...).log().gathered(1, targets.reshaped([-1, 1])).reshaped([-1])
    case .labels: (answers .!= targets).to(.float32)
    case .images: (answers - targets).square().mean([1, 2, 3])
    }
  }

  /// How many answers tell the class that `targets` tell; nil for images, which tell none.
  func agreements(_ answers: Tensor, with targets: Tensor) -> Double? {
    self == .images ? nil : Double((self.targets(answers) .== targets).nonzeroCount())
  }

  /// - Throws: `InputError` unless there are `count` answers of that shape.
  func check(_ answers: Tensor, count: Int, shape: [Int], from name: String) throws(InputError) {
    guard answers.shape == [count] + shape else {
      throw InputError(
        "the model answers another number of images or classes", at: name, expected: "\([count] + shape)",
        found: "\(answers.shape)", remedy: "name a model that fits the data set")
    }
  }

  /// Which answers are numbers throughout, `[N]`, bool: neither NaN nor infinity.
  func areFinite(_ answers: Tensor) -> Tensor { answers.reshaped([answers.size(0), -1]).isFinite().all(1) }
}
