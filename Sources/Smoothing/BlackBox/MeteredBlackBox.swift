import Foundation
import Support
import Torch

/// A black box whose every query is entered in a ``QueryLedger``, cut into batches that it takes, sent again where it
/// failed for a while, and checked.
///
/// A request that was answered before is answered from the ledger: a run that is resumed asks no question twice.
public final class MeteredBlackBox {
  public let model: any BlackBox
  /// Nil: nobody counts.
  public let ledger: QueryLedger?
  /// Images a request.
  public let batchSize: Int
  public let patience: Patience
  /// How it waits; tests do not.
  var sleep: (_ seconds: Double) -> Void = { Thread.sleep(forTimeInterval: $0) }
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

    public init() {}

    /// Seconds to wait after a request failed `failures` times.
    func pause(afterFailures failures: Int, asked: Double?) -> Double {
      if let asked { return min(max(asked, 0), longestPause) }
      return .random(in: 0...min(longestPause, firstPause * Double(1 << min(failures - 1, 30))))
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
    var requests = images.split(batchSize).map { Request(images: $0, purpose: purpose) }
    // Samples of a certificate must be fresh.
    if purpose != .certification { for index in requests.indices { try recall(&requests[index]) } }
    var waiting = requests.indices.filter { requests[$0].answer == nil }
    while !waiting.isEmpty {
      var wave = Array(waiting.prefix(model.concurrency))
      takeTurn(images: wave.reduce(0) { $0 + requests[$1].count })
      if let ledger {
        wave = Array(wave.prefix(try ledger.enter(wave.map { (requests[$0].entry, requests[$0].count) })))
      }
      waiting.removeFirst(wave.count)
      var failures: [TemporaryFailure] = []
      var refusal: (any Error)?
      for (index, result) in zip(wave, model.answers(to: wave.map { requests[$0].images })) {
        do { try take(result.get(), for: &requests[index]) } catch let failure as TemporaryFailure {
          if !failure.wasSent { try ledger?.retract(requests[index].count, for: requests[index].entry) }
          requests[index].sent += failure.wasSent ? 1 : 0
          requests[index].failures += 1
          failures.append(failure)
        } catch { refusal = refusal ?? error }
      }
      if let refusal { throw refusal }
      guard let last = failures.last else { continue }
      let failed = wave.filter { requests[$0].answer == nil }
      let most = failed.map { requests[$0].failures }.max() ?? 1
      guard most < patience.tries else {
        throw InputError(
          "the model stays out of reach: \(last.problem)", at: model.version, found: "\(most) tries",
          remedy: "see that it runs; what it answered is kept")
      }
      waiting = failed + waiting
      sleep(patience.pause(afterFailures: most, asked: failures.compactMap(\.pause).max()))
    }
    return Tensor.concatenated(requests.compactMap(\.answer))
  }

  private struct Request {
    let images: Tensor
    let purpose: QueryLedger.Purpose
    /// What its answer is kept under.
    var hash: String?
    var answer: Tensor?
    /// Tries, and those that the model may have got.
    var failures = 0
    var sent = 0

    var count: Int { images.size(0) }
    var entry: QueryLedger.Purpose { sent == 0 ? purpose : .retry }
  }

  /// Answers a request from the ledger, if it was answered before.
  private func recall(_ request: inout Request) throws {
    guard let ledger else { return }
    let (name, images) = ("\(model.version) \(model.feedback)", request.images)
    let hash = images.withUnsafeBytes { Fingerprint.sha256(Data($0) + Data(name.utf8)) }
    request.hash = hash
    let (shape, dtype) = ([request.count] + model.answerShape, model.feedback == .labels ? DType.int64 : .float32)
    guard let kept = try ledger.answer(to: hash, images: request.count, for: request.purpose),
      kept.count == shape.reduce(dtype.byteCount, *)
    else { return }
    request.answer = kept.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: dtype) }.to(images.device)
  }

  private func take(_ answer: Tensor, for request: inout Request) throws {
    try model.feedback.check(answer, count: request.count, shape: model.answerShape, from: model.version)
    let isLabels = model.feedback == .labels
    if let hash = request.hash {
      try ledger?.keep(answer.to(isLabels ? .int64 : .float32).data(), to: hash)
    }
    request.answer = answer
  }

  private func takeTurn(images: Int) {
    guard let rate = patience.rate else { return }
    let now = ContinuousClock.now
    if nextTurn > now { sleep((nextTurn - now) / .seconds(1)) }
    nextTurn = max(now, nextTurn) + .seconds(Double(images) / rate)
  }
}
