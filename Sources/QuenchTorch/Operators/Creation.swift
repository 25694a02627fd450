extension Tensor {
  private static let emptyOperator = Operator("aten::empty.memory_format")
  private static let fullOperator = Operator("aten::full")
  private static let arangeOperator = Operator("aten::arange.start_step")
  private static let linspaceOperator = Operator("aten::linspace")
  private static let eyeOperator = Operator("aten::eye")
  private static let zerosLikeOperator = Operator("aten::zeros_like")
  private static let onesLikeOperator = Operator("aten::ones_like")
  private static let emptyLikeOperator = Operator("aten::empty_like")
  private static let fullLikeOperator = Operator("aten::full_like")
  private static let oneHotOperator = Operator("aten::one_hot")

  /// Uninitialised elements.
  public static func empty(
    _ shape: [Int], dtype: DType = .float32, device: Device = .cpu, format: MemoryFormat = .contiguous
  ) -> Tensor {
    emptyOperator(shape, dtype, SchemaDefault(), device, SchemaDefault(), format)
  }

  /// Every element is `value`.
  public static func full(
    _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    fullOperator(shape, value, dtype, SchemaDefault(), device)
  }

  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 0, dtype: dtype, device: device)
  }

  public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    full(shape, 1, dtype: dtype, device: device)
  }

  /// `start`, `start + step`, ... up to but without `end`.
  public static func arange(
    _ start: Double = 0, to end: Double, by step: Double = 1, dtype: DType = .int64, device: Device = .cpu
  ) -> Tensor {
    arangeOperator(start, end, step, dtype, SchemaDefault(), device)
  }

  /// `count` evenly spaced values from `start` to `end`, both included.
  public static func linspace(
    _ start: Double, _ end: Double, count: Int, dtype: DType = .float32, device: Device = .cpu
  ) -> Tensor {
    linspaceOperator(start, end, count, dtype, SchemaDefault(), device)
  }

  /// The identity matrix `[count, count]`.
  public static func eye(_ count: Int, dtype: DType = .float32, device: Device = .cpu) -> Tensor {
    eyeOperator(count, dtype, SchemaDefault(), device)
  }

  public func zerosLike() -> Tensor { Self.zerosLikeOperator(self) }
  public func onesLike() -> Tensor { Self.onesLikeOperator(self) }
  public func emptyLike() -> Tensor { Self.emptyLikeOperator(self) }
  public func fullLike(_ value: Double) -> Tensor { Self.fullLikeOperator(self, value) }

  /// Integer class indices `[...]` as rows `[..., classes]` with a single 1, int64.
  public func oneHot(classes: Int) -> Tensor { Self.oneHotOperator(self, classes) }
}

// MARK: - Random

extension Tensor {
  private static let uniformOperator = Operator("aten::uniform_")
  private static let normalOperator = Operator("aten::normal_")
  private static let bernoulliOperator = Operator("aten::bernoulli_.float")
  private static let randintOperator = Operator("aten::randint.low_generator")
  private static let randpermOperator = Operator("aten::randperm.generator")
  private static let multinomialOperator = Operator("aten::multinomial")

  /// Uniform values in [`low`, `high`).
  public static func uniform(
    _ shape: [Int], _ low: Double = 0, _ high: Double = 1, dtype: DType = .float32, using generator: Generator
  ) -> Tensor {
    uniformOperator(empty(shape, dtype: dtype, device: generator.device), low, high, generator)
  }

  /// Normal values of the given mean and standard deviation.
  public static func normal(
    _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, dtype: DType = .float32,
    using generator: Generator
  ) -> Tensor {
    normalOperator(empty(shape, dtype: dtype, device: generator.device), mean, standardDeviation, generator)
  }

  /// 1 with the given probability, else 0.
  public static func bernoulli(
    _ shape: [Int], probability: Double, dtype: DType = .float32, using generator: Generator
  ) -> Tensor {
    bernoulliOperator(empty(shape, dtype: dtype, device: generator.device), probability, generator)
  }

  /// Uniform integers in `range`, int64.
  public static func randint(_ shape: [Int], in range: Range<Int>, using generator: Generator) -> Tensor {
    randintOperator(
      range.lowerBound, range.upperBound, shape, generator, DType.int64, SchemaDefault(), generator.device)
  }

  /// A random order of 0 ..< `count`, int64.
  public static func permutation(_ count: Int, using generator: Generator) -> Tensor {
    randpermOperator(count, generator, DType.int64, SchemaDefault(), generator.device)
  }

  /// Indices drawn with probabilities in proportion to the last dimension's weights: `[..., samples]`, int64.
  public func multinomial(samples: Int, replacement: Bool = false, using generator: Generator) -> Tensor {
    Self.multinomialOperator(self, samples, replacement, generator)
  }

  /// Zeroes elements with the given probability in [0, 1) and scales the others up to keep the mean.
  public func dropout(_ probability: Double, using generator: Generator) -> Tensor {
    let kept = detached().emptyLike()
    Self.bernoulliOperator.run(kept, 1 - probability, generator)
    kept /= 1 - probability
    return self * kept
  }

  /// Overwrites the elements with normal values; no memory is allocated.
  public func fillNormal(mean: Double = 0, standardDeviation: Double = 1, using generator: Generator) {
    Self.normalOperator.run(self, mean, standardDeviation, generator)
  }

  /// Overwrites the elements with uniform values in [`low`, `high`); no memory is allocated.
  public func fillUniform(_ low: Double, _ high: Double, using generator: Generator) {
    Self.uniformOperator.run(self, low, high, generator)
  }
}
