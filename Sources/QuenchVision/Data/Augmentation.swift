import QuenchSupport
import QuenchTorch

/// Random crops and flips of training images, done to a whole batch at once.
public struct Augmentation: Hashable, Codable, Sendable {
  /// What lies round the image where a crop reaches beyond it.
  public enum Border: String, Hashable, Codable, Sendable {
    /// Pixel value 0 (CIFAR).
    case black
    /// The training pixels' mean colour, which a network normalises to 0 (Tiny-ImageNet).
    case mean
  }

  /// Pixels that a crop may shift the image by, each way; 0 turns cropping off.
  public var padding = 4
  /// Mirror every other image left to right.
  public var flips = true
  public var border = Border.black

  public init(padding: Int = 4, flips: Bool = true, border: Border = .black) {
    self.padding = padding
    self.flips = flips
    self.border = border
  }

  /// Where the crop of one image begins in the padded image, and whether it is mirrored.
  struct Crop: Equatable {
    var top: Int
    var left: Int
    var mirrored: Bool

    init(_ augmentation: Augmentation, using random: inout SplitMix64) {
      top = Int.random(in: 0...2 * augmentation.padding, using: &random)
      left = Int.random(in: 0...2 * augmentation.padding, using: &random)
      mirrored = Bool.random(using: &random) && augmentation.flips
    }
  }

  /// Crops and mirrors a batch.
  /// - Parameters:
  ///   - images: `[B, C, H, W]` of any type; zeros are put round them.
  ///   - crops: One an image.
  /// - Returns: `[B, C, H, W]`.
  static func crop(_ images: Tensor, padding: Int, _ crops: [Crop]) -> Tensor {
    let (batch, channels, height, width) = (images.size(0), images.size(1), images.size(2), images.size(3))
    let paddedWidth = width + 2 * padding
    func perImage(_ values: [Int]) -> Tensor { Tensor(values, shape: [batch, 1, 1]).to(images.device) }
    func steps(_ count: Int, of stride: Int) -> Tensor {
      Tensor.arange(to: Double(count * stride), by: Double(stride), device: images.device)
    }
    // Where each pixel of the result lies in its padded plane. A mirrored row is read from its right end leftwards.
    let corner = perImage(crops.map { $0.top * paddedWidth + $0.left + ($0.mirrored ? width - 1 : 0) })
    let direction = perImage(crops.map { $0.mirrored ? -1 : 1 })
    let row = corner + steps(height, of: paddedWidth).reshaped([1, height, 1])
    let index = row + direction * steps(width, of: 1).reshaped([1, 1, width])
    return images.padded([padding, padding, padding, padding]).reshaped([batch, channels, -1])
      .gathered(2, index.reshaped([batch, 1, height * width]).expanded([batch, channels, height * width]))
      .reshaped([batch, channels, height, width])
  }
}
