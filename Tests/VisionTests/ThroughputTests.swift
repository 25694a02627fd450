import QuenchTorch
import Synchronization
import Testing

@testable import QuenchVision

@Suite("Throughput") struct ThroughputTests {
  @Test("is the median over the rounds, which one slow round does not move")
  func median() {
    #expect(Throughput(imagesPerStep: 10, rounds: [0.5, 9, 0.5, 0.25, 0.5]).imagesPerSecond == 20)
    #expect(Throughput(imagesPerStep: 10, rounds: [1, 3]).secondsPerStep == 2)
  }

  @Test("warms up, then times every round") func rounds() {
    var steps = 0
    let throughput = Throughput.measure(imagesPerStep: 4, rounds: 3, seconds: 0) {
      steps += 1
      return Tensor([Float(steps)])
    }
    #expect(throughput.rounds.count == 3)
    #expect(steps == Throughput.warmUpSteps + 3)
    #expect(throughput.rounds.allSatisfy { $0 > 0 })
  }

  @Test(
    "of two networks has a speed-up with the spread over the rounds, and a difference only where all rounds agree")
  func speedUp() {
    let faster = Latency(batchSize: 1, rounds: [[2, 2, 2.2, 2], [1, 1, 1, 1.25]]).speedUp(of: 1)
    #expect(faster.value == 2 && faster.low == 1.6 && faster.high == 2.2 && faster.isDifference)
    let same = Latency(batchSize: 1, rounds: [[3, 1, 1, 3.2], [1, 1.1, 1, 1]]).speedUp(of: 1)
    #expect(same.value > 1.9 && !same.isDifference)
    let slower = Latency(batchSize: 1, rounds: [[1, 1], [2, 4]]).speedUp(of: 1)
    #expect(slower.low == 0.25 && slower.high == 0.5 && slower.isDifference)
  }

  @Test("takes as long as the work") func time() {
    let clock = HandClock()
    let seconds = Throughput.time(4, by: clock) {
      clock.advance(by: .milliseconds(50))
      return Tensor([Float(0)])
    }
    #expect(seconds == 0.05)
  }
}

/// A clock that stands until it is moved.
private final class HandClock: Clock {
  struct Instant: InstantProtocol {
    var elapsed = Duration.zero
    func advanced(by duration: Duration) -> Instant { Instant(elapsed: elapsed + duration) }
    func duration(to other: Instant) -> Duration { other.elapsed - elapsed }
    static func < (a: Instant, b: Instant) -> Bool { a.elapsed < b.elapsed }
  }

  private let instant = Mutex(Instant())
  var now: Instant { instant.withLock { $0 } }
  var minimumResolution: Duration { .nanoseconds(1) }

  func advance(by duration: Duration) { instant.withLock { $0 = $0.advanced(by: duration) } }
  func sleep(until deadline: Instant, tolerance: Duration?) async throws { instant.withLock { $0 = deadline } }
}
