import QuenchTorch

/// Which rows of a whole batch a rank has.
public struct BatchPart: Hashable, Sendable {
  /// Of the batch's rows.
  public var rows: Range<Int>
  /// Rows of the whole batch.
  public var count: Int

  public init(_ rows: Range<Int>, of count: Int) { (self.rows, self.count) = (rows, count) }

  /// This rank's part of a batch.
  public init(of count: Int, in world: World) { self.init(world.part(of: 0..<count), of: count) }

  /// A tensor like `rows`, as `draw` fills one for the whole batch: the same numbers for an image whatever rank has it.
  /// - Parameters:
  ///   - rows: This part's, `[n, ...]`.
  ///   - draw: Fills a tensor of all rows.
  public func drawn(like rows: Tensor, _ draw: (Tensor) -> Void) -> Tensor {
    let shape = [count] + rows.shape.dropFirst()
    let isChannelsLast = rows.rank == 4 && rows.isContiguous(.channelsLast)
    let whole = Tensor.empty(shape, dtype: rows.dtype, device: rows.device)
      .contiguous(isChannelsLast ? .channelsLast : .contiguous)
    draw(whole)
    return self.rows.count == count ? whole : whole[self.rows]
  }
}
