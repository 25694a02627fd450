/// How many of a number of images got the right class.
public struct Accuracy: Hashable, Codable, Sendable {
  public var correct: Int
  public var count: Int

  public init(correct: Int, count: Int) {
    self.correct = correct
    self.count = count
  }

  /// In [0, 1]; 0 for no images.
  public var fraction: Double { count == 0 ? 0 : Double(correct) / Double(count) }

  /// Wilson's 95 % interval for the accuracy on all images of this kind.
  public var interval: ClosedRange<Double> {
    guard count > 0 else { return 0...1 }
    let (n, z) = (Double(count), 1.959963984540054)
    let center = (fraction + z * z / (2 * n)) / (1 + z * z / n)
    let half = z / (1 + z * z / n) * (fraction * (1 - fraction) / n + z * z / (4 * n * n)).squareRoot()
    // With none or all of them right an end is exact, which the formula misses by a rounding.
    return (correct == 0 ? 0 : max(0, center - half))...(correct == count ? 1 : min(1, center + half))
  }
}
