import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Random crops, flips and brightness of training pictures, as cryoRL's released code has them: torchvision's
/// random resized crop, horizontal flip, and jitter of brightness and contrast. Its jitter of saturation and hue, and
/// its random grey, do nothing to grey pictures and are left out.
public struct HoleAugmentation: Hashable, Codable, Sendable {
  /// The crop's share of the picture's area.
  public var area = 0.08...1.0
  /// Its width over its height.
  public var aspect = 0.75...(4.0 / 3)
  /// Brightness and contrast are multiplied by 1 ± this.
  public var jitter = 0.2
  public var flips = true

  public init() {}

  /// - Parameters:
  ///   - images: Grey values in [0, 1], `[B, 1, S, S]`.
  ///   - side: Height and width that crops are resized to.
  ///   - key: What the random choices follow from.
  /// - Returns: `[B, 1, side, side]`.
  func callAsFunction(_ images: Tensor, side: Int, key: (seed: UInt64, epoch: Int, batch: Int)) -> Tensor {
    let crops = (0..<images.size(0)).map { index in
      var random = SplitMix64(key.seed, 2, UInt64(key.epoch), UInt64(key.batch), UInt64(index))
      return augmented(images[index..<index + 1], side: side, using: &random)
    }
    return Tensor.concatenated(crops)
  }

  private func augmented(_ image: Tensor, side: Int, using random: inout SplitMix64) -> Tensor {
    let window = window(of: image.size(2), using: &random)
    var crop = image[0..., 0..., window.top..<window.top + window.height, window.left..<window.left + window.width]
      .resizedBilinear(height: side, width: side)
    if flips && Bool.random(using: &random) { crop = crop.flipped([3]) }
    let brightness = Double.random(in: 1 - jitter...1 + jitter, using: &random)
    let contrast = Double.random(in: 1 - jitter...1 + jitter, using: &random)
    crop = (crop * brightness).clamped(to: 0...1)
    let mean = crop.mean()
    return ((crop - mean) * contrast + mean).clamped(to: 0...1)
  }

  /// Ten tries at a window inside the picture, then the whole picture, as torchvision has it.
  private func window(
    of side: Int, using random: inout SplitMix64
  ) -> (top: Int, left: Int, height: Int, width: Int) {
    for _ in 0..<10 {
      let target = Double(side * side) * Double.random(in: area, using: &random)
      let ratio = exp(Double.random(in: log(aspect.lowerBound)...log(aspect.upperBound), using: &random))
      let width = Int((target * ratio).squareRoot().rounded())
      let height = Int((target / ratio).squareRoot().rounded())
      guard (1...side).contains(width), (1...side).contains(height) else { continue }
      return (
        Int.random(in: 0...side - height, using: &random), Int.random(in: 0...side - width, using: &random), height,
        width
      )
    }
    return (0, 0, side, side)
  }
}
