import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// A tensor of the Open Inference Protocol (KServe V2) with its bytes, little-endian and in row-major order.
public struct InferenceTensor: Hashable, Sendable {
  public enum DataType: String, Codable, Sendable, CaseIterable {
    case bool = "BOOL"
    case uint8 = "UINT8"
    case int32 = "INT32"
    case int64 = "INT64"
    case float16 = "FP16"
    case float32 = "FP32"
    case float64 = "FP64"
    /// Texts or files, each behind its length in four bytes.
    case bytes = "BYTES"

    /// What one element is, of `bytes` one byte.
    public var dtype: DType {
      switch self {
      case .bool: .bool
      case .uint8, .bytes: .uint8
      case .int32: .int32
      case .int64: .int64
      case .float16: .float16
      case .float32: .float32
      case .float64: .float64
      }
    }
  }

  /// What a message says of a tensor before its data.
  public struct Head: Hashable, Sendable {
    public var name: String
    public var shape: [Int]
    public var datatype: DataType
  }

  public var name: String
  public var shape: [Int]
  public var datatype: DataType
  public var data: Data

  public var head: Head { Head(name: name, shape: shape, datatype: datatype) }

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

  /// - Parameters:
  ///   - items: The elements of a BYTES tensor, as many as the shape has.
  ///   - shape: Its sides.
  ///   - name: The tensor's name in the request.
  public init(_ items: [Data], shape: [Int], named name: String) {
    self.init(name: name, shape: shape, datatype: .bytes, data: items.reduce(into: Data()) { $0.append(item: $1) })
  }

  /// The values; of BYTES all bytes in a row.
  public var tensor: Tensor {
    let shape = datatype == .bytes ? [data.count] : shape
    return data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: datatype.dtype) }
  }

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
  /// The elements that a message's JSON holds, flat or nested.
  /// - Throws: `InputError` unless they are `count` and fit the type; no more than `count` are built.
  static func bytes(
    from reader: JSONReader, count: Int, datatype: DataType, at location: String
  ) throws(InputError) -> Data {
    var reader = reader
    reader.budget = .max  // the count bounds it
    let unit = datatype == .bytes ? "texts" : "numbers"
    func elements<Element>(_ take: (Value) throws(InputError) -> Element) throws(InputError) -> [Element] {
      var elements: [Element] = []
      elements.reserveCapacity(min(count, 1 << 16))
      func append(_ reader: inout JSONReader) throws(InputError) {
        if reader.next == UInt8(ascii: "[") { return try reader.elements(append) }
        guard elements.count < count else {
          throw InputError(
            "the data do not fit the shape", at: location, expected: "\(count) \(unit)", found: "more")
        }
        guard reader.next != UInt8(ascii: "{") else { throw unfit("an object") }
        elements.append(try take(reader.value()))
      }
      try append(&reader)
      guard elements.count == count else {
        throw InputError(
          "the data do not fit the shape", at: location, expected: "\(count) \(unit)", found: "\(elements.count)")
      }
      return elements
    }
    func unfit(_ found: String) -> InputError {
      InputError(
        "the data hold something other than \(unit)", at: location, expected: datatype.rawValue, found: found)
    }
    func pack<Number>(_ convert: (Double) -> Number?) throws(InputError) -> Data {
      try elements { (value) throws(InputError) in
        // JSON has no NaN: many write null in its place.
        let number = value.number ?? value.bool.map { $0 ? 1 : 0 } ?? (value == .null ? .nan : nil)
        guard let number else { throw unfit(value.excerpt) }
        guard let converted = convert(number) else {
          throw InputError(
            "a number does not fit the type", at: location, expected: datatype.rawValue, found: value.excerpt)
        }
        return converted
      }.withUnsafeBytes { Data($0) }
    }
    switch datatype {
    case .bool, .uint8: return try pack { UInt8(exactly: $0) }
    case .int32: return try pack { Int32(exactly: $0) }
    case .int64: return try pack { Int64(exactly: $0) }
    case .float32: return try pack { Float($0) }
    case .float64: return try pack { $0 }
    case .float16: throw InputError("FP16 has no JSON form", at: location, remedy: "send it as binary data")
    case .bytes:
      return try elements { (value) throws(InputError) in
        guard let text = value.string else { throw unfit(value.excerpt) }
        return Data(text.utf8)
      }.reduce(into: Data()) { $0.append(item: $1) }
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
    case .bytes: .array((items ?? []).map { .string(String(decoding: $0, as: UTF8.self)) })
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
    case .bool, .uint8, .int32, .int64, .bytes: nil
    }
  }

  /// The numbers as int64, in row-major order; nil unless they are whole ones.
  public var labels: [Int64]? {
    switch datatype {
    case .uint8: elements(UInt8.self).map { Int64($0) }
    case .int32: elements(Int32.self).map { Int64($0) }
    case .int64: elements(Int64.self)
    case .float16, .float32, .float64:
      floats.flatMap { floats in
        let labels = floats.compactMap { Int64(exactly: $0) }
        return labels.count == floats.count ? labels : nil
      }
    case .bool, .bytes: nil
    }
  }

  /// The elements of a BYTES tensor; nil for another one, and where the bytes are not as many elements as the shape
  /// has, each behind its length.
  public var items: [Data]? {
    guard datatype == .bytes else { return nil }
    var items: [Data] = []
    var rest = data[...]
    while let head = rest.count >= 4 ? rest.prefix(4) : nil {
      let length = head.reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      guard length <= rest.count else { return nil }
      items.append(Data(rest.prefix(length)))
      rest = rest.dropFirst(length)
    }
    return rest.isEmpty && items.count == shape.reduce(1, *) ? items : nil
  }

  private func elements<Element: BitwiseCopyable>(_ type: Element.Type) -> [Element] {
    data.withUnsafeBytes { bytes in
      (0..<bytes.count / MemoryLayout<Element>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Element>.stride, as: Element.self)
      }
    }
  }
}

extension Data {
  /// Appends an element of a BYTES tensor.
  fileprivate mutating func append(item: Data) {
    Swift.withUnsafeBytes(of: UInt32(item.count).littleEndian) { append(contentsOf: $0) }
    append(item)
  }
}

extension Value {
  /// The beginning of the value, for errors.
  var excerpt: String { "'\(description.prefix(64))'" }
}
