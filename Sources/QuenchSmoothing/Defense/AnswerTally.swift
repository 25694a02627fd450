import QuenchSupport

/// What in a model's answers speaks against a training from queries, counted over its steps.
public struct AnswerTally: Hashable, Sendable {
  /// Differences of losses that were taken, and those that were exactly 0: what rounding leaves of steps that are too
  /// short.
  public private(set) var differences = 0
  public private(set) var zeroDifferences = 0
  /// Images that were shown, and those that were left out of their step since the model twice answered NaN or infinity.
  public private(set) var images = 0
  public private(set) var leftOut = 0
  private var hasToldOfZeros = false
  private var hasToldOfLeftOut = false

  /// The share of differences that may be 0, and of images that may be left out, before it is told.
  public static let tolerance = 0.05
  /// The share of differences of which training learns nothing.
  private static let hopeless = 0.98
  private static let (fewToTell, fewToStop) = (100, 1000)

  public init() {}

  /// The share of differences that were 0; nil where none was taken.
  public var zeroShare: Double? { differences == 0 ? nil : Double(zeroDifferences) / Double(differences) }

  /// Counts a step.
  /// - Returns: What is to be told for the first time.
  /// - Throws: `InputError` where going on would be a waste of queries.
  mutating func add(
    differences step: (all: Int, zero: Int), images count: Int, leftOut: Int
  ) throws(InputError) -> [String] {
    differences += step.all
    zeroDifferences += step.zero
    images += count
    self.leftOut += leftOut
    var findings: [String] = []
    if let zeroShare, differences >= Self.fewToTell, zeroShare > Self.tolerance {
      let text = "\(Int((100 * zeroShare).rounded())) % of the differences are exactly 0"
      guard differences < Self.fewToStop || zeroShare < Self.hopeless else {
        throw InputError(
          "the model's answers are too coarse for this step: \(text)", at: "smoothing-step",
          remedy: "raise it, or ask for answers of more digits")
      }
      if !hasToldOfZeros {
        findings.append("\(text): the step is short for the model's digits; raise smoothing-step")
      }
      hasToldOfZeros = true
    }
    guard self.leftOut > 0 else { return findings }
    guard leftOut < count, self.leftOut <= 32 || Double(self.leftOut) <= Self.tolerance * Double(images) else {
      throw InputError(
        "the model answers NaN or infinity, also when it is asked again", at: "\(self.leftOut) of \(images) images",
        expected: "numbers for at least \(Int(100 - 100 * Self.tolerance)) % of them",
        remedy: "see what the model does with noisy pixels; clip keeps them within [0, 1]")
    }
    if !hasToldOfLeftOut {
      findings.append(
        "the model answers some images with NaN or infinity, also when asked again: they are left out")
    }
    hasToldOfLeftOut = true
    return findings
  }
}
