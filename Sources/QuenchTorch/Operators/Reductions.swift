extension Tensor {
  private static let sumOperator = Operator("aten::sum")
  private static let sumDimensionsOperator = Operator("aten::sum.dim_IntList")
  private static let meanOperator = Operator("aten::mean")
  private static let meanDimensionsOperator = Operator("aten::mean.dim")
  private static let varOperator = Operator("aten::var.correction")
  private static let stdOperator = Operator("aten::std.correction")
  private static let prodOperator = Operator("aten::prod")
  private static let amaxOperator = Operator("aten::amax")
  private static let aminOperator = Operator("aten::amin")
  private static let argmaxOperator = Operator("aten::argmax")
  private static let argminOperator = Operator("aten::argmin")
  private static let anyOperator = Operator("aten::any")
  private static let allOperator = Operator("aten::all")
  private static let allDimensionOperator = Operator("aten::all.dim")
  private static let normOperator = Operator("aten::linalg_vector_norm")
  private static let cumsumOperator = Operator("aten::cumsum")
  private static let logsumexpOperator = Operator("aten::logsumexp")
  private static let bincountOperator = Operator("aten::bincount")
  private static let countNonzeroOperator = Operator("aten::count_nonzero")

  /// The sum of all elements, a scalar.
  public func sum() -> Tensor { Self.sumOperator(self) }
  public func sum(_ dimensions: [Int], keepDimensions: Bool = false) -> Tensor {
    Self.sumDimensionsOperator(self, dimensions, keepDimensions)
  }
  /// The mean of all elements, a scalar.
  public func mean() -> Tensor { Self.meanOperator(self) }
  public func mean(_ dimensions: [Int], keepDimensions: Bool = false) -> Tensor {
    Self.meanDimensionsOperator(self, dimensions, keepDimensions)
  }
  /// The variance over `dimensions`, divided by n - `correction`.
  public func variance(_ dimensions: [Int], correction: Int = 1, keepDimensions: Bool = false) -> Tensor {
    Self.varOperator(self, dimensions, correction, keepDimensions)
  }
  /// The root of ``variance(_:correction:keepDimensions:)``.
  public func standardDeviation(_ dimensions: [Int], correction: Int = 1, keepDimensions: Bool = false) -> Tensor {
    Self.stdOperator(self, dimensions, correction, keepDimensions)
  }
  public func product() -> Tensor { Self.prodOperator(self) }
  /// The largest element over `dimensions` (none: over all).
  public func max(_ dimensions: [Int] = [], keepDimensions: Bool = false) -> Tensor {
    Self.amaxOperator(self, dimensions, keepDimensions)
  }
  /// The smallest element over `dimensions` (none: over all).
  public func min(_ dimensions: [Int] = [], keepDimensions: Bool = false) -> Tensor {
    Self.aminOperator(self, dimensions, keepDimensions)
  }
  /// The index of the largest element along `dimension`, int64.
  public func argmax(_ dimension: Int, keepDimension: Bool = false) -> Tensor {
    Self.argmaxOperator(self, dimension, keepDimension)
  }
  /// The index of the smallest element along `dimension`, int64.
  public func argmin(_ dimension: Int, keepDimension: Bool = false) -> Tensor {
    Self.argminOperator(self, dimension, keepDimension)
  }
  /// Whether any element is not zero.
  public func any() -> Bool { Self.anyOperator(self).item() != 0 }
  /// Whether all elements are not zero.
  public func all() -> Bool { Self.allOperator(self).item() != 0 }
  public func all(_ dimension: Int, keepDimension: Bool = false) -> Tensor {
    Self.allDimensionOperator(self, dimension, keepDimension)
  }
  /// The `order`-norm over `dimensions` (nil: over all elements as one vector).
  public func norm(_ order: Double = 2, _ dimensions: [Int]? = nil, keepDimensions: Bool = false) -> Tensor {
    Self.normOperator(self, order, dimensions, keepDimensions)
  }
  public func cumulativeSum(_ dimension: Int) -> Tensor { Self.cumsumOperator(self, dimension) }
  /// log Σ exp over `dimensions`, without overflow.
  public func logSumExp(_ dimensions: [Int], keepDimensions: Bool = false) -> Tensor {
    Self.logsumexpOperator(self, dimensions, keepDimensions)
  }
  /// How often each of 0, 1, ... occurs in a vector of integers; at least `minimumLength` entries.
  public func binCount(minimumLength: Int = 0) -> Tensor {
    Self.bincountOperator(self, Tensor?.none, minimumLength)
  }
  /// How many elements are not zero.
  public func nonzeroCount() -> Int { Self.countNonzeroOperator(self).integerItem() }
}

// MARK: - Order

extension Tensor {
  private static let sortOperator = Operator("aten::sort.stable")
  private static let argsortOperator = Operator("aten::argsort.stable")
  private static let topkOperator = Operator("aten::topk")
  private static let kthvalueOperator = Operator("aten::kthvalue")
  private static let maxDimensionOperator = Operator("aten::max.dim")
  private static let minDimensionOperator = Operator("aten::min.dim")

  /// Sorted along `dimension`, with the indices; equal elements keep their order.
  public func sorted(_ dimension: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
    let result = Self.sortOperator.tuple(self, true, dimension, descending)
    return (result[0], result[1])
  }
  /// The indices that sort along `dimension`; equal elements keep their order.
  public func argsort(_ dimension: Int = -1, descending: Bool = false) -> Tensor {
    Self.argsortOperator(self, true, dimension, descending)
  }
  /// The `count` largest (or smallest) elements along `dimension`, best first, with their indices.
  public func topK(_ count: Int, _ dimension: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
    let result = Self.topkOperator.tuple(self, count, dimension, largest, true)
    return (result[0], result[1])
  }
  /// The `k`-th smallest element along `dimension` (from 1), with its index.
  public func kthValue(_ k: Int, _ dimension: Int = -1) -> (values: Tensor, indices: Tensor) {
    let result = Self.kthvalueOperator.tuple(self, k, dimension)
    return (result[0], result[1])
  }
  /// The largest element along `dimension` with its index.
  public func maxWithIndex(_ dimension: Int) -> (values: Tensor, indices: Tensor) {
    let result = Self.maxDimensionOperator.tuple(self, dimension)
    return (result[0], result[1])
  }
  /// The smallest element along `dimension` with its index.
  public func minWithIndex(_ dimension: Int) -> (values: Tensor, indices: Tensor) {
    let result = Self.minDimensionOperator.tuple(self, dimension)
    return (result[0], result[1])
  }
}
