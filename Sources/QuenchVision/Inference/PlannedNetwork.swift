import QuenchTorch

/// What an ``InferencePlan`` computes: a folded network's graph without what only training needs, in one element type,
/// with fused operators.
struct PlannedNetwork {
  let network: Network
  let dtype: DType
  /// Nodes whose outputs must be of an ordinary size, by position.
  let watched: Set<Int>

  /// Far beyond what noise makes of pixels in [0, 1].
  private static let largestPixel = 1e3

  /// - Parameters:
  ///   - folded: Its tensors are taken over.
  ///   - batchSize: What weights are packed for.
  ///   - dtype: What to compute in, where the graph allows it; else float32.
  /// - Returns: nil for a graph that is best computed as it is.
  init?(_ folded: Network, batchSize: Int, dtype: DType) {
    let tensors = folded.heldTensors
    guard let graph = folded.graph.simplified()?.withoutDeadParts(), !graph.nodes.isEmpty else { return nil }
    let simple = folded.rewritten(as: graph, with: tensors, in: graph.input.dtype)
    let sizes = graph.input.sizes[0]
    let batch = min(max(2, sizes.lowerBound), sizes.upperBound)
    guard let trace = try? simple.trace(batch: batch) else { return nil }
    let bounds = OutputBounds(of: simple, pixels: Self.largestPixel, trace: trace)
    let scale = max(1, min(batchSize, sizes.upperBound) / batch)

    func planned(in dtype: DType) -> Network {
      var fusion = GraphFusion(
        graph, simple.heldTensors, trace: trace, bounds: bounds, batches: scale, dtype: dtype, device: folded.device
      )
      fusion.run()
      return folded.rewritten(as: fusion.graph, with: fusion.tensors, in: dtype, callsFused: true)
    }
    var chosen = dtype.byteCount < 4 && graph.choosesTypes ? .float32 : dtype
    var network = planned(in: chosen)
    if chosen != .float32 {
      let image = Tensor.zeros([batch] + folded.architecture.inputShape, device: folded.device)
      if (try? network.evaluate(image)) == nil {
        chosen = .float32
        network = planned(in: chosen)
      }
    }
    self.network = network
    self.dtype = chosen
    watched = Set(
      network.graph.nodes.indices.filter { position in
        network.graph.nodes[position].defines.contains { bounds.guarded.contains($0.index) }
      })
  }
}

extension OperatorGraph {
  /// Whether nodes of it compute in a floating-point type that they name.
  fileprivate var choosesTypes: Bool {
    nodes.contains { node in
      if case .on? = node.mode.autocast { return true }
      return node.arguments.contains {
        if case .dtype(let dtype) = $0.operand { dtype.isFloatingPoint } else { false }
      }
    }
  }
}
