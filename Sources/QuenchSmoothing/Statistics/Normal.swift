import CStatistics

/// The standard normal distribution.
public enum Normal {
  /// Φ(x), the probability of a value at most `x`. Take `cdf(-x)` for 1 - Φ(x): it does not cancel.
  public static func cdf(_ x: Double) -> Double { cs_normal_cdf(x) }
  /// Φ⁻¹(p); infinite for 0 and 1.
  public static func quantile(_ p: Double) -> Double { cs_normal_quantile(p) }
}
