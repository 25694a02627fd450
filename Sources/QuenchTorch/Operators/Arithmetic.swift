extension Tensor {
  private static let addOperator = Operator("aten::add.Tensor")
  private static let addScalarOperator = Operator("aten::add.Scalar")
  private static let subOperator = Operator("aten::sub.Tensor")
  private static let rsubOperator = Operator("aten::rsub.Scalar")
  private static let mulOperator = Operator("aten::mul.Tensor")
  private static let mulScalarOperator = Operator("aten::mul.Scalar")
  private static let divOperator = Operator("aten::div.Tensor")
  private static let divScalarOperator = Operator("aten::div.Scalar")
  private static let divRoundingOperator = Operator("aten::div.Scalar_mode")
  private static let remainderOperator = Operator("aten::remainder.Scalar")
  private static let reciprocalOperator = Operator("aten::reciprocal")
  private static let negOperator = Operator("aten::neg")
  private static let addInPlaceOperator = Operator("aten::add_.Tensor")
  private static let addScalarInPlaceOperator = Operator("aten::add_.Scalar")
  private static let subInPlaceOperator = Operator("aten::sub_.Tensor")
  private static let mulInPlaceOperator = Operator("aten::mul_.Tensor")
  private static let mulScalarInPlaceOperator = Operator("aten::mul_.Scalar")
  private static let divInPlaceOperator = Operator("aten::div_.Tensor")
  private static let divScalarInPlaceOperator = Operator("aten::div_.Scalar")
  private static let fillOperator = Operator("aten::fill_.Scalar")
  private static let copyOperator = Operator("aten::copy_")
  private static let addcmulOperator = Operator("aten::addcmul")
  private static let lerpOperator = Operator("aten::lerp.Scalar")

  public static func + (a: Tensor, b: Tensor) -> Tensor { addOperator(a, b) }
  public static func + (a: Tensor, b: Double) -> Tensor { addScalarOperator(a, b) }
  public static func + (a: Double, b: Tensor) -> Tensor { addScalarOperator(b, a) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { subOperator(a, b) }
  public static func - (a: Tensor, b: Double) -> Tensor { addScalarOperator(a, -b) }
  public static func - (a: Double, b: Tensor) -> Tensor { rsubOperator(b, a) }
  public static func * (a: Tensor, b: Tensor) -> Tensor { mulOperator(a, b) }
  public static func * (a: Tensor, b: Double) -> Tensor { mulScalarOperator(a, b) }
  public static func * (a: Double, b: Tensor) -> Tensor { mulScalarOperator(b, a) }
  public static func / (a: Tensor, b: Tensor) -> Tensor { divOperator(a, b) }
  public static func / (a: Tensor, b: Double) -> Tensor { divScalarOperator(a, b) }
  public static func / (a: Double, b: Tensor) -> Tensor { reciprocalOperator(b) * a }
  public static prefix func - (a: Tensor) -> Tensor { negOperator(a) }

  /// In place: every holder of this tensor sees the change.
  public static func += (a: Tensor, b: Tensor) { addInPlaceOperator.run(a, b) }
  public static func += (a: Tensor, b: Double) { addScalarInPlaceOperator.run(a, b) }
  /// For integer tensors, which take no floating-point number.
  public static func += (a: Tensor, b: Int) { addScalarInPlaceOperator.run(a, b) }
  public static func -= (a: Tensor, b: Tensor) { subInPlaceOperator.run(a, b) }
  public static func -= (a: Tensor, b: Double) { addScalarInPlaceOperator.run(a, -b) }
  public static func *= (a: Tensor, b: Tensor) { mulInPlaceOperator.run(a, b) }
  public static func *= (a: Tensor, b: Double) { mulScalarInPlaceOperator.run(a, b) }
  public static func /= (a: Tensor, b: Tensor) { divInPlaceOperator.run(a, b) }
  public static func /= (a: Tensor, b: Double) { divScalarInPlaceOperator.run(a, b) }

  /// Adds `scale * other` in place.
  public func add(_ other: Tensor, scaledBy scale: Double) { Self.addInPlaceOperator.run(self, other, scale) }
  /// Overwrites every element.
  public func fill(with value: Double) { Self.fillOperator.run(self, value) }
  /// Overwrites the elements with `other`'s, converted and broadcast.
  public func copy(from other: Tensor) { Self.copyOperator.run(self, other) }

  /// Rounded towards minus infinity.
  public func floorDivided(by divisor: Double) -> Tensor { Self.divRoundingOperator(self, divisor, "floor") }
  /// With the divisor's sign, as in Python.
  public func remainder(_ divisor: Double) -> Tensor { Self.remainderOperator(self, divisor) }
  /// `self + scale * a * b`.
  public func adding(productOf a: Tensor, _ b: Tensor, scaledBy scale: Double = 1) -> Tensor {
    Self.addcmulOperator(self, a, b, scale)
  }
  /// `self + weight * (other - self)`.
  public func interpolated(to other: Tensor, weight: Double) -> Tensor { Self.lerpOperator(self, other, weight) }
}

// MARK: - Functions of each element

extension Tensor {
  private static let absOperator = Operator("aten::abs")
  private static let signOperator = Operator("aten::sign")
  private static let sqrtOperator = Operator("aten::sqrt")
  private static let rsqrtOperator = Operator("aten::rsqrt")
  private static let squareOperator = Operator("aten::square")
  private static let expOperator = Operator("aten::exp")
  private static let expm1Operator = Operator("aten::expm1")
  private static let logOperator = Operator("aten::log")
  private static let log1pOperator = Operator("aten::log1p")
  private static let powOperator = Operator("aten::pow.Tensor_Scalar")
  private static let sinOperator = Operator("aten::sin")
  private static let cosOperator = Operator("aten::cos")
  private static let tanhOperator = Operator("aten::tanh")
  private static let sigmoidOperator = Operator("aten::sigmoid")
  private static let erfOperator = Operator("aten::erf")
  private static let floorOperator = Operator("aten::floor")
  private static let ceilOperator = Operator("aten::ceil")
  private static let roundOperator = Operator("aten::round")
  private static let isNaNOperator = Operator("aten::isnan")
  private static let isFiniteOperator = Operator("aten::isfinite")
  private static let clampOperator = Operator("aten::clamp")
  private static let clampTensorOperator = Operator("aten::clamp.Tensor")
  private static let clampInPlaceOperator = Operator("aten::clamp_")
  private static let maximumOperator = Operator("aten::maximum")
  private static let minimumOperator = Operator("aten::minimum")

  public func abs() -> Tensor { Self.absOperator(self) }
  /// -1, 0 or 1.
  public func sign() -> Tensor { Self.signOperator(self) }
  public func sqrt() -> Tensor { Self.sqrtOperator(self) }
  /// 1 / √x.
  public func rsqrt() -> Tensor { Self.rsqrtOperator(self) }
  public func square() -> Tensor { Self.squareOperator(self) }
  public func exp() -> Tensor { Self.expOperator(self) }
  /// exp(x) - 1.
  public func expm1() -> Tensor { Self.expm1Operator(self) }
  public func log() -> Tensor { Self.logOperator(self) }
  /// log(1 + x).
  public func log1p() -> Tensor { Self.log1pOperator(self) }
  public func pow(_ exponent: Double) -> Tensor { Self.powOperator(self, exponent) }
  public func sin() -> Tensor { Self.sinOperator(self) }
  public func cos() -> Tensor { Self.cosOperator(self) }
  public func tanh() -> Tensor { Self.tanhOperator(self) }
  public func sigmoid() -> Tensor { Self.sigmoidOperator(self) }
  public func erf() -> Tensor { Self.erfOperator(self) }
  public func floor() -> Tensor { Self.floorOperator(self) }
  public func ceil() -> Tensor { Self.ceilOperator(self) }
  /// To the nearest integer, halves to the even one.
  public func rounded() -> Tensor { Self.roundOperator(self) }
  public func isNaN() -> Tensor { Self.isNaNOperator(self) }
  public func isFinite() -> Tensor { Self.isFiniteOperator(self) }

  /// Limited to `range`, elementwise.
  public func clamped(to range: ClosedRange<Double>) -> Tensor {
    Self.clampOperator(self, range.lowerBound, range.upperBound)
  }
  /// At least `low`.
  public func clamped(to range: PartialRangeFrom<Double>) -> Tensor { Self.clampOperator(self, range.lowerBound) }
  /// At most `high`.
  public func clamped(to range: PartialRangeThrough<Double>) -> Tensor {
    Self.clampOperator(self, Double?.none, range.upperBound)
  }
  /// Limited elementwise to between `low` and `high`, which broadcast.
  public func clamped(from low: Tensor, to high: Tensor) -> Tensor { Self.clampTensorOperator(self, low, high) }
  /// Limits every element in place.
  public func clamp(to range: ClosedRange<Double>) {
    Self.clampInPlaceOperator.run(self, range.lowerBound, range.upperBound)
  }

  /// The larger of the two, elementwise.
  public func maximum(_ other: Tensor) -> Tensor { Self.maximumOperator(self, other) }
  /// The smaller of the two, elementwise.
  public func minimum(_ other: Tensor) -> Tensor { Self.minimumOperator(self, other) }
}

// MARK: - Comparison and choice

infix operator .== : ComparisonPrecedence
infix operator .!= : ComparisonPrecedence
infix operator .< : ComparisonPrecedence
infix operator .<= : ComparisonPrecedence
infix operator .> : ComparisonPrecedence
infix operator .>= : ComparisonPrecedence

extension Tensor {
  private static let eqOperator = Operator("aten::eq.Tensor")
  private static let neOperator = Operator("aten::ne.Tensor")
  private static let ltOperator = Operator("aten::lt.Tensor")
  private static let leOperator = Operator("aten::le.Tensor")
  private static let gtOperator = Operator("aten::gt.Tensor")
  private static let geOperator = Operator("aten::ge.Tensor")
  private static let eqScalarOperator = Operator("aten::eq.Scalar")
  private static let neScalarOperator = Operator("aten::ne.Scalar")
  private static let ltScalarOperator = Operator("aten::lt.Scalar")
  private static let leScalarOperator = Operator("aten::le.Scalar")
  private static let gtScalarOperator = Operator("aten::gt.Scalar")
  private static let geScalarOperator = Operator("aten::ge.Scalar")
  private static let andOperator = Operator("aten::logical_and")
  private static let orOperator = Operator("aten::logical_or")
  private static let notOperator = Operator("aten::logical_not")
  private static let whereOperator = Operator("aten::where.self")
  private static let maskedFillOperator = Operator("aten::masked_fill.Scalar")
  private static let equalOperator = Operator("aten::equal")
  private static let allCloseOperator = Operator("aten::allclose")

  public static func .== (a: Tensor, b: Tensor) -> Tensor { eqOperator(a, b) }
  public static func .!= (a: Tensor, b: Tensor) -> Tensor { neOperator(a, b) }
  public static func .< (a: Tensor, b: Tensor) -> Tensor { ltOperator(a, b) }
  public static func .<= (a: Tensor, b: Tensor) -> Tensor { leOperator(a, b) }
  public static func .> (a: Tensor, b: Tensor) -> Tensor { gtOperator(a, b) }
  public static func .>= (a: Tensor, b: Tensor) -> Tensor { geOperator(a, b) }
  public static func .== (a: Tensor, b: Double) -> Tensor { eqScalarOperator(a, b) }
  public static func .!= (a: Tensor, b: Double) -> Tensor { neScalarOperator(a, b) }
  public static func .< (a: Tensor, b: Double) -> Tensor { ltScalarOperator(a, b) }
  public static func .<= (a: Tensor, b: Double) -> Tensor { leScalarOperator(a, b) }
  public static func .> (a: Tensor, b: Double) -> Tensor { gtScalarOperator(a, b) }
  public static func .>= (a: Tensor, b: Double) -> Tensor { geScalarOperator(a, b) }

  public func logicalAnd(_ other: Tensor) -> Tensor { Self.andOperator(self, other) }
  public func logicalOr(_ other: Tensor) -> Tensor { Self.orOperator(self, other) }
  public func logicalNot() -> Tensor { Self.notOperator(self) }

  /// This tensor's elements where `condition` holds, else `other`'s.
  public func choosing(where condition: Tensor, otherwise other: Tensor) -> Tensor {
    Self.whereOperator(condition, self, other)
  }
  /// `value` where `mask` holds, else this tensor's elements.
  public func filled(with value: Double, where mask: Tensor) -> Tensor {
    Self.maskedFillOperator(self, mask, value)
  }

  /// Whether shape and every element are the same.
  public func isEqual(to other: Tensor) -> Bool { Self.equalOperator.boolean(self, other) }
  /// Whether |a - b| <= absolute + relative * |b| everywhere.
  public func isClose(to other: Tensor, relative: Double = 1e-5, absolute: Double = 1e-8) -> Bool {
    Self.allCloseOperator.boolean(self, other, relative, absolute)
  }
}
