import Torch

/// Answers at some images with the graphs behind them: what the boundaries between classes look like from there.
struct Linearisation {
  /// `[N, classes]`, without their graph.
  private(set) var logits: Tensor
  private var samples: Samples
  fileprivate var parts: [Part]

  /// A forward pass over a batch, of which some rows are still asked about.
  fileprivate struct Part {
    var leaf: Tensor
    var graph: Tensor
    var labels: Tensor
    /// The rows, within the part.
    var rows: Tensor
    /// Where these stand among the samples.
    var places: Tensor
  }

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
    (self.logits, self.samples) = (logits, samples)
    let rows = Tensor.arange(to: Double(samples.count), device: samples.device)
    parts = [Part(leaf: leaf, graph: graph, labels: samples.labels, rows: rows, places: rows)]
  }

  /// The samples at `positions` alone, int64 `[n]`.
  func selecting(_ positions: Tensor) -> Linearisation {
    var copy = self
    copy.logits = logits.selecting(positions)
    let moved = samples.labels.fullLike(-1)
    moved.setRows(.arange(to: Double(positions.count), device: samples.device), at: positions)
    copy.samples = samples.selecting(positions)
    copy.parts = parts.compactMap { $0.keeping { moved.selecting($0) } }
    return copy
  }

  /// Puts `other`, of the samples at `positions`, in place of what is known of these.
  mutating func replace(_ positions: Tensor, by other: Linearisation) {
    let kept = Tensor.arange(to: Double(samples.count), device: samples.device)
    kept.setRows(positions.fullLike(-1), at: positions)
    logits = logits.cloned()  // the graph shares its memory
    logits.setRows(other.logits, at: positions)
    parts = parts.compactMap { $0.keeping { kept.selecting($0) } }
    parts += other.parts.compactMap { $0.keeping { positions.selecting($0) } }
  }

  /// The nearest of the boundaries to `classes`, int64 `[N, K]`, of each sample: a backward pass a class, and no more
  /// gradients in memory than those of the best class so far and of the next.
  /// - Parameters:
  ///   - classes: Other classes than the samples' own.
  ///   - norm: In which distances are measured.
  ///   - floor: Added to the gradient's length.
  func nearest(among classes: Tensor, _ norm: Norm, floor: Double) -> Boundary {
    let count = classes.size(1)
    samples.ledger.note(samples, forward: 0, backward: count)
    let found = parts.map { part in (part.places, part.nearest(among: classes, norm, floor: floor)) }
    var result = found[0].1
    if found.count > 1 {
      let order = Tensor.concatenated(found.map(\.0)).sorted(0).indices
      func joined(_ path: KeyPath<Boundary, Tensor>) -> Tensor {
        .concatenated(found.map { $0.1[keyPath: path] }).selecting(order)
      }
      result = Boundary(margin: joined(\.margin), slope: joined(\.slope), distance: joined(\.distance))
    }
    samples.ledger.noteVanished(samples, result.slope, logits)
    return result
  }
}

extension Linearisation.Part {
  /// The rows that `moved` gives a place of 0 or more; nil if there are none.
  fileprivate func keeping(_ moved: (Tensor) -> Tensor) -> Self? {
    let places = moved(self.places)
    let kept = (places .>= 0).positions()
    guard kept.count > 0 else { return nil }
    var copy = self
    (copy.rows, copy.places) = (rows.selecting(kept), places.selecting(kept))
    return copy
  }

  /// In the order of ``rows``.
  fileprivate func nearest(among classes: Tensor, _ norm: Norm, floor: Double) -> Linearisation.Boundary {
    let (own, count) = (classes.selecting(places), classes.size(1))
    let label = graph.detached().picked(labels)
    var best: Linearisation.Boundary?
    for rank in 0..<count {
      // Rows that nobody asks about stand for the label itself: their margin and its gradient are 0.
      let targets = labels.cloned()
      targets.setRows(own[TensorIndex.all, rank], at: rows)
      let slope = withGradient {
        grad(
          of: (graph.picked(targets) - graph.picked(labels)).sum(), withRespectTo: [leaf],
          retainGraph: rank < count - 1)[0]
      }.selecting(rows).finite()
      let margin = (graph.detached().picked(targets) - label).selecting(rows)
      let distance = margin.abs() / (slope.perSample(norm.dual) + floor)
      guard let kept = best else {
        best = Linearisation.Boundary(margin: margin, slope: slope, distance: distance)
        continue
      }
      let nearer = (distance .< kept.distance).positions()
      guard nearer.count > 0 else { continue }
      kept.margin.setRows(margin.selecting(nearer), at: nearer)
      kept.slope.setRows(slope.selecting(nearer), at: nearer)
      kept.distance.setRows(distance.selecting(nearer), at: nearer)
    }
    return best ?? Linearisation.Boundary(margin: label, slope: leaf, distance: label)
  }
}
