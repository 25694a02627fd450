import Reporting

/// Something that a reader of a robust accuracy must know: why it may be wrong, or what was changed.
public struct Finding: Hashable, Codable, Sendable {
  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// The same images got different logits.
    case randomised
    /// The answers look like probabilities.
    case probabilities
    /// The logits do not depend on the image.
    case constant
    /// The logits depend on whether gradients are recorded.
    case dynamic
    /// The gradient vanishes where an attack sets out.
    case zeroGradient = "zero-gradient"
    /// A black-box attack broke what those with gradients did not.
    case maskedGradient = "masked-gradient"
    /// Targets or losses were changed for a model of few classes.
    case fewClasses = "few-classes"
    /// Every sample was misclassified before any attack.
    case nothingToAttack = "nothing-to-attack"
    /// The clean accuracy is not the one that the user expects.
    case cleanAccuracy = "clean-accuracy"
    /// The budget is 0.
    case emptyBudget = "empty-budget"
    /// Images are not square, and an attack with square windows covers them unevenly.
    case notSquare = "not-square"
  }

  public var kind: Kind
  /// One sentence without a full stop.
  public var message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var value: Value { ["kind": .string(kind.rawValue), "message": .string(message)] }
}
