import Foundation
import Support
import Torch

/// A black box whose every query is entered in a ``QueryLedger``, cut into batches that it takes, and checked.
///
/// A request that was answered before is answered from the ledger: a run that is resumed asks no question twice.
public final class MeteredBlackBox {
  public let model: any BlackBox
  public let ledger: QueryLedger
  /// Images a request.
  public let batchSize: Int

  public init(_ model: any BlackBox, ledger: QueryLedger, batchSize: Int = 512) {
    self.model = model
    self.ledger = ledger
    self.batchSize = min(batchSize, model.largestBatch ?? batchSize)
  }

  /// The model's answers for `images`, `[N, C, H, W]`.
  /// - Throws: `InputError` if the budget is spent, the model cannot be reached or answers what it must not.
  public func answer(_ images: Tensor, for purpose: QueryLedger.Purpose) throws -> Tensor {
    let answers = try images.split(batchSize).map { batch in try request(batch, purpose) }
    return answers.count == 1 ? answers[0] : Tensor.concatenated(answers)
  }

  private func request(_ images: Tensor, _ purpose: QueryLedger.Purpose) throws -> Tensor {
    let count = images.size(0)
    let shape = model.feedback == .labels ? [count] : [count, model.classes]
    let dtype: DType = model.feedback == .labels ? .int64 : .float32
    // Samples of a certificate must be fresh.
    let isKept = purpose != .certification
    let hash =
      isKept
      ? images.withUnsafeBytes { Fingerprint.sha256(Data($0) + Data("\(model.version) \(model.feedback)".utf8)) }
      : ""
    if isKept, let kept = try ledger.answer(to: hash, images: count, for: purpose),
      kept.count == shape.reduce(dtype.byteCount, *)
    {
      return kept.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: dtype) }.to(images.device)
    }
    try ledger.enter(count, for: purpose)
    let answer = try model.answer(images)
    try model.feedback.check(answer, count: count, classes: model.classes, from: model.version)
    if isKept { try ledger.keep(answer.to(dtype).data(), to: hash) }
    return answer
  }
}
