import CTorch
import Foundation
import QuenchSupport

/// Reads the tensors of an ONNX file from where they lie: in it, or in files beside it.
struct ONNXTensors {
  let source: ByteSource
  /// Where other files may lie; nil for a model that lies in memory.
  let folder: URL?
  private var files: [String: ByteSource] = [:]

  init(_ source: ByteSource, folder: URL?) {
    self.source = source
    self.folder = folder
  }

  /// What ONNX calls the types of elements, and what they are read as: LibTorch computes little with unsigned numbers.
  private static let types: [Int: (stored: DType, widened: DType?)] = [
    1: (.float32, nil), 2: (.uint8, nil), 3: (.int8, nil), 4: (.int16, .int32), 5: (.int16, nil), 6: (.int32, nil),
    7: (.int64, nil), 9: (.bool, nil), 10: (.float16, nil), 11: (.float64, nil), 12: (.int32, .int64),
    13: (.int64, nil), 16: (.bfloat16, nil)
  ]

  static func dtype(_ type: Int) -> DType? { types[type].map { $0.widened ?? $0.stored } }

  static func typeName(_ type: Int) -> String {
    let names = [
      8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2",
      20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1"
    ]
    return names[type] ?? dtype(type).map { "\($0)" } ?? "type \(type)"
  }

  mutating func tensor(_ proto: ONNXProto.Tensor) throws(InputError) -> Tensor {
    let place = "\(source.name), tensor '\(proto.name.excerpt(80))'"
    guard let (dtype, widened) = Self.types[proto.type] else {
      throw InputError(
        "the tensor has elements that no network here computes with", at: place,
        expected: "floating-point numbers, integers or truth values", found: Self.typeName(proto.type),
        remedy: "export the network in float32")
    }
    let layout = try TensorLayout(shape: proto.shape, dtype: dtype, at: place)
    let tensor: Tensor
    if proto.isExternal {
      let (file, range) = try external(proto, layout, at: place)
      tensor = try read(file, range, layout, at: place)
    } else if let raw = proto.raw {
      tensor = try read(source, raw, layout, at: place)
    } else {
      tensor = try numbers(proto, layout, at: place)
    }
    guard let widened else { return tensor }
    // The sign bit is one of value there.
    let span = Double(sign: .plus, exponent: 8 * dtype.byteCount, significand: 1)
    return tensor.to(.int64).remainder(span).to(widened)
  }

  /// Copied piece by piece into the memory that it stays in.
  private func read(
    _ file: ByteSource, _ range: Range<Int>, _ layout: TensorLayout, at place: String
  ) throws(InputError) -> Tensor {
    guard range.count == layout.byteCount else {
      throw InputError(
        "the tensor's data have the wrong length", at: place,
        expected: "\(layout.byteCount) bytes for \(layout.dtype)\(layout.shape)", found: "\(range.count)")
    }
    let tensor = Tensor.empty(layout.shape, dtype: layout.dtype)
    guard !range.isEmpty else { return tensor }
    var address: UnsafeMutableRawPointer?
    ProgrammingError.check("storage") { error in ct_data(tensor.raw, &address, &error) }
    for start in stride(from: range.lowerBound, to: range.upperBound, by: 4 << 20) {
      let piece = try file.read(start..<min(start + 4 << 20, range.upperBound))
      if layout.dtype == .bool, let wrong = piece.first(where: { $0 > 1 }) {
        throw InputError("a truth value is neither 0 nor 1", at: place, found: "\(wrong)")
      }
      piece.withUnsafeBytes { bytes in
        if let from = bytes.baseAddress {
          address?.advanced(by: start - range.lowerBound).copyMemory(from: from, byteCount: bytes.count)
        }
      }
    }
    return withExtendedLifetime(tensor) { tensor }
  }

  /// Numbers in fields of their own: float, double, and integers of a variable length.
  private func numbers(
    _ proto: ONNXProto.Tensor, _ layout: TensorLayout, at place: String
  ) throws(InputError) -> Tensor {
    var bytes = Data()
    let width = layout.dtype.byteCount
    for (field, range) in proto.numbers {
      switch (field, layout.dtype) {
      case (4, .float32), (10, .float64): bytes.append(try source.read(range))
      case (5, .int32), (5, .int16), (5, .int8), (5, .uint8), (5, .bool), (5, .float16), (5, .bfloat16),
        (7, .int64), (11, .int64), (11, .int32):
        var wire = ONNXWire(source).message(range)
        while !wire.isAtEnd {
          let value = try wire.varint()
          for byte in 0..<width { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(byte)))) }
        }
      default:
        throw InputError(
          "the tensor's numbers stand in another field than its type says", at: place, found: "\(layout.dtype)",
          remedy: "write the model again with onnx.save")
      }
    }
    return try bytes.parse { (buffer) throws(InputError) in try layout.tensor(copying: buffer, at: place) }
  }

  private mutating func external(
    _ proto: ONNXProto.Tensor, _ layout: TensorLayout, at place: String
  ) throws(InputError) -> (ByteSource, Range<Int>) {
    let location = proto.external["location"] ?? ""
    guard let folder else {
      throw InputError(
        "the tensor lies in another file", at: place, found: location.quoted,
        remedy: "load the model from its own file")
    }
    let parts = location.split(separator: "/", omittingEmptySubsequences: false)
    guard !location.isEmpty, !parts.contains(""), !parts.contains(".."), !location.contains("\0") else {
      throw InputError(
        "the tensor lies in a file that is not beside the model", at: place, expected: "a name relative to it",
        found: location.quoted, remedy: "write the model again with its data in one file")
    }
    if files[location] == nil {
      let file = folder.appending(path: location)
      let (inside, real) = (folder.resolvingSymlinksInPath().path, file.resolvingSymlinksInPath().path)
      guard real.hasPrefix(inside.hasSuffix("/") ? inside : inside + "/") else {
        throw InputError(
          "the tensor lies in a file that is not beside the model", at: place, found: location.quoted,
          remedy: "put the file itself beside the model")
      }
      do { files[location] = try ByteSource(contentsOf: file) } catch {
        throw InputError(
          "the file that holds the weights is missing", at: place, expected: file.path, found: error.problem,
          remedy: "put it beside the model")
      }
    }
    guard let file = files[location] else { throw InputError("the tensor's file is missing", at: place) }
    let offset = proto.external["offset"].map { Int($0) ?? -1 } ?? 0
    let length = proto.external["length"].map { Int($0) ?? -1 } ?? layout.byteCount
    guard offset >= 0, length >= 0, offset <= file.count, length <= file.count - offset else {
      throw InputError(
        "the tensor reaches beyond its file", at: place,
        expected: "within \(file.count) bytes of \(location.quoted)",
        found: "\(length) bytes from byte \(offset)", remedy: "the file is truncated: fetch or write it again")
    }
    return (file, offset..<offset + length)
  }
}
