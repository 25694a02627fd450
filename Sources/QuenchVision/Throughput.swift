import QuenchTorch

/// How fast a piece of work goes: warmed up, timed in several rounds, summed up by their median.
public struct Throughput: Hashable, Sendable {
  /// Images that one step works on.
  public var imagesPerStep: Int
  /// Seconds that a step took, one figure a round.
  public var rounds: [Double]

  /// Steps before the first timed one: they take memory, choose kernels and fill caches.
  public static let warmUpSteps = 3

  public init(imagesPerStep: Int, rounds: [Double]) {
    self.imagesPerStep = imagesPerStep
    self.rounds = rounds
  }

  /// Times `step`.
  /// - Parameters:
  ///   - imagesPerStep: How many images one step works on, for the rate.
  ///   - rounds: How many figures the median is taken of; at least 1.
  ///   - seconds: What a round lasts about; it has at least one step.
  ///   - step: Does the work once and returns its result, which is waited for.
  public static func measure(
    imagesPerStep: Int, rounds: Int = 5, seconds: Double = 0.5, step: () -> Tensor
  ) -> Throughput {
    let once = time(warmUpSteps, step)
    let steps = max(1, Int((seconds / max(once, 1e-6)).rounded()))
    return Throughput(imagesPerStep: imagesPerStep, rounds: (0..<max(1, rounds)).map { _ in time(steps, step) })
  }

  /// Seconds a step, over `count` steps one after the other.
  ///
  /// The last result is read at the end, which waits for a device that works on while the program goes on.
  public static func time(
    _ count: Int, by clock: some Clock<Duration> = ContinuousClock(), _ step: () -> Tensor
  ) -> Double {
    let elapsed = clock.measure {
      for _ in 1..<max(1, count) { _ = step() }
      step().withUnsafeBytes { _ in }
    }
    return elapsed / .seconds(1) / Double(max(1, count))
  }

  /// The median over the rounds.
  public var secondsPerStep: Double { Throughput.median(rounds) }

  /// NaN of nothing.
  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    guard !sorted.isEmpty else { return .nan }
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }

  public var imagesPerSecond: Double { Double(imagesPerStep) / secondsPerStep }
}
