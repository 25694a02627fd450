import QuenchReporting
import QuenchSupport

/// What a user may set of attacks, under the names of its flags.
public enum AttackParameter: String, CaseIterable, Codable, Sendable {
  case norm
  case epsilon
  case smallest
  case stepSize = "step-size"
  case steps
  case restarts
  case queries
  case targets
  case confidence
  case aim
  case allSteps = "all-steps"
  case from

  public var flag: String { "--\(rawValue)" }
}

/// Values for these parameters but for the budget; nil takes the attack's own default.
public struct AttackSettings: InlineGroup, Hashable, Sendable {
  public var norm: Norm?
  public var stepSize: PixelBudget?
  public var steps: Int?
  public var restarts: Int?
  public var queries: Int?
  public var targets: Int?
  public var confidence: Double?
  /// The class that is aimed at; nil: any wrong one. For the evaluator, and here so that an attack which cannot do it
  /// says so; so is ``from``.
  public var aim: TargetPicker?
  /// Whether samples take every step, instead of leaving the batch with their first adversarial image, where an attack
  /// leaves the choice.
  public var allSteps: Bool?
  /// Weights of the network that the attack is made on instead of the one that judges it.
  public var from: String?

  public init() {}

  /// The parameters that are set.
  private func given(_ epsilon: PixelBudget?, _ smallest: Bool) -> [AttackParameter] {
    let isSet: [(AttackParameter, Bool)] = [
      (.norm, norm != nil), (.epsilon, epsilon != nil), (.smallest, smallest), (.stepSize, stepSize != nil),
      (.steps, steps != nil), (.restarts, restarts != nil), (.queries, queries != nil), (.targets, targets != nil),
      (.confidence, confidence != nil), (.aim, aim != nil), (.allSteps, allSteps != nil), (.from, from != nil)
    ]
    return isSet.filter(\.1).map(\.0)
  }

  /// The attack of that name with these settings.
  /// - Parameters:
  ///   - name: Which attack.
  ///   - epsilon: The budget; nil: the norm's usual one.
  ///   - smallest: Look for the smallest perturbation, not only for one within the budget.
  /// - Throws: `InputError` for a parameter or a norm that the attack does not know, and for a value out of range; its
  ///   location is the parameter's name.
  public func make(
    _ name: AttackName, epsilon: PixelBudget? = nil, smallest: Bool = false
  ) throws(InputError) -> any Attack {
    let declaration = name.declaration
    try InputError.require(
      given(epsilon, smallest).map(\.rawValue), takenBy: "the attack \(name.rawValue)",
      which: declaration.parameters.map(\.rawValue))
    let norm = norm ?? declaration.norms[0]
    guard declaration.norms.contains(norm) else {
      throw InputError(
        "the attack \(name.rawValue) does not know this norm", at: "norm",
        expected: declaration.norms.map(\.rawValue).joined(separator: " or "), found: norm.rawValue)
    }
    let budget = epsilon ?? PixelBudget(norm.usualBudget)
    try budget.validate(for: norm, at: "epsilon")
    try stepSize?.validate(for: norm, at: "step-size")
    for (key, value) in [("steps", steps), ("restarts", restarts), ("queries", queries), ("targets", targets)] {
      try requireSetting(value ?? 1 > 0, key, "at least 1", value ?? 0)
    }
    try requireSetting(confidence ?? 0 >= 0, "confidence", "0 or more", confidence ?? 0)
    return declaration.make(self, norm, smallest ? nil : budget.value)
  }

  /// The settings with what `attack`, made of them under `name`, has where they leave the choice to it. Its step size
  /// stays open where it follows from the budget.
  func completed(by attack: any Attack, _ name: AttackName) -> AttackSettings {
    var settings = self
    let own = attack.settings
    func fill<T>(_ parameter: AttackParameter, _ path: WritableKeyPath<AttackSettings, T?>, _ value: T?) {
      if settings[keyPath: path] == nil, name.declaration.parameters.contains(parameter) {
        settings[keyPath: path] = value
      }
    }
    fill(.norm, \.norm, attack.norm)
    fill(.steps, \.steps, own["steps"]?.integer)
    fill(.restarts, \.restarts, own["restarts"]?.integer)
    fill(.queries, \.queries, own["queries"]?.integer)
    fill(.targets, \.targets, own["targets"]?.integer)
    fill(.confidence, \.confidence, own["confidence"]?.number)
    fill(.allSteps, \.allSteps, own["stops_at_success"]?.bool.map { !$0 })
    return settings
  }
}

extension Norm {
  /// The budget that attacks have unless another is given, in pixel units.
  public var usualBudget: Double {
    switch self {
    case .linf: 8.0 / 255
    case .l2: 0.5
    case .l1: 12
    }
  }
}

/// An attack that can be had by name, and all that a user may set of it.
public struct AttackDeclaration {
  /// The first one where none is given.
  public let norms: [Norm]
  /// Whether it works within a budget; the others look for the smallest perturbation, or for one of any size.
  public let isBounded: Bool
  public let parameters: [AttackParameter]
  /// The attack with settings, in a norm that it knows; a budget of nil is for those that need none.
  let make: (AttackSettings, Norm, Double?) -> any Attack

  /// - Parameters:
  ///   - attack: With its defaults.
  ///   - norms: Those that it knows.
  ///   - transfers: Whether it can be made on another model.
  ///   - fit: Gives it norm and budget.
  ///   - settings: What else may be set.
  init<A: Attack>(
    _ attack: A, norms: [Norm], transfers: Bool = true, _ settings: [AttackSetting<A>] = [],
    fit: @escaping (inout A, Norm, Double?) -> Void
  ) {
    self.norms = norms
    isBounded = attack.isBounded
    parameters =
      [.norm, .epsilon] + (attack.isBounded ? [] : [.smallest]) + settings.map(\.parameter)
      + (attack.takesTargets ? [.aim] : []) + (transfers ? [.from] : [])
    make = { values, norm, epsilon in
      var attack = attack
      fit(&attack, norm, epsilon)
      for setting in settings { setting.apply(&attack, values) }
      return attack
    }
  }
}

/// A parameter and what it sets of an attack.
struct AttackSetting<A: Attack> {
  let parameter: AttackParameter
  let apply: (inout A, AttackSettings) -> Void

  private init<T>(
    _ parameter: AttackParameter, _ path: WritableKeyPath<A, T>, _ value: @escaping (AttackSettings) -> T?
  ) {
    self.parameter = parameter
    apply = { attack, settings in
      if let value = value(settings) { attack[keyPath: path] = value }
    }
  }

  static func steps(_ path: WritableKeyPath<A, Int>) -> Self { .init(.steps, path) { $0.steps } }
  static func restarts(_ path: WritableKeyPath<A, Int>) -> Self { .init(.restarts, path) { $0.restarts } }
  static func queries(_ path: WritableKeyPath<A, Int>) -> Self { .init(.queries, path) { $0.queries } }
  static func targets(_ path: WritableKeyPath<A, Int>) -> Self { .init(.targets, path) { $0.targets } }
  static func targets(_ path: WritableKeyPath<A, Int?>) -> Self {
    .init(.targets, path) { $0.targets.map { .some($0) } }
  }
  static func confidence(_ path: WritableKeyPath<A, Double>) -> Self { .init(.confidence, path) { $0.confidence } }
  static func stepSize(_ path: WritableKeyPath<A, Double?>) -> Self {
    .init(.stepSize, path) { $0.stepSize.map { .some($0.value) } }
  }
  static func stepSize(_ path: WritableKeyPath<A, Double>) -> Self { .init(.stepSize, path) { $0.stepSize?.value } }
  /// A transfer takes all steps unless told otherwise: what just deceives its source deceives nobody else.
  static func stop(_ path: WritableKeyPath<A, Bool>) -> Self {
    .init(.allSteps, path) { !($0.allSteps ?? ($0.from != nil)) }
  }
}

extension AttackName {
  /// What the attack takes.
  public var declaration: AttackDeclaration {
    switch self {
    case .fgsm: .init(FGSM(), norms: [.linf, .l2]) { ($0.norm, $0.budget) = ($1, $2 ?? $0.budget) }
    case .pgd:
      .init(
        PGD(), norms: [.linf, .l2],
        [.stepSize(\.stepSize), .steps(\.steps), .restarts(\.restarts), .stop(\.stopsAtSuccess)]
      ) { ($0.norm, $0.budget) = ($1, $2 ?? $0.budget) }
    case .bim:
      // Without a random start every restart would be the first again.
      .init(
        PGD.bim(), norms: [.linf], [.stepSize(\.stepSize), .steps(\.steps), .stop(\.stopsAtSuccess)]
      ) { $0.budget = $2 ?? $0.budget }
    case .momentumFGSM:
      .init(
        MomentumFGSM(), norms: [.linf], [.stepSize(\.stepSize), .steps(\.steps), .stop(\.stopsAtSuccess)]
      ) { $0.budget = $2 ?? $0.budget }
    case .carliniWagner:
      .init(
        CarliniWagner(), norms: [.l2],
        [.steps(\.steps), .confidence(\.confidence), .stop(\.stopsAtSuccess)]
      ) { $0.epsilon = $2 }
    case .deepFool:
      .init(DeepFool(), norms: [.linf, .l2], [.steps(\.steps)]) { ($0.norm, $0.epsilon) = ($1, $2) }
    case .apgdCE: apgd(.crossEntropy)
    case .apgdDLR: apgd(.dlr)
    case .apgdT:
      .init(
        TargetedAPGD(), norms: [.linf, .l2],
        [.steps(\.run.steps), .targets(\.targets), .stop(\.run.stopsAtSuccess)]
      ) { ($0.run.norm, $0.run.budget) = ($1, $2 ?? $0.run.budget) }
    case .fab:
      .init(FAB(), norms: [.linf, .l2, .l1], [.steps(\.steps), .restarts(\.restarts)]) {
        ($0.norm, $0.epsilon) = ($1, $2)
      }
    case .fabT:
      .init(
        FAB(norm: .linf, epsilon: nil, targets: 9), norms: [.linf, .l2, .l1],
        [.steps(\.steps), .restarts(\.restarts), .targets(\.targets)]
      ) { ($0.norm, $0.epsilon) = ($1, $2) }
    case .square:
      .init(Square(), norms: [.linf, .l2], [.queries(\.queries), .stop(\.stopsAtSuccess)]) {
        ($0.norm, $0.budget) = ($1, $2 ?? $0.budget)
      }
    case .feature:
      .init(FeatureAdversary(), norms: [.linf], [.stepSize(\.stepSize), .steps(\.steps)]) {
        $0.budget = $2 ?? $0.budget
      }
    case .stAdv:
      .init(StAdv(), norms: [.linf], [.steps(\.steps), .stop(\.stopsAtSuccess)]) { $0.epsilon = $2 }
    case .uniformNoise: noise(.uniform)
    case .gaussianNoise: noise(.gaussian)
    }
  }

  private func apgd(_ loss: AttackLoss) -> AttackDeclaration {
    .init(
      APGD(loss), norms: [.linf, .l2], [.steps(\.steps), .restarts(\.restarts), .stop(\.stopsAtSuccess)]
    ) { ($0.norm, $0.budget) = ($1, $2 ?? $0.budget) }
  }

  private func noise(_ distribution: NoiseBaseline.Distribution) -> AttackDeclaration {
    var baseline = NoiseBaseline()
    baseline.distribution = distribution
    // Noise made on another network would be the same noise.
    return .init(baseline, norms: [.linf, .l2], transfers: false) { ($0.norm, $0.budget) = ($1, $2 ?? $0.budget) }
  }

  /// One line for help: the name, its norms, and its flags with their defaults.
  public var usage: String {
    let declaration = declaration
    let defaults = declaration.make(AttackSettings(), declaration.norms[0], nil).settings
    let flags = declaration.parameters.filter { ![.norm, .epsilon, .smallest].contains($0) }.map { parameter in
      guard let value = defaults[parameter.rawValue.replacing("-", with: "_")] else { return parameter.flag }
      let text = parameter == .stepSize ? value.number.map { "\(PixelBudget($0))" } : nil
      return "\(parameter.flag) \(text ?? "\(value)")"
    }
    return ([declaration.norms.map(\.rawValue).joined(separator: "|")] + flags).joined(separator: " ")
  }
}
