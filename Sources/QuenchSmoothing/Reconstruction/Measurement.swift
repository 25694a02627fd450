import QuenchTorch
import QuenchVision

/// Linear measurements of images and their back-projection, v = A Aᵀ x: what a reconstructor is shown in the image
/// reconstruction task of Zhang et al. 2022. A's entries are normal with variance 1 / ``count``, fixed by ``seed``.
public struct Measurement {
  /// Numbers that are measured of an image.
  public let count: Int
  public let seed: UInt64
  /// A Aᵀ, `[d, d]` for images of d pixels.
  private let projection: Tensor

  /// - Parameters:
  ///   - shape: `[C, H, W]` of one image.
  ///   - count: Numbers that are measured of it, above 0.
  ///   - seed: Of A.
  ///   - device: Where images will be.
  public init(shape: [Int], count: Int = 576, seed: UInt64 = 0, device: Device = .cpu) {
    precondition(count > 0, "a measurement needs a number")
    self.count = count
    self.seed = seed
    let matrix = Tensor.normal(
      [shape.reduce(1, *), count], standardDeviation: (1 / Double(count)).squareRoot(),
      using: Generator(seed: seed, for: "measurement"))
    projection = matrix.matmul(matrix.transposed(0, 1)).to(device)
  }

  /// The back-projections of images `[N, C, H, W]` with pixels in [0, 1], scaled to (v + 2) / 5.
  public func callAsFunction(_ images: Tensor) -> Tensor {
    Self.scaled(images.flattened(from: 1).matmul(projection)).reshaped(images.shape)
  }

  /// (v + 2) / 5: most back-projections of a digit lie in [-2, 3].
  static func scaled(_ values: Tensor) -> Tensor { (values + 2) / 5 }
}

extension ImageDataset {
  /// The data set's images as `measurement` shows them, float32.
  public func measured(by measurement: Measurement) -> ImageDataset {
    var copy = self
    copy.images = Tensor.concatenated(
      BatchLoader.evaluation(self, batchSize: 1000).batches().map { measurement($0.images) })
    return copy
  }
}
