import CImageIO
import Foundation
import QuenchSupport

/// Images of one size and their labels as plain bytes: what every reader gives.
public struct PixelBlock: Sendable, Equatable {
  /// Images, channels, height, width.
  public var shape: [Int]
  /// `shape`'s product of bytes: image after image, channel after channel, row after row.
  public var pixels: Data
  /// One an image.
  public var labels: [Int64]

  public init(shape: [Int], pixels: Data, labels: [Int64]) {
    precondition(pixels.count == shape.reduce(1, *) && labels.count == shape[0])
    self.shape = shape
    self.pixels = pixels
    self.labels = labels
  }

  public var count: Int { shape[0] }

  /// Mean and standard deviation of each channel over all pixels, in units where 255 is 1.
  public func statistics() -> ChannelStatistics {
    let channels = shape[1]
    var histogram = [UInt64](repeating: 0, count: 256 * channels)
    pixels.withUnsafeBytes { bytes in
      ci_histogram(bytes.bindMemory(to: UInt8.self).baseAddress, count, channels, shape[2] * shape[3], &histogram)
    }
    var statistics = ChannelStatistics(mean: [], standardDeviation: [])
    for channel in 0..<channels {
      let counts = histogram[256 * channel..<256 * (channel + 1)]
      let total = Double(counts.reduce(0, +))
      let mean = zip(0..., counts).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } / total
      let variance =
        zip(0..., counts).reduce(0.0) {
          $0 + (Double($1.0) - mean) * (Double($1.0) - mean) * Double($1.1)
        } / total
      statistics.mean.append(mean / 255)
      statistics.standardDeviation.append(variance.squareRoot() / 255)
    }
    return statistics
  }
}

/// Mean and standard deviation of each colour channel, in units where pixel value 255 is 1.
public struct ChannelStatistics: Hashable, Codable, Sendable {
  public var mean: [Double]
  public var standardDeviation: [Double]

  public init(mean: [Double], standardDeviation: [Double]) {
    self.mean = mean
    self.standardDeviation = standardDeviation
  }
}
