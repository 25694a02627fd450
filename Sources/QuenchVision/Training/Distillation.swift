import QuenchReporting
import QuenchSupport
import QuenchTorch

/// What a network learns from a trained one beside the labels: its softened answers (Hinton et al. 2015, section 2).
public struct Distillation {
  /// As an experiment has it: a pruned or slimmed network learns from the dense one.
  public struct Settings: InlineGroup, Hashable, Sendable {
    /// The file of the trained network, which says its architecture; nil: the labels alone teach.
    public var teacher: String?
    /// The teacher's share of the loss, above 0 and at most 1; nil: 0.5.
    public var distillation: Double?
    /// What the logits of both networks are divided by, above 0: the higher, the more the less likely classes count; nil: 4.
    public var temperature: Double?

    public init() {}

    var share: Double { distillation ?? 0.5 }
    var softening: Double { temperature ?? Distillation.usualTemperature }

    /// - Throws: `InputError` for a number out of its range, or without a teacher.
    func validate() throws(InputError) {
      for (name, value) in [("distillation", distillation), ("temperature", temperature)] {
        guard let value else { continue }
        guard teacher != nil else {
          throw InputError("this is for learning from another network", at: name, remedy: "name that by `teacher`")
        }
        try requireSetting(value > 0 && value.isFinite, name, "above 0", value)
      }
      try requireSetting(share <= 1, "distillation", "at most 1", share)
    }
  }

  /// What logits are divided by unless it is said.
  public static let usualTemperature = 4.0

  private let teacher: InferencePlan
  private let share: Double
  private let temperature: Double

  /// - Parameters:
  ///   - teacher: Copied; the classes must be those of the network that learns.
  ///   - share: Its share of the loss, from 0 to 1.
  ///   - temperature: What the logits of both networks are divided by.
  ///   - batchSize: Images a training step.
  ///   - precision: What the teacher computes in.
  public init(
    _ teacher: Network, share: Double, temperature: Double = usualTemperature, batchSize: Int,
    precision: Precision = .automatic
  ) {
    self.teacher = InferencePlan(teacher, batchSize: batchSize, dtype: precision.inference)
    (self.share, self.temperature) = (share, temperature)
  }

  /// (1 - s) L + s T² KL(p || q), where p and q are the softmax of the teacher's and the network's logits over T.
  /// - Parameters:
  ///   - loss: L, by the labels.
  ///   - logits: The network's, `[N, classes]`.
  ///   - images: What both see, `[N, C, H, W]`.
  public func loss(_ loss: Tensor, _ logits: Tensor, _ images: Tensor) -> Tensor {
    let known = (teacher(images) / temperature).logSoftmax(1)
    let learned = (logits / temperature).logSoftmax(1)
    let divergence = (known.exp() * (known - learned)).sum([1]).mean()
    return loss * (1 - share) + divergence * (share * temperature * temperature)
  }
}
