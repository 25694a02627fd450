import Foundation
import QuenchSupport

/// A tensor without its zeros, as a safetensors file can hold it under two names: `<name>.bitmask`, uint8, has a bit for
/// each element in row-major order, the first in the lowest bit of the first byte, which is set where the element is not
/// zero; `<name>.values` lists the elements that are not.
///
/// Its shape stands in the file's metadata under ``metadataKey``: `{"conv1.weight":[16,3,3,3]}`.
struct PackedTensor {
  static let metadataKey = "quench.sparse"
  static let bitmaskSuffix = ".bitmask"
  static let valuesSuffix = ".values"
  static let suffixes = [bitmaskSuffix, valuesSuffix]

  /// uint8, `[⌈n / 8⌉]`.
  let bitmask: Tensor
  /// In the tensor's own type, `[kept]`.
  let values: Tensor

  /// Packs `tensor`; every element comes back bit by bit, but for negative zeros, which come back as zeros.
  init(_ tensor: Tensor) {
    let isKept = tensor .!= 0
    values = tensor.masked(by: isKept)
    bitmask = isKept.withUnsafeBytes { elements in
      var bits = [UInt8](repeating: 0, count: Self.byteCount(ofBits: elements.count))
      for (index, element) in elements.enumerated() where element != 0 { bits[index / 8] |= 1 << (index % 8) }
      return Tensor(bits)
    }
  }

  /// Whether `tensor` gets smaller when it is packed, the second entry in the file's header counted in.
  static func saves(_ tensor: Tensor) -> Bool {
    let headerGrowth = 256
    let dense = tensor.count * tensor.dtype.byteCount
    let packed = byteCount(ofBits: tensor.count) + tensor.nonzeroCount() * tensor.dtype.byteCount
    return packed + headerGrowth < dense
  }

  /// Bytes that so many bits take; does not overflow.
  private static func byteCount(ofBits count: Int) -> Int { count / 8 + (count % 8 == 0 ? 0 : 1) }
}

extension PackedTensor {
  /// What a file holds of a packed tensor: bytes and what its header says of them.
  typealias Half = (entry: Safetensors.Entry, bytes: Data)

  /// The tensor of `shape` that two halves of a file make. Takes at most 8 times their bytes and an element each.
  /// - Throws: `InputError` if the halves do not fit the shape or each other.
  static func unpack(
    _ bitmask: Half, _ values: Half, shape: [Int], at location: String
  ) throws(InputError) -> Tensor {
    let layout = try TensorLayout(shape: shape, dtype: values.entry.dtype, at: location)
    let width = layout.dtype.byteCount
    let count = layout.byteCount / width
    guard bitmask.entry.dtype == .uint8, bitmask.entry.shape == [byteCount(ofBits: count)] else {
      throw InputError(
        "the bitmask has the wrong size or type", at: location,
        expected: "[\(byteCount(ofBits: count))] uint8 for \(shape)",
        found: "\(bitmask.entry.shape) \(bitmask.entry.dtype)")
    }
    let kept = bitmask.bytes.reduce(0) { $0 + $1.nonzeroBitCount }
    guard values.entry.shape == [kept] else {
      throw InputError(
        "the bitmask does not fit the values", at: location,
        expected: "[\(kept)], a value for each bit that is set",
        found: "\(values.entry.shape)")
    }
    guard count % 8 == 0 || bitmask.bytes[bitmask.bytes.count - 1] >> (count % 8) == 0 else {
      throw InputError("the bitmask has a bit beyond the last element", at: location)
    }
    var elements = [UInt8](repeating: 0, count: layout.byteCount)
    elements.withUnsafeMutableBytes { elements in
      values.bytes.withUnsafeBytes { values in
        var next = 0
        for (index, byte) in bitmask.bytes.enumerated() {
          var bits = byte
          while bits != 0 {
            let place = (index * 8 + bits.trailingZeroBitCount) * width
            let value = UnsafeRawBufferPointer(rebasing: values[next..<next + width])
            UnsafeMutableRawBufferPointer(rebasing: elements[place..<place + width]).copyMemory(from: value)
            next += width
            bits &= bits - 1
          }
        }
      }
    }
    return try elements.withUnsafeBytes { elements in
      Result { () throws(InputError) -> Tensor in try layout.tensor(copying: elements, at: location) }
    }.get()
  }
}

extension SafetensorsHeader {
  /// The shapes of the packed tensors by name, from the text under ``PackedTensor/metadataKey``.
  static func packedShapes(_ json: String, name: String) throws(InputError) -> [String: [Int]] {
    var json = json
    return try json.withUTF8 { text in
      Result { () throws(InputError) -> [String: [Int]] in
        var shapes: [String: [Int]] = [:]
        var scanner = HeaderScanner(bytes: UnsafeRawBufferPointer(text), name: name)
        try scanner.object { (scanner, key) throws(InputError) in shapes[key] = try scanner.integers() }
        try scanner.end()
        return shapes
      }
    }.get()
  }
}
