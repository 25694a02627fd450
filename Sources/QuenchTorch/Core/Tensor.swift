import CTorch
import Foundation

/// A LibTorch tensor.
///
/// Copying a `Tensor` copies the reference, not the elements, as in PyTorch. It is not `Sendable`: operators that
/// work in place would race. Swift moves it between tasks; an actor shares it.
public struct Tensor {
  /// Owns one reference on the `TensorImpl`; the last copy of the tensor gives it back.
  private final class Handle {
    let raw: OpaquePointer
    init(adopting raw: OpaquePointer) { self.raw = raw }
    deinit { ct_release(raw) }
  }

  private let handle: Handle

  /// The retained `TensorImpl`; valid while this tensor is alive.
  var raw: OpaquePointer { handle.raw }

  init(adopting raw: OpaquePointer) { handle = Handle(adopting: raw) }

  /// How many tensors the process holds through this package: the figure that shows a leak.
  public static var liveCount: Int { Int(ct_live_tensors()) }
}

extension Tensor {
  /// Sizes along each dimension, outermost first.
  public var shape: [Int] { (0..<rank).map(size) }
  /// The number of dimensions.
  public var rank: Int { Int(ct_rank(raw)) }
  /// The number of elements.
  public var count: Int { (0..<rank).reduce(1) { $0 * size($1) } }
  public var dtype: DType {
    guard let dtype = DType(rawValue: ct_dtype(raw)) else {
      ProgrammingError.stop("element type \(ct_dtype(raw)) has no counterpart")
    }
    return dtype
  }
  public var device: Device { Device(type: ct_device_type(raw), index: ct_device_index(raw)) }

  /// The size along `dimension`; negative ones count from the end.
  public func size(_ dimension: Int) -> Int {
    let rank = rank
    let index = dimension < 0 ? dimension + rank : dimension
    guard (0..<rank).contains(index) else {
      ProgrammingError.stop("size: dimension \(dimension) of \(summary)")
    }
    return Int(ct_size(raw, Int32(index)))
  }

  public func isContiguous(_ format: MemoryFormat = .contiguous) -> Bool {
    ct_is_contiguous(raw, format == .channelsLast)
  }

  /// Whether both tensors are views of the same memory.
  public func sharesStorage(with other: Tensor) -> Bool { ct_same_storage(raw, other.raw) }

  /// Whether both have the same shape and their elements lie in memory in the same order with the same gaps.
  public func hasLayout(of other: Tensor) -> Bool { ct_same_layout(raw, other.raw) }

  /// Shape and element type: `[2, 3] float32`.
  public var summary: String { "\(shape) \(dtype)" }
}

// MARK: - Elements in and out

extension Tensor {
  /// Copies raw elements in row-major order.
  /// - Precondition: `bytes.count` is the shape's element count times the element's size.
  public init(bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) {
    var out: OpaquePointer?
    ProgrammingError.check("tensor from bytes") { error in
      ct_from_bytes(
        bytes.baseAddress, bytes.count, shape.map(Int64.init), Int32(shape.count), dtype.rawValue, &out, &error)
    }
    guard let out else { ProgrammingError.stop("tensor from bytes: no tensor") }
    self.init(adopting: out)
  }

  /// Elements in row-major order; `shape` defaults to one dimension.
  public init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil) {
    self = elements.withUnsafeBytes { bytes in
      Tensor(bytes: bytes, shape: shape ?? [elements.count], dtype: Element.dtype)
    }
  }

  /// A tensor on the CPU whose elements, in row-major order, `write` puts where they are to lie; one that it leaves out is
  /// undefined.
  public init<Element: TensorElement>(
    shape: [Int], writing write: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) rethrows {
    let tensor = Tensor.empty(shape, dtype: Element.dtype)
    var address: UnsafeMutableRawPointer?
    ProgrammingError.check("elements") { error in ct_data(tensor.raw, &address, &error) }
    try write(
      UnsafeMutableBufferPointer(start: address?.assumingMemoryBound(to: Element.self), count: tensor.count))
    self = tensor
  }

  /// A scalar tensor.
  public init(_ value: Double, dtype: DType = .float32) { self = Tensor.full([], value, dtype: dtype) }

  /// Runs `body` with the elements' bytes in row-major order, copied to the CPU first if they are not so already.
  public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    let here = detached().to(.cpu).contiguous()
    return try withExtendedLifetime(here) {
      var address: UnsafeMutableRawPointer?
      ProgrammingError.check("bytes") { error in ct_data(here.raw, &address, &error) }
      return try body(UnsafeRawBufferPointer(start: address, count: here.count * here.dtype.byteCount))
    }
  }

  /// The elements' bytes in row-major order.
  public func data() -> Data { withUnsafeBytes { Data($0) } }

  /// The elements in row-major order, converted to `Element`'s type.
  public func array<Element: TensorElement>(_ type: Element.Type = Element.self) -> [Element] {
    to(Element.dtype).withUnsafeBytes { Array($0.bindMemory(to: Element.self)) }
  }

  /// The only element, as a floating-point number.
  public func item() -> Double {
    var value = 0.0
    ProgrammingError.check("item of \(summary)") { error in ct_item(raw, &value, &error) }
    return value
  }

  /// The only element, as an integer.
  public func integerItem() -> Int {
    var value: Int64 = 0
    ProgrammingError.check("item of \(summary)") { error in ct_item_integer(raw, &value, &error) }
    return Int(value)
  }
}

extension Tensor: CustomStringConvertible {
  public var description: String {
    let elements = count <= 32 ? " \(array(Double.self))" : ""
    return "Tensor(\(summary)\(device == .cpu ? "" : " on \(device)"))\(elements)"
  }
}
