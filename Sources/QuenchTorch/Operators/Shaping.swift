extension Tensor {
  private static let reshapeOperator = Operator("aten::reshape")
  private static let viewOperator = Operator("aten::view")
  private static let flattenOperator = Operator("aten::flatten.using_ints")
  private static let permuteOperator = Operator("aten::permute")
  private static let transposeOperator = Operator("aten::transpose.int")
  private static let squeezeOperator = Operator("aten::squeeze.dim")
  private static let unsqueezeOperator = Operator("aten::unsqueeze")
  private static let expandOperator = Operator("aten::expand")
  private static let repeatOperator = Operator("aten::repeat")
  private static let repeatInterleaveOperator = Operator("aten::repeat_interleave.self_int")
  private static let catOperator = Operator("aten::cat")
  private static let stackOperator = Operator("aten::stack")
  private static let splitOperator = Operator("aten::split.Tensor")
  private static let splitSizesOperator = Operator("aten::split_with_sizes")
  private static let unbindOperator = Operator("aten::unbind.int")
  private static let flipOperator = Operator("aten::flip")
  private static let padOperator = Operator("aten::constant_pad_nd")
  private static let detachOperator = Operator("aten::detach")
  private static let cloneOperator = Operator("aten::clone")
  private static let contiguousOperator = Operator("aten::contiguous")
  private static let toDTypeOperator = Operator("aten::to.dtype")
  private static let toDeviceOperator = Operator("aten::to.device")

  /// The same elements in another shape; one size may be -1.
  public func reshaped(_ shape: [Int]) -> Tensor { Self.reshapeOperator(self, shape) }
  /// As ``reshaped(_:)``, but always a view of the same memory.
  public func viewed(_ shape: [Int]) -> Tensor { Self.viewOperator(self, shape) }
  /// Dimensions `from ... to` as one.
  public func flattened(from: Int = 0, to: Int = -1) -> Tensor { Self.flattenOperator(self, from, to) }
  public func permuted(_ order: [Int]) -> Tensor { Self.permuteOperator(self, order) }
  public func transposed(_ a: Int = -2, _ b: Int = -1) -> Tensor { Self.transposeOperator(self, a, b) }
  public func squeezed(_ dimension: Int) -> Tensor { Self.squeezeOperator(self, dimension) }
  public func unsqueezed(_ dimension: Int) -> Tensor { Self.unsqueezeOperator(self, dimension) }
  /// A view that repeats dimensions of size 1; -1 keeps a size.
  public func expanded(_ shape: [Int]) -> Tensor { Self.expandOperator(self, shape) }
  public func repeated(_ counts: [Int]) -> Tensor { Self.repeatOperator(self, counts) }
  /// Each slice along `dimension` repeated `count` times in place.
  public func repeatInterleaved(_ count: Int, _ dimension: Int) -> Tensor {
    Self.repeatInterleaveOperator(self, count, dimension)
  }
  public static func concatenated(_ tensors: [Tensor], _ dimension: Int = 0) -> Tensor {
    catOperator(tensors, dimension)
  }
  public static func stacked(_ tensors: [Tensor], _ dimension: Int = 0) -> Tensor {
    stackOperator(tensors, dimension)
  }
  /// Views of `size` along `dimension`; the last may be smaller.
  public func split(_ size: Int, _ dimension: Int = 0) -> [Tensor] {
    Self.splitOperator.list(self, size, dimension)
  }
  /// Views of the given sizes along `dimension`.
  public func split(sizes: [Int], _ dimension: Int = 0) -> [Tensor] {
    Self.splitSizesOperator.list(self, sizes, dimension)
  }
  /// The slices along `dimension`, without it.
  public func unbound(_ dimension: Int = 0) -> [Tensor] { Self.unbindOperator.list(self, dimension) }
  public func flipped(_ dimensions: [Int]) -> Tensor { Self.flipOperator(self, dimensions) }
  /// Pads with `value`; `amounts` go from the last dimension backwards as (before, after) pairs.
  public func padded(_ amounts: [Int], value: Double = 0) -> Tensor { Self.padOperator(self, amounts, value) }
  /// The same memory without its history of operators.
  public func detached() -> Tensor { Self.detachOperator(self) }
  /// A copy in memory of its own.
  public func cloned() -> Tensor { Self.cloneOperator(self) }
  /// Itself if it already lies in that order, else a copy that does.
  public func contiguous(_ format: MemoryFormat = .contiguous) -> Tensor { Self.contiguousOperator(self, format) }
  /// Itself if it already has that type, else a converted copy.
  public func to(_ dtype: DType) -> Tensor { Self.toDTypeOperator(self, dtype) }
  /// Itself, or a float32 copy of a tensor of 16-bit numbers: losses are computed with at least 32.
  public func inFullPrecision() -> Tensor { dtype.byteCount < 4 ? to(.float32) : self }
  /// Itself if it is already there, else a copy on `device`.
  public func to(_ device: Device, dtype: DType? = nil) -> Tensor {
    Self.toDeviceOperator(self, device, dtype ?? self.dtype)
  }
}

// MARK: - Indexing

/// One entry of a tensor's subscript.
public enum TensorIndex: Sendable {
  /// One slice; the dimension goes. Negative ones count from the end.
  case at(Int)
  /// A part of the dimension in steps.
  case slice(from: Int?, to: Int?, by: Int)
  /// A new dimension of size 1.
  case newAxis

  /// The whole dimension.
  public static let all = TensorIndex.slice(from: nil, to: nil, by: 1)
  /// Every `step`-th slice.
  public static func every(_ step: Int) -> TensorIndex { .slice(from: nil, to: nil, by: step) }
}

/// What may stand in a tensor's subscript: an `Int`, a range of them or a ``TensorIndex``.
public protocol TensorIndexable {
  var tensorIndex: TensorIndex { get }
}

extension TensorIndex: TensorIndexable { public var tensorIndex: TensorIndex { self } }

extension Int: TensorIndexable { public var tensorIndex: TensorIndex { .at(self) } }
extension Range<Int>: TensorIndexable {
  public var tensorIndex: TensorIndex { .slice(from: lowerBound, to: upperBound, by: 1) }
}
extension PartialRangeFrom<Int>: TensorIndexable {
  public var tensorIndex: TensorIndex { .slice(from: lowerBound, to: nil, by: 1) }
}
extension PartialRangeUpTo<Int>: TensorIndexable {
  public var tensorIndex: TensorIndex { .slice(from: nil, to: upperBound, by: 1) }
}

extension Tensor {
  private static let selectOperator = Operator("aten::select.int")
  private static let sliceOperator = Operator("aten::slice.Tensor")
  private static let indexOperator = Operator("aten::index.Tensor")
  private static let indexPutOperator = Operator("aten::index_put_")
  private static let indexSelectOperator = Operator("aten::index_select")
  private static let indexAddOperator = Operator("aten::index_add_")
  private static let gatherOperator = Operator("aten::gather")
  private static let scatterOperator = Operator("aten::scatter.src")
  private static let scatterValueOperator = Operator("aten::scatter.value")
  private static let scatterInPlaceOperator = Operator("aten::scatter_.value")
  private static let scatterAddOperator = Operator("aten::scatter_add")
  private static let maskedSelectOperator = Operator("aten::masked_select")
  private static let nonzeroOperator = Operator("aten::nonzero")

  /// A view: `x[0, 1..<3, TensorIndex.all, TensorIndex.every(2)]`. Dimensions that are not named are kept whole.
  /// Assigning copies elements into the view.
  public subscript(_ indices: any TensorIndexable...) -> Tensor {
    get { view(indices) }
    nonmutating set { view(indices).copy(from: newValue) }
  }

  private func view(_ indices: [any TensorIndexable]) -> Tensor {
    var result = self
    var dimension = 0
    for index in indices {
      switch index.tensorIndex {
      case .at(let position): result = Self.selectOperator(result, dimension, position)
      case .slice(let from, let to, let step):
        if from != nil || to != nil || step != 1 {
          result = Self.sliceOperator(result, dimension, from, to, step)
        }
        dimension += 1
      case .newAxis:
        result = result.unsqueezed(dimension)
        dimension += 1
      }
    }
    return result
  }

  /// Advanced indexing: integer or bool tensors, one a dimension, nil for a whole one; they broadcast with each
  /// other.
  public func indexed(_ indices: [Tensor?]) -> Tensor { Self.indexOperator(self, indices) }
  /// Writes `values` where ``indexed(_:)`` would read; with `accumulate`, adds them.
  public func put(_ values: Tensor, at indices: [Tensor?], accumulate: Bool = false) {
    Self.indexPutOperator.run(self, indices, values, accumulate)
  }
  /// The slices along `dimension` that `indices` (a vector of integers) name.
  public func selecting(_ indices: Tensor, _ dimension: Int = 0) -> Tensor {
    Self.indexSelectOperator(self, dimension, indices)
  }
  /// Adds the slices of `source` to those that `indices` name, in place.
  public func addSlices(_ source: Tensor, at indices: Tensor, _ dimension: Int = 0) {
    Self.indexAddOperator.run(self, dimension, indices, source)
  }
  /// out[i][j] = self[index[i][j]][j] for dimension 0, and so on.
  public func gathered(_ dimension: Int, _ index: Tensor) -> Tensor { Self.gatherOperator(self, dimension, index) }
  /// A copy with `source` written where ``gathered(_:_:)`` would read.
  public func scattered(_ dimension: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
    Self.scatterOperator(self, dimension, index, source)
  }
  /// A copy with `value` written where ``gathered(_:_:)`` would read.
  public func scattered(_ dimension: Int, _ index: Tensor, _ value: Double) -> Tensor {
    Self.scatterValueOperator(self, dimension, index, value)
  }
  /// Writes `value` where ``gathered(_:_:)`` would read.
  public func scatter(_ dimension: Int, _ index: Tensor, _ value: Double) {
    Self.scatterInPlaceOperator.run(self, dimension, index, value)
  }
  /// A copy with `source` added where ``gathered(_:_:)`` would read.
  public func scatterAdded(_ dimension: Int, _ index: Tensor, _ source: Tensor) -> Tensor {
    Self.scatterAddOperator(self, dimension, index, source)
  }
  /// The elements where `mask` holds, as a vector.
  public func masked(by mask: Tensor) -> Tensor { Self.maskedSelectOperator(self, mask) }
  /// The positions of the elements that are not zero: `[count, rank]`, int64.
  public func nonzero() -> Tensor { Self.nonzeroOperator(self) }
}
