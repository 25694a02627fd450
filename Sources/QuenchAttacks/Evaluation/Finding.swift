import QuenchReporting

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
    /// The gradient vanishes at samples that the attack has not broken.
    case zeroGradient = "zero-gradient"
    /// An attack without gradients, or a probe on margins of logits, broke what the gradients hid.
    case maskedGradient = "masked-gradient"
    /// A short probe broke more than the attack did.
    case weakAttack = "weak-attack"
    /// The model answered what is no finite number.
    case undefined
    /// The attack had fewer steps, queries or targets than its name stands for.
    case reduced
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
