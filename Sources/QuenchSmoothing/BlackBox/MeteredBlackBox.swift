import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A black box whose every query is entered in a ``QueryLedger``, cut into batches that it takes, sent again where it
/// failed for a while, and checked.
///
/// A request that was answered before is answered from the ledger: a run that is resumed asks no question twice.
public final class MeteredBlackBox {
  public let model: any BlackBox
  /// Nil: nobody counts.
  public let ledger: QueryLedger?
  /// Images a request; it falls where the model turns out to take fewer.
  public internal(set) var batchSize: Int
  public let patience: Patience
  /// Seconds in which it was waited for the model.
  public internal(set) var secondsWaited = 0.0
  /// How it waits; tests do not.
  var sleep: (_ seconds: Double) -> Void = { seconds in
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end, !Interruption.isRequested {
      Thread.sleep(forTimeInterval: min(0.2, max(0, (end - .now) / .seconds(1))))
    }
  }
  /// When the next images may be sent at the rate that ``Patience`` allows.
  private var nextTurn = ContinuousClock.now

  /// How failures are met and how fast the model is asked. The same images are sent again, never others in their place.
  public struct Patience: Hashable, Sendable {
    /// Tries of a request in all.
    public var tries = 8
    /// Seconds of the first pause; it doubles from there, and each is drawn between 0 and that (full jitter).
    public var firstPause = 0.5
    public var longestPause = 60.0
    /// Images a second; nil: as many as the model answers.
    public var rate: Double?
    /// Wait as long as the model asks for, as one with an hourly quota does; such a try does not count.
    public var waitsForQuota = false

    public init() {}

    /// Seconds to wait after a request failed `failures` times.
    func pause(afterFailures failures: Int, asked: Double?) -> Double {
      if let asked { return min(max(asked, 0), waitsForQuota ? 7 * 86_400 : longestPause) }
      return .random(in: 0...min(longestPause, firstPause * Double(1 << min(failures - 1, 30))))
    }

    /// Whether the model asks for a pause that no try is long enough for.
    func isQuota(_ failure: TemporaryFailure) -> Bool { failure.pause ?? 0 > longestPause }
  }

  /// Images of one request, and what they are asked for.
  public struct Question {
    public let images: Tensor
    public let purpose: QueryLedger.Purpose

    /// - Parameters:
    ///   - images: `[N, C, H, W]`.
    ///   - purpose: What the ledger counts them under.
    public init(_ images: Tensor, for purpose: QueryLedger.Purpose) {
      self.images = images
      self.purpose = purpose
    }
  }

  public init(
    _ model: any BlackBox, ledger: QueryLedger?, batchSize: Int = 512, patience: Patience = Patience()
  ) {
    self.model = model
    self.ledger = ledger
    self.batchSize = min(batchSize, model.largestBatch ?? batchSize)
    self.patience = patience
  }

  /// The model's answers for `images`, `[N, C, H, W]`.
  /// - Throws: `InputError` if the budget is spent, the model stays out of reach or answers what it must not.
  public func answer(_ images: Tensor, for purpose: QueryLedger.Purpose) throws -> Tensor {
    var answers: [Tensor] = []
    try answer(images.split(batchSize).map { Question($0, for: purpose) }) { answers.append($0) }
    return Tensor.concatenated(answers)
  }

  /// The model's answers for what `prepare` makes of `images`, `[N, C, H, W]`, spread over all the requests that the model
  /// works on at once; each request is prepared when there is room for it, while others are on their way.
  /// - Throws: As ``answer(_:for:)`` does.
  public func answer(
    spread images: Tensor, for purpose: QueryLedger.Purpose,
    preparing prepare: @escaping (Tensor) -> Tensor = { $0 }
  ) throws -> Tensor {
    let share = (images.size(0) + model.concurrency - 1) / model.concurrency
    let parts = images.split(min(max(share, Self.leastShare), batchSize))
    var answers: [Tensor] = []
    try answer(parts.lazy.map { Question(prepare($0), for: purpose) }) { answers.append($0) }
    return Tensor.concatenated(answers)
  }

  /// Images below which a request is not divided further.
  private static let leastShare = 8

  /// Asks `questions` in turn, of which each is taken when there is room for it: as many requests as the model works on
  /// at once are always on their way.
  ///
  /// Answers that are no numbers are asked for once more; what then still is none is handed over.
  /// - Parameters:
  ///   - questions: Each of at most ``batchSize`` images, or it becomes several requests.
  ///   - each: Takes the answer to each question, in their order.
  /// - Throws: What `each` throws; `InputError` as above; `Interrupted` if the user asked to leave. What is on its way
  ///   is waited for first, and kept in the ledger.
  public func answer(_ questions: some Sequence<Question>, each: (Tensor) throws -> Void) throws {
    try QueryPipe(self).run(questions.makeIterator(), each: each)
  }

  /// Whether answers may come out of the ledger: samples of a certificate must be fresh, and so must a probe's.
  static func isFresh(_ purpose: QueryLedger.Purpose) -> Bool { purpose == .certification || purpose == .probe }

  /// What an answer to these images is kept under.
  func hash(of images: Tensor) -> String {
    let name = "\(model.version) \(model.feedback)"
    return images.withUnsafeBytes { Fingerprint.sha256(Data($0) + Data(name.utf8)) }
  }

  /// The answer that the ledger holds to a request, which it counts.
  func recall(_ images: Tensor, _ hash: String, for purpose: QueryLedger.Purpose) throws -> Tensor? {
    let count = images.size(0)
    let (shape, dtype) = ([count] + model.answerShape, model.feedback == .labels ? DType.int64 : .float32)
    guard let kept = try ledger?.answer(to: hash, images: count, for: purpose),
      kept.count == shape.reduce(dtype.byteCount, *)
    else { return nil }
    return kept.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: dtype) }.to(images.device)
  }

  func keep(_ answer: Tensor, _ hash: String) throws {
    try ledger?.keep(answer.to(model.feedback == .labels ? .int64 : .float32).data(), to: hash)
  }

  /// Waits until `images` more may be sent.
  func takeTurn(images: Int) {
    guard let rate = patience.rate else { return }
    let now = ContinuousClock.now
    if nextTurn > now { sleep((nextTurn - now) / .seconds(1)) }
    nextTurn = max(now, nextTurn) + .seconds(Double(images) / rate)
  }
}
