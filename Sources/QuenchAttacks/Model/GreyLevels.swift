import QuenchTorch

/// The pixels of pictures of 8 bits: k / 255 for whole k.
enum GreyLevels {
  /// `images` as a picture keeps them and as it is read again: halves go to the even level.
  static func rounded(_ images: Tensor) -> Tensor { (images * 255).rounded() * (1.0 / 255) }

  /// Whether every pixel is a grey level already.
  static func holds(_ images: Tensor) -> Bool { (rounded(images) - images).abs().max().item() < 1e-6 }

  /// Pictures near `images` that lie no further from `centers` than `epsilon` allows.
  /// - Parameters:
  ///   - images: `[N, C, H, W]`, within the budget.
  ///   - centers: Pictures of the same shape.
  ///   - norm: The budget's.
  ///   - epsilon: In pixel units; nil: the nearest picture, however far.
  static func nearest(_ images: Tensor, around centers: Tensor, _ norm: Norm, within epsilon: Double?) -> Tensor {
    guard let epsilon else { return rounded(images) }
    let move = (images - centers) * 255
    let size = move.abs()
    let whole =
      norm == .linf
      ? size.rounded().clamped(to: ...(epsilon * 255 + slack).rounded(.down)) : levels(size, norm, epsilon * 255)
    return ((centers * 255).rounded() + whole * move.sign()).clamped(to: 0...255) * (1.0 / 255)
  }

  /// What float32 may lose of a whole number of levels.
  private static let slack = 1e-3

  /// Whole numbers near `size`, at first below it; then those are raised, the nearest to their next level first, for
  /// which the budget has room.
  private static func levels(_ size: Tensor, _ norm: Norm, _ budget: Double) -> Tensor {
    let flat = size.flattened(from: 1)
    let low = (flat + slack).floor()
    let (rest, order) = (flat - low).sorted(1, descending: true)
    let (price, spent, all) =
      norm == .l2
      ? (low * 2 + 1, low.square().sum([1], keepDimensions: true), budget * budget)
      : (low.onesLike(), low.sum([1], keepDimensions: true), budget)
    let bill = price.gathered(1, order).cumulativeSum(1) + spent
    let raised = (bill .<= all).logicalAnd(rest .>= 0.5).to(.float32)
    return (low + low.zerosLike().scattered(1, order, raised)).reshaped(size.shape)
  }
}
