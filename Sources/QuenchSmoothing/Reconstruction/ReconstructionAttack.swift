import QuenchSupport
import QuenchTorch

/// Projected gradient ascent in an ℓ2 ball on the error of a reconstruction (Zhang et al. 2022).
///
///     δ ← uniform in [-ε, ε], projected
///     repeat: δ ← δ + (2ε / steps) · ∇ / ‖∇‖₂; keep v + δ in [0, 1]; project δ onto ‖δ‖₂ ≤ ε
///
/// The projection comes last, so that a measurement that leaves [0, 1] by itself may stay there.
public struct ReconstructionAttack: Hashable, Codable, Sendable {
  /// ε, the largest ℓ2 norm of the perturbation of a measurement.
  public var epsilon: Double
  public var steps = 40

  public init(epsilon: Double) { self.epsilon = epsilon }

  /// - Parameters:
  ///   - measured: What the model is shown, `[N, C, H, W]`.
  ///   - images: The true images, `[N, C, H, W]`.
  ///   - generator: Draws starts, and directions where the gradient is 0.
  ///   - model: From measurements to images; differentiable.
  /// - Returns: The perturbed measurements.
  public func callAsFunction(
    _ measured: Tensor, of images: Tensor, using generator: Generator, _ model: (Tensor) -> Tensor
  ) -> Tensor {
    guard epsilon > 0 else { return measured }
    let measured = measured.detached()
    var delta = projected(.uniform(measured.shape, -epsilon, epsilon, using: generator))
    for _ in 0..<steps {
      let point = (measured + delta).requiringGrad()
      // The sum, not the mean: the direction of an image is its own.
      let error = (model(point) - images).square().mean([1, 2, 3]).sum()
      let gradient = grad(of: error, withRespectTo: [point])[0]
      delta = withoutGradient {
        let length = gradient.imageNorms
        let random = Tensor.normal(measured.shape, using: generator)
        let direction = (gradient / length.clamped(to: 1e-30...))
          .choosing(where: length .> 0, otherwise: random / random.imageNorms)
        let moved = measured + delta + direction * (2 * epsilon / Double(steps))
        return projected(moved.clamped(to: 0...1) - measured)
      }
    }
    return withoutGradient { measured + delta }
  }

  private func projected(_ delta: Tensor) -> Tensor {
    let norms = delta.imageNorms
    return delta * (epsilon / norms.clamped(to: epsilon...))
  }
}

extension Tensor {
  /// The ℓ2 norm of each image, `[N, 1, 1, 1]`.
  fileprivate var imageNorms: Tensor { norm(2, [1, 2, 3], keepDimensions: true) }
}
