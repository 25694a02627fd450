import QuenchReporting
import QuenchSupport

/// How predictions are certified, and on which part of a data set.
public struct CertificationSettings: InlineGroup, Hashable, Sendable {
  /// σ, the noise's standard deviation, in units in which pixels lie in [0, 1].
  public var sigma = 0.25
  /// n₀, noisy copies that pick the class.
  public var selection = 100
  /// n, noisy copies that bound its probability: at most, or if ``fixed`` exactly.
  public var estimation = 10_000
  /// α, the probability that a certificate is wrong.
  public var failureProbability = 0.001
  /// Take all copies, for the largest radius that they show (Cohen et al. 2019, CERTIFY).
  public var fixed = false
  /// The one radius that is asked for; nil: several.
  public var targetRadius: Double?
  /// The radii that are asked for; nil: 0, 0.25, 0.5 and 0.75, as far as the copies can show them.
  public var radii: [Double]?
  /// Noisy copies that are classified at once. No certificate depends on it.
  public var batchSize = 256
  public var shard = Shard.whole

  enum CodingKeys: String, CodingKey {
    case sigma
    case selection = "n0"
    case estimation = "n"
    case failureProbability = "alpha"
    case fixed, targetRadius, radii, batchSize, shard
  }

  private static let standardRadii = [0, 0.25, 0.5, 0.75]

  public init() {}

  /// The settings with radii in rising order.
  /// - Throws: `InputError` for values out of range or that can certify nothing.
  public func checked() throws(InputError) -> CertificationSettings {
    try requireSetting(batchSize > 0, "batch-size", "at least 1", batchSize)
    guard [fixed, targetRadius != nil, radii != nil].count(where: { $0 }) < 2 else {
      throw InputError(
        "fixed, target-radius and radii exclude each other", at: radii == nil ? "target-radius" : "radii",
        remedy: "give one of them")
    }
    if let targetRadius {
      try requireSetting(
        (0..<CertifiedRow.largestRadius).contains(targetRadius), "target-radius", "0 or more and below 1,000,000",
        targetRadius)
    }
    var settings = self
    settings.radii = radii?.sorted()
    _ = try settings.certify()
    return settings
  }

  /// The radii at which the certified accuracy is told.
  var reportedRadii: [Double] { targetRadius.map { [$0] } ?? radii ?? Self.standardRadii }

  /// - Throws: `InputError` for values out of range or that can certify nothing.
  public func certify() throws(InputError) -> Certify {
    guard !fixed else {
      return try Certify(
        fixed: estimation, sigma: sigma, selection: selection, failureProbability: failureProbability)
    }
    func asking(_ radii: [Double]) throws(InputError) -> Certify {
      try Certify(
        radii: radii, atMost: estimation, sigma: sigma, selection: selection,
        failureProbability: failureProbability)
    }
    guard targetRadius == nil, radii == nil else { return try asking(reportedRadii) }
    // Nobody asked for the radii that n copies cannot show.
    let largest = try asking([0]).largestRadius
    return try asking(Self.standardRadii.filter { $0 < largest })
  }
}

/// Every ``count``-th image of a data set from the ``part``-th on: others certify the rest in their own folders.
public struct Shard: Hashable, Sendable, CustomStringConvertible {
  /// From 1 on.
  public let part: Int
  public let count: Int

  public static let whole = Shard(part: 1, count: 1)

  private init(part: Int, count: Int) {
    self.part = part
    self.count = count
  }

  /// Nil unless `text` is of the form `1/4`, with a part that there is.
  public init?(_ text: String) {
    let parts = text.split(separator: "/").map { Int($0) }
    guard parts.count == 2, let part = parts[0], let count = parts[1], count >= 1, (1...count).contains(part) else {
      return nil
    }
    self.init(part: part, count: count)
  }

  public var description: String { "\(part)/\(count)" }

  func indices(of images: Int) -> [Int] { Array(stride(from: part - 1, to: images, by: count)) }
}

extension Shard: Codable {
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let shard = Shard(text) else {
      throw InputError(
        "this is no part of a data set", at: "shard", expected: "i/k, such as 1/4", found: "'\(text)'")
    }
    self = shard
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
