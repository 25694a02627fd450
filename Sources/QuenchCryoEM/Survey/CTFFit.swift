/// What is known of a hole's quality: the resolution in Å up to which the rings of its power spectrum were fitted.
/// Low is good.
public enum CTFFit: Hashable, Sendable {
  /// Not exposed yet, or exposed and not fitted.
  case unmeasured
  /// The fit found no rings; such a hole is never good.
  case failed
  /// Rings were fitted up to this resolution in Å, above 0.
  case resolution(Double)

  /// Resolutions from here on, in Å, mean that the fit failed; CTF programs write 100000.
  public static let failureResolution = 1000.0
  /// What a failed fit, or a worse one, counts as where a number is needed, in Å.
  public static let clip = 20.0

  /// The fit that a file of CTF values means: -1 is unmeasured, 1000 and more a failed fit.
  /// - Returns: Nil for what is no resolution: NaN, zero, or another number below it.
  public init?(fileValue value: Double) {
    if value == -1 {
      self = .unmeasured
    } else if value >= Self.failureResolution {
      self = .failed
    } else if value > 0 {
      self = .resolution(value)
    } else {
      return nil
    }
  }

  /// The number that stands for the fit in a file of CTF values.
  public var fileValue: Double {
    switch self {
    case .unmeasured: -1
    case .failed: 100_000
    case .resolution(let value): value
    }
  }

  public var isMeasured: Bool { self != .unmeasured }

  /// The resolution in Å with failed and very bad fits at ``clip``; nil if unmeasured.
  public var clippedResolution: Double? {
    switch self {
    case .unmeasured: nil
    case .failed: Self.clip
    case .resolution(let value): min(value, Self.clip)
    }
  }

  /// Whether the micrograph is one to keep: fitted to `threshold` Å or better.
  public func isGood(threshold: Double) -> Bool {
    if case .resolution(let value) = self { value <= threshold } else { false }
  }
}

/// What a predictor says of a hole before it is exposed.
public enum Prediction: Hashable, Sendable {
  /// The expected resolution in Å, above 0.
  case resolution(Double)
  /// Probabilities of classes from best to worst; all but the last are good.
  case classes([Double])

  /// What the numbers mean; the same for all predictions of a survey.
  public enum Kind: Hashable, Sendable { case resolution, classes }

  public var kind: Kind {
    switch self {
    case .resolution: .resolution
    case .classes: .classes
    }
  }

  /// The probability that the hole is good, by a classifier.
  public var probabilityOfGood: Double? {
    if case .classes(let scores) = self { scores.dropLast().reduce(0, +) } else { nil }
  }

  /// The expected resolution in Å, by a regressor.
  public var resolution: Double? { if case .resolution(let value) = self { value } else { nil } }

  /// Whether the predictor calls the hole good: by a resolution of at most `threshold` Å, or because the best class is
  /// the likeliest (the first of equals).
  public func isGood(threshold: Double) -> Bool {
    switch self {
    case .resolution(let value): value <= threshold
    case .classes(let scores): scores.dropFirst().allSatisfy { $0 <= (scores.first ?? 0) }
    }
  }

  /// Lower for holes that are thought to be better; comparable among predictions of one kind.
  public var rank: Double {
    switch self {
    case .resolution(let value): value
    case .classes: 1 - (probabilityOfGood ?? 0)
    }
  }
}
