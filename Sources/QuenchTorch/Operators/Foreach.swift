/// Operators on whole lists of tensors in one call.
public enum Foreach {
  private static let normOperator = Operator("aten::_foreach_norm.Scalar")
  private static let scaleInPlaceOperator = Operator("aten::_foreach_mul_.Scalar")
  private static let addInPlaceOperator = Operator("aten::_foreach_add_.Scalar")

  /// The Euclidean norm of each tensor, scalars.
  public static func norms(_ tensors: [Tensor]) -> [Tensor] { normOperator.list(tensors) }
  /// Multiplies every element of every tensor in place.
  public static func scale(_ tensors: [Tensor], by factor: Double) { scaleInPlaceOperator.run(tensors, factor) }
  /// Adds a number to every element of every tensor in place.
  public static func add(_ number: Double, to tensors: [Tensor]) { addInPlaceOperator.run(tensors, number) }
}
