import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Attacks a reconstructor at several strengths and tells what is left of its images, alone and behind a ``Defense``.
///
/// A defended answer is the mean over ``copies`` noise draws of f(Dec(Enc(D(v + δ)))). No certificate exists for images.
public struct ReconstructionEvaluation: InlineGroup, Hashable, Sendable {
  /// What the attack looks at.
  public enum Target: String, CaseIterable, Codable, Sendable {
    /// The reconstructor alone; the defense is shown what fools that, as published.
    case undefended
    /// The defended reconstructor, through its noise.
    case defended
  }

  /// ℓ2 norms of the perturbations.
  public var epsilons = [0.0, 1, 2, 3, 4]
  public var target = Target.undefended
  public var steps = 40
  /// σ of the defense's noise.
  public var sigma = 0.25
  /// Noise draws an answer.
  public var copies = 10

  enum CodingKeys: String, CodingKey {
    case epsilons
    case target = "attack"
    case steps, sigma, copies
  }

  public init() {}

  /// - Throws: `InputError` for a value out of its range.
  public func validate() throws(InputError) {
    try requireSetting(
      !epsilons.isEmpty && epsilons.allSatisfy { $0 >= 0 && $0.isFinite }, "epsilons",
      "one or more numbers of 0 or more", epsilons)
    try requireSetting(steps > 0, "steps", "at least 1", steps)
    try requireSetting(sigma > 0 && sigma.isFinite, "sigma", "above 0", sigma)
    try requireSetting(copies > 0, "copies", "at least 1", copies)
  }

  /// Means over the images.
  public struct Row: Hashable, Codable, Sendable {
    public let epsilon: Double
    public let error: Double
    public let similarity: Double
    /// Of the defended reconstructor; nil where there is no defense.
    public let defendedError: Double?
    public let defendedSimilarity: Double?
  }

  /// - Parameters:
  ///   - reconstructor: From measurements to images.
  ///   - defense: What stands in front of it.
  ///   - dataset: The true images.
  ///   - measurement: What is shown of them.
  ///   - seed: Of the attack's starts and the noise.
  ///   - progress: Told the share that is done after each batch.
  public func callAsFunction(
    _ reconstructor: Network, _ defense: Defense?, on dataset: ImageDataset, measurement: Measurement, seed: UInt64,
    progress: (Double) -> Void = { _ in }
  ) -> [Row] {
    for network in [reconstructor] + (defense?.networks ?? []) {
      network.isTraining = false
      network.setTrainable(false)
    }
    return epsilons.enumerated().map { index, epsilon in
      var attack = ReconstructionAttack(epsilon: epsilon)
      attack.steps = steps
      var sums = [0.0, 0, 0, 0]
      for batch in BatchLoader.evaluation(dataset, batchSize: 250).batches() {
        func generator(_ name: String) -> Generator {
          Generator(seed: seed, for: "\(name) \(epsilon) \(batch.position.batch)", device: batch.images.device)
        }
        func defended(_ shown: Tensor, _ generator: Generator) -> Tensor {
          guard let defense else { return reconstructor(shown) }
          let answers = (0..<copies).map { _ in
            reconstructor(defense.images(defense.codes(shown + sigma * .normal(shown.shape, using: generator))))
          }
          return answers.dropFirst().reduce(answers[0], +) / Double(copies)
        }
        let noise = generator("noise of the attack")
        let shown = attack(measurement(batch.images), of: batch.images, using: generator("attack")) { point in
          target == .defended ? defended(point, noise) : reconstructor(point)
        }
        withoutGradient {
          let pair = [reconstructor(shown)] + (defense == nil ? [] : [defended(shown, generator("noise"))])
          for (side, answer) in pair.enumerated() {
            sums[2 * side] += ImageQuality.rootMeanSquaredError(answer, batch.images).sum().item()
            sums[2 * side + 1] += ImageQuality.structuralSimilarity(answer, batch.images).sum().item()
          }
        }
        let done = Double(batch.position.batch * 250 + batch.count) / Double(dataset.count)
        progress((Double(index) + done) / Double(epsilons.count))
      }
      let means = sums.map { $0 / Double(dataset.count) }
      return Row(
        epsilon: epsilon, error: means[0], similarity: means[1], defendedError: defense.map { _ in means[2] },
        defendedSimilarity: defense.map { _ in means[3] })
    }
  }
}
