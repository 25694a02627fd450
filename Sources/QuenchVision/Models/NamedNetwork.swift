import QuenchSupport
import QuenchTorch

/// A network by its name, to which a file of weights belongs that does not say its architecture: what the name leaves
/// open, how many classes and which of its forms, the weights decide.
public struct NamedNetwork: Hashable, Sendable {
  public var model: ModelName
  /// `[channels, height, width]` of an image; nil: as usual.
  public var input: [Int]?
  /// Nil: as many as the weights have.
  public var classes: Int?
  /// What pixels are normalized by, where nothing else says it.
  public var assumed = Normalization.none
  /// Whose pixels these are the statistics of.
  public var assumedFrom: String?

  /// - Parameters:
  ///   - model: Its name.
  ///   - input: `[channels, height, width]` of an image; nil: as usual.
  ///   - classes: Nil: as many as the weights have.
  /// - Throws: `InputError` if such images are too small for it.
  public init(_ model: ModelName, input: [Int]? = nil, classes: Int? = nil) throws(InputError) {
    (self.model, self.input, self.classes) = (model, input, classes)
    _ = try architecture()
  }

  /// The network for images and classes as they are given, or else as usual.
  /// - Throws: `InputError` if such images are too small for it.
  public func architecture() throws(InputError) -> Architecture { try architecture(of: model, classes: classes) }

  private func architecture(of model: ModelName, classes: Int?) throws(InputError) -> Architecture {
    let usual = model.usualArchitecture
    let shape = input ?? usual.inputShape
    let architecture = model.architecture(input: shape, classes: classes ?? usual.outputShape[0])
      .normalizing(mean: assumed.mean, standardDeviation: assumed.standardDeviation)
    do { try architecture.validate(at: model.rawValue) } catch {
      throw InputError("the images do not suit \(model.rawValue)", at: "input", found: ImageShape.text(shape))
    }
    return architecture
  }

  /// How many numbers a file of weights may hold: those of the largest form.
  var tensorCount: Int { model.forms.map { $0.usualArchitecture.parameterCount }.max() ?? 0 }

  /// The weights in `state` as those of the first form that they fit; where they fit none, as those of the network itself.
  /// - Throws: `InputError` if the images are too small for the network.
  func weights(of state: StateDictionary) throws(InputError) -> WrappedWeights {
    let first = try wrapped(state, as: model)
    if first.fits { return first }
    for form in model.forms.dropFirst() {
      guard var other = try? wrapped(state, as: form), other.fits else { continue }
      other.notes.append("the weights are those of '\(form.rawValue)'")
      return other
    }
    return first
  }

  private func wrapped(_ state: StateDictionary, as model: ModelName) throws(InputError) -> WrappedWeights {
    var weights = WrappedWeights(state, of: try architecture(of: model, classes: classes))
    guard classes == nil, let head = weights.architecture.tensorShapes.last(where: { $0.shape.count == 2 }),
      let found = weights.state[head.name], found.rank == 2, found.size(0) != head.shape[0],
      (1...100_000).contains(found.size(0))
    else { return weights }
    let (mean, deviation) = (weights.architecture.mean, weights.architecture.standardDeviation)
    weights.architecture = try architecture(of: model, classes: found.size(0))
      .normalizing(mean: mean, standardDeviation: deviation)
    return weights
  }
}

extension ModelName {
  /// The networks that go by the same name in several collections, this one first.
  var forms: [ModelName] { [self] + Self.allCases.filter { $0 != self && $0.family == family } }

  private var family: String {
    var name = rawValue.replacing("_", with: "-")
    for part in ["cifar-", "-imagenet"] { name = name.replacing(part, with: "") }
    return name
  }

  /// The network whose tensors are most like those of `state` by name and shape; nil where none is much like it.
  static func closest(to state: StateDictionary) -> ModelName? {
    var best: (model: ModelName, share: Double)?
    for model in allCases {
      let share = WrappedWeights(state, of: model.usualArchitecture).share
      if share > best?.share ?? 0.8 { best = (model, share) }
    }
    return best?.model
  }
}
