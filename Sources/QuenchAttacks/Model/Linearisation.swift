import QuenchTorch

/// Answers at some images with the graph behind them: what the boundaries between classes look like from there.
struct Linearisation {
  /// `[N, classes]`, without their graph.
  private(set) var logits: Tensor
  private var samples: Samples
  private let leaf: Tensor
  private let graph: Tensor
  /// The labels of all rows of the graph.
  private let labels: Tensor
  /// The samples' rows of the graph.
  private var rows: Tensor

  /// The boundary that is nearest to an image by the linearised model.
  struct Boundary {
    /// z_k - z_y, `[N]`.
    var margin: Tensor
    /// Its gradient, `[N, C, H, W]`.
    var slope: Tensor
    /// |z_k - z_y| over the dual norm of the gradient, `[N]`.
    var distance: Tensor
  }

  init(leaf: Tensor, graph: Tensor, logits: Tensor, samples: Samples) {
    (self.leaf, self.graph, self.logits, self.samples) = (leaf, graph, logits, samples)
    labels = samples.labels
    rows = Tensor.arange(to: Double(samples.count), device: samples.device)
  }

  /// The samples at `positions` alone, int64 `[n]`.
  func selecting(_ positions: Tensor) -> Linearisation {
    var copy = self
    copy.logits = logits.selecting(positions)
    copy.samples = samples.selecting(positions)
    copy.rows = rows.selecting(positions)
    return copy
  }

  /// The nearest of the boundaries to `classes`, int64 `[N, K]`, of each sample: a backward pass a class, and no more
  /// gradients in memory than those of the best class so far and of the next. It can be asked once: the last pass frees
  /// the graph.
  /// - Parameters:
  ///   - classes: Other classes than the samples' own.
  ///   - norm: In which distances are measured.
  ///   - floor: Added to the gradient's length.
  func nearest(among classes: Tensor, _ norm: Norm, floor: Double) -> Boundary {
    let count = classes.size(1)
    samples.ledger.note(samples, forward: 0, backward: count)
    let best = boundary(to: classes[TensorIndex.all, 0], norm, floor, isLast: count == 1)
    for rank in 1..<max(1, count) {
      let next = boundary(to: classes[TensorIndex.all, rank], norm, floor, isLast: rank == count - 1)
      let nearer = (next.distance .< best.distance).positions()
      for path in [\Boundary.margin, \.slope, \.distance] where nearer.count > 0 {
        best[keyPath: path].setRows(next[keyPath: path].selecting(nearer), at: nearer)
      }
    }
    samples.ledger.noteVanished(samples, best.slope, logits)
    return best
  }

  private func boundary(to others: Tensor, _ norm: Norm, _ floor: Double, isLast: Bool) -> Boundary {
    // Rows that nobody asks about stand for the label itself: their margin and its gradient are 0.
    let targets = labels.cloned()
    targets.setRows(others, at: rows)
    let (margins, slopes) = withGradient {
      let margins = graph.picked(targets) - graph.picked(labels)
      return (margins.detached(), grad(of: margins.sum(), withRespectTo: [leaf], retainGraph: !isLast)[0])
    }
    let (margin, slope) = (margins.selecting(rows), slopes.selecting(rows).finite())
    return Boundary(margin: margin, slope: slope, distance: margin.abs() / (slope.perSample(norm.dual) + floor))
  }
}
