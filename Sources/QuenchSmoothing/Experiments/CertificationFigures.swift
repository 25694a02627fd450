import QuenchReporting
import QuenchSupport
import QuenchVision

/// What came of a certification, over all of its images.
public struct CertificationFigures: InlineGroup, Hashable, Sendable {
  /// `fixed` or `sequential`.
  public var method: String
  public var images: Int
  /// Under noise, at any radius; nil where a radius was asked for: an image may have its class and not the radius.
  public var accuracy: AccuracyFigure?
  public var certifiedAccuracies: CertifiedAccuracies
  public var averageCertifiedRadius: Double
  /// Images of which no class was shown to be the answer.
  public var abstained: Int
  /// Noisy copies that got NaN or infinity for an answer.
  public var noAnswer: Int
  /// Noisy copies that were classified.
  public var samples: Int
  public var samplesPerImage: Double
  public var seconds: Double
  public var samplesPerSecond: Double
  public var sigma: Double
  /// ``Certify/selection``, ``Certify/estimation`` and ``Certify/failureProbability``.
  public var n0: Int
  public var n: Int
  public var alpha: Double
  public var largestRadius: Double
  public var modelVersion: String
  /// What the certificates and the intervals mean.
  public var statement: String
  /// What the average is, where radii were asked for.
  public var averageCertifiedRadiusIs: String?

  init(_ rows: [CertifiedRow], _ certify: Certify, _ reportedRadii: [Double], version: String) {
    method = certify.radii == nil ? "fixed" : "sequential"
    images = rows.count
    accuracy =
      certify.radii?.first ?? 0 == 0 ? AccuracyFigure(rows.certifiedAccuracy(at: 0)) : nil
    // A radius that was not asked for is not one of which nothing was certified.
    certifiedAccuracies = CertifiedAccuracies(rows, at: certify.radii ?? reportedRadii)
    averageCertifiedRadius = rows.averageCertifiedRadius
    abstained = rows.count { $0.predicted == nil }
    noAnswer = rows.reduce(0) { $0 + ($1.unanswered ?? 0) }
    samples = rows.reduce(0) { $0 + ($1.queries ?? 0) }
    samplesPerImage = Double(samples) / Double(max(rows.count, 1))
    seconds = rows.reduce(0) { $0 + $1.seconds }
    samplesPerSecond = Double(samples) / max(seconds, 1e-9)
    (sigma, n0, n, alpha) = (
      certify.sigma, certify.selection, certify.estimation, certify.failureProbability
    )
    largestRadius = certify.largestRadius
    modelVersion = version
    statement =
      "each image's certificate is wrong with probability at most \(alpha); images that abstained count as wrong; "
      + "intervals hold the share among all images of this kind with 95 % confidence"
    averageCertifiedRadiusIs =
      certify.radii == nil ? nil : "a lower bound: each radius is rounded down to the radii asked for"
  }
}

/// The certified accuracy at each of several radii: `certified_accuracy_0.25`, and so on.
public struct CertifiedAccuracies: InlineGroup, Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    public var radius: Double
    public var accuracy: AccuracyFigure
  }

  public var entries: [Entry]

  init(_ rows: [CertifiedRow], at radii: [Double]) {
    entries = radii.map { Entry(radius: $0, accuracy: AccuracyFigure(rows.certifiedAccuracy(at: $0))) }
  }

  /// Nil where nothing is known of the radius.
  public subscript(radius: Double) -> AccuracyFigure? { entries.first { $0.radius == radius }?.accuracy }

  private static let prefix = "certified_accuracy_"

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: FigureKey.self)
    entries = []
    for key in container.allKeys where key.stringValue.hasPrefix(Self.prefix) {
      // The ends of intervals have no number behind the prefix.
      guard let radius = Double(key.stringValue.dropFirst(Self.prefix.count)) else { continue }
      entries.append(Entry(radius: radius, accuracy: try container.decode(AccuracyFigure.self, forKey: key)))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: FigureKey.self)
    for entry in entries {
      try container.encode(entry.accuracy, forKey: FigureKey(Self.prefix + Certify.name(of: entry.radius)))
    }
  }
}

/// A key of a summary that holds a number.
struct FigureKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Certify {
  /// A radius as keys and pages write it: `0.25`, `1`.
  static func name(of radius: Double) -> String {
    radius == radius.rounded() && radius.magnitude < 1e9 ? "\(Int(radius))" : "\(radius)"
  }
}
