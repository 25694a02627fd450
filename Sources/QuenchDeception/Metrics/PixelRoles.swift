import Foundation
import QuenchTorch

/// What each pixel of a perturbation is for, told by undoing it alone: the promotion-suppression ratio of the released
/// code, which there undoes one pixel after the other and here each for itself.
public struct PixelRoles {
  /// log2 of how much the deceived answer's logit falls over how much the true answer's rises, each at least 0.01,
  /// `[H, W]`: 1 or more where the pixel promotes the deceived answer, -1 or less where it suppresses the true one.
  public let ratio: Tensor

  /// - Parameters:
  ///   - attacked: x', `[C, H, W]`.
  ///   - clean: x or its estimate, from which pixels are taken.
  ///   - truth: The class of the clean image.
  ///   - deception: The class of the attacked one.
  ///   - batchSize: How many of the H · W images are classified at once.
  ///   - logits: The victim's, `[N, classes]`.
  public init(
    of attacked: Tensor, undoneBy clean: Tensor, truth: Int, deception: Int, batchSize: Int = 256,
    logits: (Tensor) -> Tensor
  ) {
    ratio = withoutGradient {
      let (height, width) = (attacked.size(1), attacked.size(2))
      let places = Tensor.arange(to: Double(height * width), device: attacked.device)
      let before = logits(attacked.unsqueezed(0))
      let after = Tensor.concatenated(
        places.split(batchSize).map { batch in
          let mask = batch.oneHot(classes: height * width).to(attacked.dtype).reshaped([-1, 1, height, width])
          return logits(attacked + mask * (clean - attacked))
        })
      func rise(_ label: Int) -> Tensor { (after - before)[TensorIndex.all, label] }
      let (raised, fallen) = (rise(truth).clamped(to: 0.01...), (-rise(deception)).clamped(to: 0.01...))
      return ((fallen / raised).log() / log(2)).reshaped([height, width])
    }
  }

  /// uint8 `[3, H, W]`: red where the pixel promotes the deceived answer, blue where it suppresses the true one, grey
  /// where neither outweighs the other twice.
  public var picture: Tensor {
    let (promotes, suppresses) = ((ratio .>= 1).to(.float32), (ratio .<= -1).to(.float32))
    let neither = 1 - promotes - suppresses
    let planes = [promotes, promotes.zerosLike(), suppresses].map { ($0 * 220 + neither * 128).unsqueezed(0) }
    return Tensor.concatenated(planes).rounded().to(.uint8)
  }
}
