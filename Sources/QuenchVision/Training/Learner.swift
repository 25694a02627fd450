import QuenchSupport
import QuenchTorch

/// A method that learns step by step from batches; a ``TrainingSession`` drives it.
///
/// A step follows from the learner's state and the position alone, so a run that continues from a stored state ends
/// as one that was never interrupted.
public protocol Learner: AnyObject {
  var epochs: Int { get }
  var stepsPerEpoch: Int { get }
  /// Images that one step learns from, for rates.
  var imagesPerStep: Int { get }
  /// Images that the first `steps` steps of the run learn from: all alike unless the learner says otherwise.
  func images(in steps: Int) -> Int
  /// The learning rate of the last step.
  var learningRate: Double { get }
  /// Learns from the batch at `position`. A step that throws leaves ``state`` as it was.
  func step(at position: LoaderPosition) throws -> StepResult
  /// Everything that the next step depends on: weights, statistics, optimiser buffers.
  var state: StateDictionary { get }
  /// Continues from a stored ``state``.
  /// - Parameters:
  ///   - state: What was stored.
  ///   - location: The file that it comes from, for errors.
  func restore(_ state: StateDictionary, from location: String) throws(InputError)
}

extension Learner {
  public func images(in steps: Int) -> Int { steps * imagesPerStep }

  /// A schedule's factor at a position of the whole run.
  public func factor(_ schedule: Schedule, at position: LoaderPosition) -> Double {
    schedule.factor(
      at: Double(position.epoch) + Double(position.batch) / Double(stepsPerEpoch), of: Double(epochs))
  }
}

/// What one step reports: scalars without the graph that they came from.
public struct StepResult {
  /// The mean loss over the batch.
  public let loss: Tensor
  /// How many images got their class right; nil where there are no classes.
  public let correct: Tensor?
  /// How many images `loss` and `correct` are over.
  public let images: Int
  /// What else is told by the shares of a row's steps, by its name in the row.
  public var shares: [String: Share] = [:]

  /// So many of so many.
  public struct Share: Hashable, Codable, Sendable {
    public var part: Int
    public var whole: Int

    public init(_ part: Int, of whole: Int) {
      self.part = part
      self.whole = whole
    }
  }

  public init(loss: Tensor, logits: Tensor, labels: Tensor) {
    self.loss = loss.detached()
    images = labels.shape[0]
    correct = withoutGradient { (logits.argmax(1) .== labels).sum() }
  }

  /// - Parameters:
  ///   - loss: The mean loss over the batch.
  ///   - correct: How many images got their class right; nil where there are no classes.
  ///   - images: How many images they are over.
  public init(loss: Tensor, correct: Double?, images: Int) {
    self.loss = loss.detached()
    self.correct = correct.map { Tensor($0) }
    self.images = images
  }
}

extension StateDictionary {
  /// Adds the entries of `other`, each name with `prefix` before it; ``partitioned(byPrefix:)`` takes them out again.
  public mutating func add(_ other: StateDictionary, prefix: String) {
    for (name, tensor) in other { self[prefix + name] = tensor }
  }

  /// The entries whose names begin with `prefix`, without it, and the others.
  public func partitioned(byPrefix prefix: String) -> (matching: StateDictionary, rest: StateDictionary) {
    var result = (matching: StateDictionary(), rest: StateDictionary())
    for (name, tensor) in self {
      if name.hasPrefix(prefix) {
        result.matching[String(name.dropFirst(prefix.count))] = tensor
      } else {
        result.rest[name] = tensor
      }
    }
    return result
  }
}
