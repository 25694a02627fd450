import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The training of a classifier on adversarial images of itself.
public struct AdversarialTrain: ClassifierTrainingExperiment {
  public static let kind = "train-adversarial"
  public static let isShared = true

  public var work = ClassifierWork()
  public var adversarial = AdversarialTraining.Method.fgsmRS
  /// The budget of the images, in units in which a pixel goes from 0 to 1.
  public var adversarialEpsilon = PixelBudget(8.0 / 255)
  /// Steps of ``AdversarialTraining/Method/pgd``; nil: 7.
  public var adversarialSteps: Int?

  public init() {}

  public func checked() throws(InputError) -> AdversarialTrain {
    var experiment = self
    experiment.work = try work.checked()
    guard adversarial == .pgd || adversarialSteps == nil else {
      throw InputError(
        "\(adversarial.rawValue) takes no steps", at: "adversarial-steps", remedy: "leave it out, or use pgd")
    }
    try requireSetting(adversarialSteps ?? 1 > 0, "adversarial-steps", "at least 1", adversarialSteps ?? 0)
    try adversarialEpsilon.validate(for: .linf, at: "adversarial-epsilon")
    if adversarial == .pgd {
      experiment.adversarialSteps = adversarialSteps ?? AdversarialTraining.Settings().steps
    }
    return experiment
  }

  public func run(in context: RunContext) throws -> TrainOutcome {
    var settings = AdversarialTraining.Settings()
    settings.method = adversarial
    settings.epsilon = adversarialEpsilon.value
    settings.steps = adversarialSteps ?? settings.steps
    return try work.train(in: context) { [settings] network, data, session in
      let learner = AdversarialTraining(
        network, on: data.train, recipe: work.recipe, settings: settings, seed: work.learning.seedBits,
        precision: work.learning.precision)
      let cost = try session.run(learner)
      if let epoch = learner.collapsedAfterEpoch {
        context.console.note(
          "note: robustness collapsed after epoch \(epoch) (catastrophic overfitting); the weights are those before it"
        )
      }
      return (cost, learner.collapsedAfterEpoch)
    }
  }
}
