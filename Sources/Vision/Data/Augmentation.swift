import Torch

/// Random crops and flips of training images, done to a whole batch at once.
public struct Augmentation: Hashable, Codable, Sendable {
  /// What lies round the image where a crop reaches beyond it.
  public enum Border: String, Hashable, Codable, Sendable {
    /// Pixel value 0: padded before normalising (CIFAR).
    case black
    /// The mean colour: padded with zeros after normalising (Tiny-ImageNet).
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
  struct Draw: Equatable {
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
  ///   - draws: One an image.
  /// - Returns: `[B, C, H, W]`.
  static func crop(_ images: Tensor, padding: Int, _ draws: [Draw]) -> Tensor {
    let (batch, height, width) = (images.size(0), images.size(2), images.size(3))
    func column(_ values: [Int]) -> Tensor {
      Tensor(values, shape: [batch, 1, 1]).to(images.device)
    }
    func line(_ count: Int) -> Tensor { Tensor.arange(to: Double(count), device: images.device) }
    // A mirrored image is read from its crop's right edge leftwards.
    let direction = column(draws.map { $0.mirrored ? -1 : 1 })
    let start = column(draws.map { $0.left + ($0.mirrored ? width - 1 : 0) })
    let rows = column(draws.map(\.top)) + line(height).reshaped([1, height, 1])
    let columns = start + direction * line(width).reshaped([1, 1, width])
    let which = line(batch).reshaped([batch, 1, 1])
    // Indexing round the channels puts them last, [B, H, W, C]: channels-last memory, which the networks want.
    return images.padded([padding, padding, padding, padding]).indexed([which, nil, rows, columns])
      .permuted([0, 3, 1, 2])
  }
}
