import Foundation
import QuenchSupport
import Synchronization

/// Tells the other ranks that this one is alive, and finds out which one is not.
///
/// A thread of its own writes a number that counts up into the store, four times a second, with how many sums this
/// rank has come to, and looks after the next rank. A rank that ends before its work is done says why, where it
/// still can, and that ends the others.
final class Heartbeat: Sendable {
  private struct State {
    var isStopped = false
    /// The last beat of the rank that this one looks after, and when it came.
    var watched: (beat: String, since: ContinuousClock.Instant)?
  }

  private static let interval = 0.25
  private static let endKey = "end"

  private let place: RankPlace
  private let store: RankStore
  private let patience: Double
  /// Sums that this rank has begun.
  private let sums = Atomic(0)
  private let state = Mutex(State())
  private let lose: @Sendable (InputError) -> Never

  /// - Parameters:
  ///   - place: Of this rank.
  ///   - store: A connection that nobody else uses.
  ///   - patience: Seconds after which a rank that says nothing is given up; a quarter of them where it does not even
  ///     beat.
  ///   - lose: Ends this process with what became of another.
  init(
    _ place: RankPlace, _ store: RankStore, patience: Double, lose: @escaping @Sendable (InputError) -> Never
  ) {
    (self.place, self.store, self.patience, self.lose) = (place, store, patience, lose)
  }

  func begin() {
    let host = ProcessInfo.processInfo.hostName
    try? store.set("who/\(place.rank)", "process \(getpid()) on \(host)")
    Thread.detachNewThread { [self] in
      var count = 0
      while !state.withLock(\.isStopped) {
        count += 1
        do throws(TorchFailure) {
          try store.set("beat/\(place.rank)", "\(count) \(sums.load(ordering: .relaxed))")
          if let end = try store[Self.endKey] { leave(end) }
          try watchNext()
        } catch { leave(withoutStore(error)) }
        Thread.sleep(forTimeInterval: Self.interval)
      }
    }
  }

  /// Notes that a sum begins.
  func count() { sums.add(1, ordering: .relaxed) }

  /// The rank leaves: its silence means nothing any more.
  func stop() {
    state.withLock { $0.isStopped = true }
    try? store.set("left/\(place.rank)", "")
  }

  /// The rank leaves before the work is done: the others are to end too, and to say why.
  func stop(because reason: String) {
    state.withLock { $0.isStopped = true }
    _ = try? store.setFirst(Self.endKey, "rank \(place.rank) ended\n\(reason)")
    try? store.set("left/\(place.rank)", "")
    if place.rank == 0 { waitForOthers(seconds: 2) }
  }

  /// Waits until the others have left, where they need this process for that: it may serve the store.
  /// - Parameter lost: One that will not.
  func waitForOthers(seconds: Double, besides lost: Int? = nil) {
    let deadline = ContinuousClock.now + .seconds(seconds)
    for rank in 0..<place.size where rank != lost {
      while (try? store["left/\(rank)"]) == .some(nil), .now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    }
  }

  /// A sum has failed: ends this process with the rank that is the reason.
  func explain(_ failure: TorchFailure) -> Never {
    let first = beats
    for _ in 0..<8 {
      Thread.sleep(forTimeInterval: Self.interval)
      if let end = try? store[Self.endKey] { leave(end) }
    }
    guard !first.isEmpty else { leave(withoutStore(failure)) }
    let last = beats
    let others = (0..<place.size).filter { $0 != place.rank }
    if let silent = others.first(where: { last[$0] == nil || last[$0] == first[$0] }) {
      leave("rank \(silent) is lost\nits process does not answer any more")
    }
    let mine = sums.load(ordering: .relaxed)
    func behind(_ rank: Int) -> Int { last[rank]?.split(separator: " ").last.flatMap { Int($0) } ?? 0 }
    if let late = others.min(by: { behind($0) < behind($1) }), behind(late) < mine {
      leave("rank \(late) hangs\nits process lives, but the others have waited \(Int(patience)) s for it")
    }
    leave("the ranks cannot reach each other\n\(failure.message.excerpt(300))")
  }

  /// The last beats of the ranks; none where the store is gone.
  private var beats: [Int: String] {
    var beats: [Int: String] = [:]
    for rank in 0..<place.size { beats[rank] = (try? store["beat/\(rank)"]) ?? nil }
    return beats
  }

  private func watchNext() throws(TorchFailure) {
    let next = (place.rank + 1) % place.size
    guard let beat = try store["beat/\(next)"], try store["left/\(next)"] == nil else { return }
    let silence = state.withLock { state -> Double in
      if state.watched?.beat != beat { state.watched = (beat, .now) }
      return state.watched.map { (ContinuousClock.now - $0.since) / .seconds(1) } ?? 0
    }
    if silence > patience / 4 {
      leave("rank \(next) is lost\nits process has not answered for \(Int(patience / 4)) s")
    }
  }

  private func withoutStore(_ failure: TorchFailure) -> String {
    place.isServed
      ? "the launcher's store is lost\n\(failure.message.excerpt(300))" : "rank 0 is lost\nits process ended"
  }

  /// Ends this process; all ranks give the reason that was found first.
  private func leave(_ found: String) -> Never {
    let reason = (try? store.setFirst(Self.endKey, found)) ?? found
    // A rank that meets the same error by itself says so better, and notes it in its run's folder.
    Thread.sleep(forTimeInterval: 1)
    if state.withLock(\.isStopped) { while true { Thread.sleep(forTimeInterval: 1) } }
    let parts = reason.split(separator: "\n", maxSplits: 1).map(String.init)
    let rank = parts.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    let who = rank.flatMap { (try? store["who/\($0)"]) ?? nil }
    try? store.set("left/\(place.rank)", "")
    if place.rank == 0 { waitForOthers(seconds: 2, besides: rank) }
    lose(
      InputError(
        parts.joined(separator: ": "), at: who,
        remedy: "start all ranks again with `resume`: the run goes on from its last checkpoint"))
  }
}
