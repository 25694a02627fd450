import Foundation
import QuenchSupport

/// How a model behind the Open Inference Protocol wants its pixels: type, order, and units. A pixel x in [0, 1] becomes
/// (scale · x - mean) / deviation.
public struct PixelForm: Hashable, Sendable {
  public enum Layout: String, Codable, Sendable, CaseIterable {
    /// Channel by channel: `[N, C, H, W]`.
    case nchw = "NCHW"
    /// Pixel by pixel: `[N, H, W, C]`.
    case nhwc = "NHWC"
  }

  /// The types in which pixels are sent.
  public static let datatypes: [InferenceTensor.DataType] = [.uint8, .float16, .float32, .float64]

  /// ``datatypes`` has it. Whole numbers are rounded and held within 0 to 255.
  public var datatype: InferenceTensor.DataType
  public var layout: Layout
  public var scale: Double
  /// One number, or one a channel.
  public var mean: [Double]
  public var deviation: [Double]
  /// Whether a request's shape begins with the number of images; if not, it holds one.
  public var isBatched = true
  /// Whether the pixels of an image are one row: `[N, C · H · W]`.
  public var isFlat = false

  /// - Parameters:
  ///   - datatype: The type of the pixels; ``datatypes`` has it.
  ///   - layout: The order of an image's sides.
  ///   - scale: What pixels in [0, 1] are multiplied by. Nil: 255 for whole numbers, 1 for others.
  ///   - mean: What is then subtracted: one number, or one a channel.
  ///   - deviation: What is then divided by: one number, or one a channel.
  public init(
    datatype: InferenceTensor.DataType = .float32, layout: Layout = .nchw, scale: Double? = nil,
    mean: [Double] = [0], deviation: [Double] = [1]
  ) {
    self.datatype = datatype
    self.layout = layout
    self.scale = scale ?? (datatype == .uint8 ? 255 : 1)
    self.mean = mean
    self.deviation = deviation
  }

  /// - Throws: `InputError` if there are as many means or deviations as fit no images of `channels`.
  public func check(channels: Int) throws(InputError) {
    for (name, values) in [("mean", mean), ("std", deviation)] where ![1, channels].contains(values.count) {
      throw InputError(
        "the images have another number of channels", at: name,
        expected: channels == 1 ? "1 number" : "1 or \(channels) numbers", found: "\(values.count)")
    }
  }

  /// The request's tensor.
  /// - Parameters:
  ///   - name: The input's.
  ///   - pixels: In [0, 1] but for noise, float32, `[N, C, H, W]`.
  ///   - shape: Their shape.
  public func tensor(named name: String, _ pixels: Data, shape: [Int]) -> InferenceTensor {
    let (count, channels, size) = (shape[0], shape[1], shape[2] * shape[3])
    let image = isFlat ? [channels * size] : layout == .nchw ? Array(shape[1...]) : [shape[2], shape[3], channels]
    let data =
      switch datatype {
      case .uint8: packed(pixels, count, channels, size) { UInt8(min(max($0.rounded(), 0), 255)) }
      case .float16: packed(pixels, count, channels, size) { Float16($0) }
      case .float64: packed(pixels, count, channels, size) { Double($0) }
      default: isPlain ? pixels : packed(pixels, count, channels, size) { $0 }
      }
    return InferenceTensor(name: name, shape: (isBatched ? [count] : []) + image, datatype: datatype, data: data)
  }

  /// Whether the pixels are sent as they are.
  private var isPlain: Bool { datatype == .float32 && layout == .nchw && hasPlainUnits }
  private var hasPlainUnits: Bool { scale == 1 && mean.allSatisfy { $0 == 0 } && deviation.allSatisfy { $0 == 1 } }

  private func packed<Element: BitwiseCopyable>(
    _ pixels: Data, _ count: Int, _ channels: Int, _ size: Int, _ convert: (Float) -> Element
  ) -> Data {
    let factors = (0..<channels).map { Float(scale / deviation[$0 % deviation.count]) }
    let offsets = (0..<channels).map { Float(mean[$0 % mean.count] / deviation[$0 % deviation.count]) }
    let elements = pixels.withUnsafeBytes { bytes in
      let source = bytes.assumingMemoryBound(to: Float.self)
      return [Element](unsafeUninitializedCapacity: source.count) { target, initialized in
        for image in 0..<count {
          for channel in 0..<channels {
            let start = (image * channels + channel) * size
            for place in 0..<size {
              let position = layout == .nchw ? start + place : (image * size + place) * channels + channel
              target.initializeElement(
                at: position, to: convert(source[start + place] * factors[channel] - offsets[channel]))
            }
          }
        }
        initialized = source.count
      }
    }
    return elements.withUnsafeBytes { Data($0) }
  }
}

extension PixelForm: CustomStringConvertible {
  /// What of it changes the pixels' values: `UINT8, scale 255`; empty where nothing does.
  public var description: String {
    var parts = datatype == .float32 ? [] : [datatype.rawValue]
    if !hasPlainUnits {
      parts.append("scale \(scale)")
      if mean.contains(where: { $0 != 0 }) { parts.append("mean \(mean.map { "\($0)" }.joined(separator: " "))") }
      if deviation.contains(where: { $0 != 1 }) {
        parts.append("std \(deviation.map { "\($0)" }.joined(separator: " "))")
      }
    }
    return parts.joined(separator: ", ")
  }
}
