import CStatistics
import QuenchTorch

/// Gaussian noise that follows from (seed, purpose, image, sample) alone: however samples are put into batches, and on
/// however many processes, each gets the same noise (Philox4x32-10, Salmon et al. 2011).
public struct NoiseStream: Hashable, Sendable {
  /// What noise is drawn for: streams that must be independent of each other.
  public enum Purpose: UInt32, Sendable, CaseIterable {
    /// The copies that pick a class.
    case selection = 1
    /// The copies that bound its probability.
    case estimation
    /// The votes of a prediction.
    case prediction
    /// Augmentation while training.
    case training
    /// Directions of zeroth-order estimates.
    case direction
  }

  public let seed: UInt64

  public init(seed: UInt64) { self.seed = seed }

  /// An image whose noisy copies are wanted.
  public struct Source: Sendable {
    /// Its number in the data set: part of the noise's key, at most 2³² - 1.
    public let index: Int
    /// `[channels, height, width]`.
    public let shape: [Int]
    /// In channels-last order.
    let pixels: [Float]

    /// - Parameters:
    ///   - image: Pixels in [0, 1], `[C, H, W]`.
    ///   - index: Its number in the data set.
    public init(_ image: Tensor, index: Int) {
      self.index = index
      shape = image.shape
      pixels = image.permuted([1, 2, 0]).array(Float.self)
    }
  }

  /// A run of consecutive samples of one image.
  public struct Samples: Sendable {
    public var source: Source
    public var purpose: Purpose
    public var range: Range<Int>

    public init(_ source: Source, _ purpose: Purpose, _ range: Range<Int>) {
      self.source = source
      self.purpose = purpose
      self.range = range
    }
  }

  /// Noisy copies of images, one after the other: `[N, C, H, W]`, float32, channels-last.
  /// - Parameters:
  ///   - samples: Which copies; all of one shape.
  ///   - sigma: The noise's standard deviation in units in which pixels lie in [0, 1].
  ///   - device: Where they are wanted.
  public func noisyCopies(_ samples: [Samples], sigma: Double, on device: Device = .cpu) -> Tensor {
    let shape = samples.first?.source.shape ?? [1, 1, 1]
    let size = shape.reduce(1, *)
    let count = samples.reduce(0) { $0 + $1.range.count }
    let values = Tensor(shape: [count, shape[1], shape[2], shape[0]]) {
      (elements: UnsafeMutableBufferPointer<Float>) in
      var position = elements.baseAddress
      for run in samples {
        for sample in run.range {
          let counter = [UInt32(truncatingIfNeeded: sample), UInt32(run.source.index), run.purpose.rawValue]
          cs_add_normal(position, run.source.pixels, size, Float(sigma), seed, counter)
          position = position.map { $0 + size }
        }
      }
    }
    return values.permuted([0, 3, 1, 2]).to(device)
  }
}
