import QuenchSupport

/// The shape and element type that a file states for a tensor, so checked that no size computed from them
/// overflows.
struct TensorLayout: Hashable, Sendable {
  /// LibTorch's kernels walk over at most this many dimensions.
  static let maximumRank = 64

  let shape: [Int]
  let dtype: DType
  let byteCount: Int

  init(shape: [Int], dtype: DType, at location: String) throws(InputError) {
    guard shape.count <= Self.maximumRank else {
      throw InputError(
        "the tensor has too many dimensions", at: location, expected: "at most \(Self.maximumRank)",
        found: "\(shape.count)")
    }
    // A size of zero counts as one: LibTorch multiplies the other sizes into strides all the same.
    var bytes = dtype.byteCount
    for size in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: max(size, 1))
      guard size >= 0, !overflow else {
        throw InputError(
          "the tensor's shape is impossible", at: location, expected: "sizes from 0 whose product fits 63 bits",
          found: "\(shape)")
      }
      bytes = product
    }
    self.shape = shape
    self.dtype = dtype
    byteCount = shape.contains(0) ? 0 : bytes
  }

  /// A tensor that holds a copy of `bytes`, which are its elements in row-major order.
  func tensor(copying bytes: UnsafeRawBufferPointer, at location: String) throws(InputError) -> Tensor {
    guard bytes.count == byteCount else {
      throw InputError(
        "the tensor's data have the wrong length", at: location,
        expected: "\(byteCount) bytes for \(dtype)\(shape)",
        found: "\(bytes.count)")
    }
    if dtype == .bool, let wrong = bytes.first(where: { $0 > 1 }) {
      throw InputError("a truth value is neither 0 nor 1", at: location, found: "\(wrong)")
    }
    return Tensor(bytes: bytes, shape: shape, dtype: dtype)
  }
}

extension String {
  /// The text in quotes with control characters escaped, cut to a length that suits an error message.
  var quoted: String {
    count <= 80 ? debugDescription : String(prefix(80)).debugDescription + "..."
  }
}
