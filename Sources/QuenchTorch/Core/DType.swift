/// The type of a tensor's elements; raw values are LibTorch's `c10::ScalarType`.
public enum DType: Int32, CaseIterable, Sendable, Codable {
  case uint8 = 0
  case int8 = 1
  case int16 = 2
  case int32 = 3
  case int64 = 4
  case float16 = 5
  case float32 = 6
  case float64 = 7
  case bool = 11
  case bfloat16 = 15

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .int16, .float16, .bfloat16: 2
    case .int32, .float32: 4
    case .int64, .float64: 8
    }
  }

  public var isFloatingPoint: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64: true
    case .uint8, .int8, .int16, .int32, .int64, .bool: false
    }
  }
}

/// The order in which a tensor's elements lie in memory; raw values are LibTorch's `c10::MemoryFormat`.
public enum MemoryFormat: Int, Codable, Sendable {
  case contiguous = 0
  case preserve = 1
  /// `[N, C, H, W]` with the channels of a pixel side by side: what convolutions are fastest on.
  case channelsLast = 2
}

/// A Swift number type with a tensor element type of the same bytes.
public protocol TensorElement: Sendable {
  static var dtype: DType { get }
}

extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension Int16: TensorElement { public static var dtype: DType { .int16 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Int: TensorElement { public static var dtype: DType { .int64 } }
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }
