extension Tensor {
  private static let qrOperator = Operator("aten::linalg_qr")

  /// A random matrix with orthonormal rows or columns, whichever are fewer, in the given shape: the first dimension
  /// are its rows (Saxe et al. 2014; `torch.nn.init.orthogonal_`).
  public static func orthogonal(_ shape: [Int], using generator: Generator) -> Tensor {
    let (rows, columns) = (shape[0], shape.dropFirst().reduce(1, *))
    let normal = Tensor.normal([rows, columns].sorted().reversed(), using: generator)
    let factors = qrOperator.tuple(normal, "reduced")
    // A QR decomposition is unique, and the matrix uniformly distributed, once the diagonal of R is positive.
    let diagonal = (0..<normal.size(1)).map { factors[1][$0, $0] }
    let matrix = factors[0] * Tensor.stacked(diagonal).sign()
    return (rows < columns ? matrix.transposed(0, 1) : matrix).reshaped(shape)
  }
}
