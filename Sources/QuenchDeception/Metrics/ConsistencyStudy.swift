import QuenchTorch

/// Whether what a denoiser recovers stays the same when the image is transformed: D(T(x')), which sees the transformed
/// image, and T(D(x')), which does not, both held against T(x) and T(x').
public struct ConsistencyStudy: Sendable {
  public struct Row: Sendable {
    /// T, for reports.
    public var transformation: String
    /// Of D(T(x')).
    public var transformedFirst: PairFigures
    /// Of T(D(x')).
    public var denoisedFirst: PairFigures
  }

  public var rows: [Row]

  private static let transformations: [(name: String, move: Transformation.Move)] = [
    ("none", .identity), ("flip", .flip(vertical: false)), ("rotation by 15 degrees", .rotate(degrees: 15)),
    ("rotation by 45 degrees", .rotate(degrees: 45)), ("rotation by -45 degrees", .rotate(degrees: -45))
  ]

  /// - Parameters:
  ///   - clean: x, `[N, C, H, W]`, pixels in [0, 1].
  ///   - attacked: x'.
  ///   - denoise: D.
  ///   - logits: The victim's, `[N, classes]`.
  public init(clean: Tensor, attacked: Tensor, denoise: (Tensor) -> Tensor, logits: (Tensor) -> Tensor) {
    let denoised = denoise(attacked)
    rows = Self.transformations.map { name, move in
      let (x, xA) = (move(clean), move(attacked))
      var row = Row(transformation: name, transformedFirst: .init(), denoisedFirst: .init())
      row.transformedFirst.add(clean: x, attacked: xA, denoised: denoise(xA), logits: logits)
      row.denoisedFirst.add(clean: x, attacked: xA, denoised: move(denoised), logits: logits)
      return row
    }
  }

  /// A row as an outcome has it: shares of pairs.
  public struct Figures: Codable, Hashable, Sendable {
    public var transformation: String
    public var attackSuccess: Double
    public var transformedFirstPaBenign: Double
    public var transformedFirstPaAdversarial: Double
    public var denoisedFirstPaBenign: Double
    public var denoisedFirstPaAdversarial: Double
  }

  public var figures: [Figures] {
    rows.map { row in
      Figures(
        transformation: row.transformation,
        attackSuccess: PairFigures.mean(row.denoisedFirst.isSuccess.map { $0 ? 1 : 0 }),
        transformedFirstPaBenign: row.transformedFirst.benignAlignment.fraction,
        transformedFirstPaAdversarial: row.transformedFirst.adversarialAlignment.fraction,
        denoisedFirstPaBenign: row.denoisedFirst.benignAlignment.fraction,
        denoisedFirstPaAdversarial: row.denoisedFirst.adversarialAlignment.fraction)
    }
  }
}
