import QuenchAttacks
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A trained classifier in the forms in which it is needed: frozen, fast, and under attack.
public struct Victim {
  public let name: String
  /// Frozen with folded batch norm, differentiable with respect to images.
  public let network: Network
  /// Under attack.
  public let model: AttackedModel
  /// Logits without gradients, float32.
  public let plan: InferencePlan
  public let cam: GradCAM

  /// - Parameters:
  ///   - name: What cells and reports call it.
  ///   - network: A classifier.
  ///   - precision: What attacks on it compute in; see ``/QuenchAttacks/AttackedModel``. Answers are float32 always.
  public init(_ name: String, _ network: Network, precision: Precision = .float32) {
    self.name = name
    self.network = network.foldingBatchNorm()
    model = AttackedModel(network, precision: precision)
    plan = InferencePlan(network, dtype: .float32)
    cam = GradCAM(self.network)
  }

  public func logits(_ images: Tensor) -> Tensor { plan(images) }

  /// The classes of images `[N, C, H, W]`, int64 `[N]`.
  public func answers(_ images: Tensor) -> Tensor { plan(images).argmax(1) }
}
