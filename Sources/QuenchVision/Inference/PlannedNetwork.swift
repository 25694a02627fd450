import QuenchSupport
import QuenchTorch

/// What an ``InferencePlan`` computes: a folded network's graph without what only training needs, in one element type,
/// with fused operators.
struct PlannedNetwork {
  let network: Network
  let dtype: DType
  /// Nodes whose outputs must be of an ordinary size, by position.
  let watched: Set<Int>
  /// Layers that multiply bytes.
  let integerLayers: Int

  /// Far beyond what noise makes of pixels in [0, 1].
  private static let largestPixel = 1e3

  /// - Parameters:
  ///   - folded: Its tensors are taken over.
  ///   - batchSize: What weights are packed for.
  ///   - dtype: What to compute in, where the graph allows it; else float32.
  /// - Returns: nil for a graph that is best computed as it is.
  init?(_ folded: Network, batchSize: Int, dtype: DType) {
    guard let start = Start(folded, batchSize: batchSize) else { return nil }
    let (simple, graph) = (start.network, start.network.graph)
    let bounds = OutputBounds(of: simple, pixels: Self.largestPixel, trace: start.trace)

    func planned(in dtype: DType) -> Network {
      var fusion = GraphFusion(
        graph, simple.heldTensors, trace: start.trace, bounds: bounds, batches: start.batches, dtype: dtype,
        device: folded.device)
      fusion.run()
      return folded.rewritten(as: fusion.graph, with: fusion.tensors, in: dtype, callsFused: true)
    }
    var chosen = dtype.byteCount < 4 && graph.choosesTypes ? .float32 : dtype
    var network = planned(in: chosen)
    if chosen != .float32 {
      let image = Tensor.zeros([start.batch] + folded.architecture.inputShape, device: folded.device)
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
    integerLayers = 0
  }

  /// In 8 bits where layers can be.
  /// - Parameters:
  ///   - folded: Its tensors are taken over.
  ///   - batchSize: What weights are packed for.
  ///   - calibration: Images on which is measured what values stay within.
  /// - Throws: `InputError` if the graph can't be computed so.
  init(_ folded: Network, batchSize: Int, calibration: Tensor) throws(InputError) {
    guard let start = Start(folded, batchSize: batchSize) else {
      throw InputError(
        "the network writes over tensors that others see, which can't be computed in int8",
        at: folded.architecture.name, remedy: "compute it in float32")
    }
    var quantization = GraphQuantization(
      start.network.graph, start.network.heldTensors, trace: start.trace,
      ranges: start.network.ranges(on: calibration), batches: start.batches)
    quantization.run()
    network = folded.rewritten(
      as: quantization.graph, with: quantization.tensors, in: .float32, callsFused: true)
    integerLayers = quantization.integerLayers
    (dtype, watched) = (.int8, [])
    _ = try network.evaluate(Tensor.zeros([start.batch] + folded.architecture.inputShape))
  }

  /// What planning begins with.
  private struct Start {
    /// Without what only training needs.
    let network: Network
    /// Of a small batch.
    let trace: GraphTrace
    let batch: Int
    /// How many of these batches weights are packed for.
    let batches: Int

    /// Nil for a graph that is best computed as it is.
    init?(_ folded: Network, batchSize: Int) {
      guard let graph = folded.graph.simplified()?.withoutDeadParts(), !graph.nodes.isEmpty else { return nil }
      var network = folded.rewritten(as: graph, with: folded.heldTensors, in: graph.input.dtype)
      let sizes = graph.input.sizes[0]
      batch = min(max(2, sizes.lowerBound), sizes.upperBound)
      guard var trace = try? network.trace(batch: batch) else { return nil }
      let sunk = graph.sinkingPermutations(trace)
      if sunk != graph {
        network = folded.rewritten(as: sunk, with: folded.heldTensors, in: graph.input.dtype)
        guard let other = try? network.trace(batch: batch) else { return nil }
        trace = other
      }
      (self.network, self.trace) = (network, trace)
      batches = max(1, min(batchSize, sizes.upperBound) / batch)
    }
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
