import Foundation
import Reporting
import Support
import Torch

/// A tensor of the Open Inference Protocol (KServe V2) with its bytes, little-endian and in row-major order.
public struct InferenceTensor: Hashable, Sendable {
  public enum DataType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "UINT8"
    case int32 = "INT32"
    case int64 = "INT64"
    case float16 = "FP16"
    case float32 = "FP32"
    case float64 = "FP64"

    public var dtype: DType {
      switch self {
      case .bool: .bool
      case .uint8: .uint8
      case .int32: .int32
      case .int64: .int64
      case .float16: .float16
      case .float32: .float32
      case .float64: .float64
      }
    }
  }

  public var name: String
  public var shape: [Int]
  public var datatype: DataType
  public var data: Data

  public init(name: String, shape: [Int], datatype: DataType, data: Data) {
    self.name = name
    self.shape = shape
    self.datatype = datatype
    self.data = data
  }

  /// - Parameters:
  ///   - tensor: Of a type that the protocol has; others are sent as float32.
  ///   - name: The input's or output's.
  public init(_ tensor: Tensor, named name: String) {
    let datatype = DataType.allCases.first { $0.dtype == tensor.dtype }
    self.init(
      name: name, shape: tensor.shape, datatype: datatype ?? .float32,
      data: datatype == nil ? tensor.to(.float32).data() : tensor.data())
  }

  public var tensor: Tensor { data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: datatype.dtype) } }

  /// The most elements that a message may claim.
  static let mostElements = 1 << 28

  /// The number of elements of a shape that a message claims.
  /// - Throws: `InputError` for negative, overflowing or huge ones.
  static func count(_ shape: [Int], at location: String) throws(InputError) -> Int {
    var count = 1
    for side in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: side)
      guard side >= 0, !overflow, product <= mostElements else {
        throw InputError("the shape is out of range", at: location, found: "\(shape)")
      }
      count = product
    }
    return count
  }
}

// MARK: - JSON

extension InferenceTensor {
  /// The numbers of `data`, flat or nested, as bytes.
  static func bytes(
    of value: Value, count: Int, datatype: DataType, at location: String
  ) throws(InputError) -> Data {
    var numbers: [Double] = []
    numbers.reserveCapacity(min(count, 1 << 20))
    func append(_ value: Value) throws(InputError) {
      if let inner = value.array {
        for value in inner { try append(value) }
      } else if let number = value.number ?? value.bool.map({ $0 ? 1 : 0 }), numbers.count < count {
        numbers.append(number)
      } else {
        throw InputError(
          value.number == nil ? "the data hold something other than numbers" : "the data do not fit the shape",
          at: location, expected: "\(count) numbers")
      }
    }
    try append(value)
    guard numbers.count == count else {
      throw InputError(
        "the data do not fit the shape", at: location, expected: "\(count) numbers", found: "\(numbers.count)")
    }
    func pack<Number>(_ convert: (Double) -> Number?) throws(InputError) -> Data {
      let converted = numbers.compactMap(convert)
      guard converted.count == numbers.count else {
        throw InputError("a number does not fit the type", at: location, expected: datatype.rawValue)
      }
      return converted.withUnsafeBytes { Data($0) }
    }
    switch datatype {
    case .bool, .uint8: return try pack { UInt8(exactly: $0) }
    case .int32: return try pack { Int32(exactly: $0) }
    case .int64: return try pack { Int64(exactly: $0) }
    case .float32: return try pack { Float($0) }
    case .float64: return try pack { $0 }
    case .float16: throw InputError("FP16 has no JSON form", at: location, remedy: "send it as binary data")
    }
  }

  /// The elements as JSON numbers that read back exactly.
  var json: Value {
    switch datatype {
    case .bool: .array(elements(UInt8.self).map { .bool($0 != 0) })
    case .uint8: .array(elements(UInt8.self).map { .int(Int($0)) })
    case .int32: .array(elements(Int32.self).map { .int(Int($0)) })
    case .int64: .array(elements(Int64.self).map { .int(Int($0)) })
    case .float16: .array(elements(Float16.self).map { .double(Double($0)) })
    case .float32: .array(elements(Float.self).map { .double(Double($0)) })
    case .float64: .array(elements(Double.self).map { .double($0) })
    }
  }
}

// MARK: - Elements

extension InferenceTensor {
  /// The numbers as float32, in row-major order; nil for whole ones. Done without LibTorch, whose threads belong to
  /// the model.
  public var floats: [Float]? {
    switch datatype {
    case .float16: elements(Float16.self).map { Float($0) }
    case .float32: elements(Float.self)
    case .float64: elements(Double.self).map { Float($0) }
    case .bool, .uint8, .int32, .int64: nil
    }
  }

  private func elements<Element: BitwiseCopyable>(_ type: Element.Type) -> [Element] {
    data.withUnsafeBytes { bytes in
      (0..<bytes.count / MemoryLayout<Element>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
      }
    }
  }
}
