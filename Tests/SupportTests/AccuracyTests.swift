import QuenchSupport
import Testing

@Suite("An accuracy") struct AccuracyTests {
  /// By scipy 1.17, `binomtest(k, n).proportion_ci(method="wilson")`.
  @Test("has Wilson's interval", arguments: [(5, 10, 0.2365931, 0.7634069), (9077, 10000, 0.9018693, 0.9132176)])
  func interval(correct: Int, count: Int, low: Double, high: Double) {
    let interval = Accuracy(correct: correct, count: count).interval
    #expect(abs(interval.lowerBound - low) < 1e-6 && abs(interval.upperBound - high) < 1e-6, "\(interval)")
  }

  @Test("of none or all is an end of its interval", arguments: 1...60) func ends(count: Int) {
    let (none, all) = (Accuracy(correct: 0, count: count), Accuracy(correct: count, count: count))
    #expect(none.interval.lowerBound == 0 && none.interval.upperBound < 1)
    #expect(all.interval.upperBound == 1 && all.interval.lowerBound > 0)
  }
}
