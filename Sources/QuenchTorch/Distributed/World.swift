import CTorch
import Foundation
import QuenchSupport
import Synchronization

/// The processes that compute one thing together, and this one's rank among them.
///
/// All ranks run the same program on the same settings; what one of them computes of its own share is put together by
/// the calls here, which all ranks make in the same order. A world of one process is the identity: no algorithm
/// asks whether there are others. LibTorch's c10d does the work: its store of keys, over which the processes find
/// each other, and gloo.
///
/// A rank that is lost or hangs ends the others: a call that waits for it never returns.
public final class World: Ranks {
  /// This process by itself.
  public static let alone = World(rank: 0, size: 1, link: nil)

  public let rank: Int
  public let size: Int
  private let link: Link?

  private init(rank: Int, size: Int, link: Link?) { (self.rank, self.size, self.link) = (rank, size, link) }

  /// Meets the other ranks.
  /// - Parameters:
  ///   - place: This process's.
  ///   - patience: Seconds that a rank waits for the others in one call before it gives up; meeting may take five times
  ///     as long, and at least five minutes.
  ///   - lose: Ends this process when another rank is the reason that the work can't go on.
  /// - Throws: `InputError` if the others are not there in time.
  public convenience init(
    joining place: RankPlace, patience: Double = 60, lose: @escaping @Sendable (InputError) -> Never
  ) throws(InputError) {
    let link = try Link(place, patience: patience, lose: lose)
    self.init(rank: place.rank, size: place.size, link: link)
  }

  /// Tensors that this rank gave to be added up.
  private struct Given {
    var (messages, bytes, steps) = (0, 0, 0)
  }

  /// The connection to the other ranks.
  private final class Link: Sendable {
    let given = Mutex(Given())
    let givenInSteps = Mutex(Given())
    private let store: RankStore
    private let group: UInt
    let heartbeat: Heartbeat

    init(
      _ place: RankPlace, patience: Double, lose: @escaping @Sendable (InputError) -> Never
    ) throws(InputError) {
      let meeting = max(300, 5 * patience)
      func connect(serves: Bool) throws(InputError) -> RankStore {
        try RankStore(
          host: place.address, port: place.port, serves: serves, prefix: "quench/\(place.attempt)/",
          seconds: meeting)
      }
      store = try connect(serves: place.rank == 0 && !place.isServed)
      heartbeat = Heartbeat(place, try connect(serves: false), patience: patience, lose: lose)
      do throws(TorchFailure) {
        try store.meet(place, seconds: meeting)
        group = UInt(bitPattern: try store.join(rank: place.rank, size: place.size, seconds: patience))
      } catch {
        throw InputError(
          "the ranks did not meet: \(error.message.excerpt(300))", at: "\(place.address):\(place.port)",
          remedy: "start all \(place.size) of them, or give --standalone for one process")
      }
      heartbeat.begin()
    }

    deinit { ct_group_release(OpaquePointer(bitPattern: group)) }

    func sum(_ tensor: Tensor) {
      heartbeat.count()
      given.withLock {
        $0.messages += 1
        $0.bytes += tensor.count * tensor.dtype.byteCount
      }
      var error = ct_error()
      guard ct_group_sum(OpaquePointer(bitPattern: group), tensor.raw, &error) == CT_OK else {
        heartbeat.explain(TorchFailure(taking: error))
      }
    }
  }

  /// The work is done: waits for the others, and lets go of them.
  public func leave() {
    barrier()
    link?.heartbeat.stop()
    if rank == 0 { link?.heartbeat.waitForOthers(seconds: 10) }
  }

  /// This rank can't go on: the others end too, and say why.
  public func leave(because reason: String) { link?.heartbeat.stop(because: reason) }
}

extension RankStore {
  /// Waits until all ranks are there.
  /// - Throws: `TorchFailure` if some are not in time: it says which.
  fileprivate func meet(_ place: RankPlace, seconds: Double) throws(TorchFailure) {
    try set("here/\(place.rank)", "")
    let deadline = ContinuousClock.now + .seconds(seconds)
    var missing = Array(0..<place.size)
    while true {
      var left: [Int] = []
      for rank in missing where try self["here/\(rank)"] == nil { left.append(rank) }
      missing = left
      if missing.isEmpty { return }
      guard .now < deadline else {
        let names = missing.prefix(8).map(String.init).joined(separator: ", ")
        throw TorchFailure(message: "\(missing.count) of \(place.size) did not come: \(names)")
      }
      Thread.sleep(forTimeInterval: 0.02)
    }
  }
}

// MARK: - What a training step costs

extension World {
  public var stepTraffic: StepTraffic? {
    guard let all = link?.givenInSteps.withLock({ $0 }), all.steps > 0 else { return nil }
    let steps = Double(all.steps)
    return StepTraffic(bytes: Double(all.bytes) / steps, messages: Double(all.messages) / steps)
  }

  /// Does a training step, whose share in ``stepTraffic`` is counted.
  public func step<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard let link else { return try body() }
    let before = link.given.withLock { $0 }
    let result = try body()
    let after = link.given.withLock { $0 }
    link.givenInSteps.withLock {
      $0.messages += after.messages - before.messages
      $0.bytes += after.bytes - before.bytes
      $0.steps += 1
    }
    return result
  }
}

// MARK: - What ranks do together

extension World {
  /// The sum of a tensor over all ranks, on its device, bit for bit the same in all of them; not differentiable.
  public func sum(_ tensor: Tensor) -> Tensor {
    guard let link else { return tensor }
    return withoutGradient {
      let total = tensor.detached().to(.cpu).contiguous().cloned()
      link.sum(total)
      return total.to(tensor.device)
    }
  }

  /// The sums of numbers over all ranks.
  public func sum(_ numbers: [Double]) -> [Double] {
    size == 1 ? numbers : sum(Tensor(numbers)).array(Double.self)
  }

  /// Waits until all ranks are here.
  public func barrier() { _ = sum([1]) }

  /// What every rank gives, in the order of the ranks.
  public func gather(_ data: Data) -> [Data] {
    guard size > 1 else { return [data] }
    var counts = [Double](repeating: 0, count: size)
    counts[rank] = Double(data.count)
    counts = sum(counts)
    let ends = counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + Int($1)) }
    guard let total = ends.last, total > 0 else { return counts.map { _ in Data() } }
    // Where the others have zeros the sum is what one rank gives.
    var bytes = Data(count: total)
    bytes.replaceSubrange(ends[rank]..<ends[rank + 1], with: data)
    let all = sum(bytes.withUnsafeBytes { Tensor(bytes: $0, shape: [total], dtype: .uint8) }).data()
    return (0..<size).map { all.subdata(in: ends[$0]..<ends[$0 + 1]) }
  }

  /// What rank 0 gives; what the others give does not matter.
  public func broadcast(_ data: Data) -> Data { gather(rank == 0 ? data : Data())[0] }

  /// Rows of tensors that each rank has some of, put together in the order of the ranks: `[n, ...]` of one type.
  public func gatherRows(_ tensor: Tensor) -> Tensor {
    guard size > 1 else { return tensor }
    let counts = rowCounts(tensor.size(0))
    let rest = Array(tensor.shape.dropFirst())
    return withoutGradient {
      let own = tensor.detached().inFullPrecision()
      let parts = counts.enumerated().map { rank, count in
        rank == self.rank ? own : Tensor.zeros([count] + rest, dtype: own.dtype, device: own.device)
      }
      return sum(Tensor.concatenated(parts)).to(tensor.dtype)
    }
  }

  private func rowCounts(_ own: Int) -> [Int] {
    var counts = [Double](repeating: 0, count: size)
    counts[rank] = Double(own)
    return sum(counts).map { Int($0) }
  }

  /// This rank's part of a range: consecutive ones in the order of the ranks, as long as each other but for one.
  public func part(of range: Range<Int>) -> Range<Int> {
    let start = { rank in range.lowerBound + range.count * rank / self.size }
    return start(rank)..<start(rank + 1)
  }
}
