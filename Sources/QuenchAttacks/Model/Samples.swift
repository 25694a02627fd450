import QuenchSupport
import QuenchTorch
import QuenchVision

/// The samples that an attack works on, or those of them that are still in play.
///
/// Only the evaluator makes them: whatever an attack asks of the model it asks for its samples, and is counted.
public struct Samples {
  /// float32 pixels in [0, 1], `[N, C, H, W]`: the clean images.
  public let images: Tensor
  /// int64 `[N]`: the classes that the images have.
  public let labels: Tensor
  /// int64 `[N]`: classes to aim at, where the attack aims.
  public private(set) var targets: Tensor?
  /// Whether only the target counts as success, and not any wrong class.
  public private(set) var demandsTarget = false
  /// Where each sample stands in its data set.
  public let indices: [Int]
  /// Where each sample stands in the batch that the evaluator handed out, int64 `[N]`.
  let rows: Tensor
  let seed: UInt64
  let ledger: QueryCounts

  package init(
    images: Tensor, labels: Tensor, targets: Tensor? = nil, indices: [Int], seed: UInt64, ledger: QueryCounts? = nil
  ) {
    let count = images.size(0)
    self.init(
      images: images, labels: labels, targets: targets, demandsTarget: targets != nil, indices: indices,
      rows: Tensor.arange(to: Double(count), device: images.device), seed: seed,
      ledger: ledger ?? QueryCounts(count: count, device: images.device))
  }

  private init(
    images: Tensor, labels: Tensor, targets: Tensor?, demandsTarget: Bool, indices: [Int], rows: Tensor,
    seed: UInt64, ledger: QueryCounts
  ) {
    self.images = images
    self.labels = labels
    self.targets = targets
    self.demandsTarget = demandsTarget
    self.indices = indices
    self.rows = rows
    self.seed = seed
    self.ledger = ledger
  }

  public var count: Int { indices.count }
  public var isEmpty: Bool { indices.isEmpty }
  var device: Device { images.device }

  /// The samples at `positions`, int64 `[n]`.
  public func selecting(_ positions: Tensor) -> Samples {
    let list = positions.array(Int64.self).map { Int($0) }
    return Samples(
      images: images.selecting(positions), labels: labels.selecting(positions),
      targets: targets?.selecting(positions), demandsTarget: demandsTarget, indices: list.map { indices[$0] },
      rows: rows.selecting(positions), seed: seed, ledger: ledger)
  }

  /// The same samples with classes to aim at, `[N]`; any wrong class still is success.
  public func aiming(at targets: Tensor) -> Samples {
    var copy = self
    copy.targets = targets
    copy.demandsTarget = false
    return copy
  }

  /// Which samples `logits`, `[N, classes]`, show as successes: another class than the label's, or the target.
  /// Of equal logits the lowest class wins; logits that are no finite numbers are no answer and no success.
  public func broken(_ logits: Tensor) -> Tensor {
    let answers = logits.argmax(1)
    let aim = demandsTarget ? targets : nil
    let isOther = aim.map { answers .== $0 } ?? (answers .!= labels)
    return isOther.logicalAnd(logits.areDefined())
  }

  /// Random numbers that follow from the run's seed, the sample's index, the attack and the restart.
  func random(_ attack: String, restart: Int = 0) -> SampleRandom {
    let name = Generator.derive(seed, attack)
    let keys = indices.map { index in
      var stream = SplitMix64(name, UInt64(restart), UInt64(bitPattern: Int64(index)))
      return stream.next()
    }
    return SampleRandom(keys: keys, device: device)
  }
}

/// What a model was asked about each sample of a batch.
public final class QueryCounts {
  /// Forward passes, int64 `[N]`.
  let forward: Tensor
  /// Backward passes, int64 `[N]`.
  let backward: Tensor
  /// How often the gradient was zero everywhere although the attack had not succeeded, int64 `[N]`.
  let vanished: Tensor
  /// How often the answer was no finite number, int64 `[N]`.
  let undefined: Tensor

  package init(count: Int, device: Device = .cpu) {
    forward = .zeros([count], dtype: .int64, device: device)
    backward = .zeros([count], dtype: .int64, device: device)
    vanished = .zeros([count], dtype: .int64, device: device)
    undefined = .zeros([count], dtype: .int64, device: device)
  }

  func note(_ samples: Samples, forward forwardPasses: Int, backward backwardPasses: Int = 0) {
    forward.addSlices(samples.rows.fullLike(Double(forwardPasses)), at: samples.rows)
    if backwardPasses > 0 { backward.addSlices(samples.rows.fullLike(Double(backwardPasses)), at: samples.rows) }
  }

  /// Notes where `gradient`, `[N, C, H, W]`, vanishes while `logits`, `[N, classes]`, show no success yet.
  func noteVanished(_ samples: Samples, _ gradient: Tensor, _ logits: Tensor?) {
    var isZero = gradient.perSample(.linf) .== 0
    if let logits { isZero = isZero.logicalAnd(samples.broken(logits).logicalNot()) }
    vanished.addSlices(isZero.to(.int64), at: samples.rows)
  }

  /// Notes where `logits`, `[N, classes]`, are no finite numbers.
  func noteUndefined(_ samples: Samples, _ logits: Tensor) {
    undefined.addSlices(logits.areDefined().logicalNot().to(.int64), at: samples.rows)
  }
}

extension Tensor {
  /// Which rows of logits, `[N, classes]`, are finite: bool `[N]`.
  func areDefined() -> Tensor { isFinite().all(1) }
}
