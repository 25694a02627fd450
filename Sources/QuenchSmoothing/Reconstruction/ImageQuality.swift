import Foundation
import QuenchTorch

/// How near images come to the true ones.
public enum ImageQuality {
  /// The root mean squared error of each image, √(MSE + 1e-6), `[N]`.
  public static func rootMeanSquaredError(_ images: Tensor, _ truth: Tensor) -> Tensor {
    ((images - truth).square().mean([1, 2, 3]) + 1e-6).sqrt()
  }

  /// The structural similarity of each pair (Wang et al. 2004), `[N]`: Gaussian window of 11×11 with σ 1.5, zero
  /// padding, constants 0.01² and 0.03² for pixels in [0, 1]; 1 for equal images.
  /// - Parameters:
  ///   - images: `[N, C, H, W]`.
  ///   - truth: The true ones, of the same shape.
  public static func structuralSimilarity(_ images: Tensor, _ truth: Tensor) -> Tensor {
    let (side, channels) = (11, images.size(1))
    let weights = (0..<side).map { exp(-pow(Double($0 - side / 2), 2) / (2 * 1.5 * 1.5)) }
    let total = weights.reduce(0, +)
    let row = Tensor(weights.map { Float($0 / total) }).to(images.device)
    let window = (row.reshaped([side, 1]) * row.reshaped([1, side])).reshaped([1, 1, side, side])
      .expanded([channels, 1, side, side])
    func blurred(_ x: Tensor) -> Tensor { x.conv2d(window, padding: side / 2, groups: channels) }
    let (meanA, meanB) = (blurred(images), blurred(truth))
    let varianceA = blurred(images.square()) - meanA.square()
    let varianceB = blurred(truth.square()) - meanB.square()
    let covariance = blurred(images * truth) - meanA * meanB
    let (c1, c2) = (1e-4, 9e-4)
    let similarity =
      (2 * meanA * meanB + c1) * (2 * covariance + c2)
      / ((meanA.square() + meanB.square() + c1) * (varianceA + varianceB + c2))
    return similarity.mean([1, 2, 3])
  }
}
