import QuenchTorch

/// The layers of a graph, each with the addition and the activation that follow it where nobody else reads what lies
/// between.
struct LayerChains {
  /// A layer with what it takes in.
  struct Call {
    let layer: FusedLayer
    /// The nodes that it stands for, by position.
    let chain: [Int]
    /// What is added to the layer's result; nil: nothing.
    let addend: OperatorGraph.Value?
    let activation: FusedActivation
    /// What comes of it all.
    let result: OperatorGraph.Value
    /// What it reads that is not the layer's own.
    var reads: [OperatorGraph.Value] { [layer.input] + (addend.map { [$0] } ?? []) }
  }

  /// What layers can take in.
  struct Rules {
    var takesLayer: (_ layer: FusedLayer, _ weight: Tensor) -> Bool = { _, _ in true }
    var takesSum: (_ layer: FusedLayer) -> Bool
    /// Of a value, behind a sum or not.
    var takesActivation:
      (
        _ activation: FusedActivation, _ layer: FusedLayer, _ isSummed: Bool, _ value: OperatorGraph.Value
      ) -> Bool
  }

  /// By the position of the last node that each stands for.
  private(set) var calls: [Int: Call] = [:]
  /// The nodes before that one, by position.
  private(set) var absorbed = Set<Int>()
  private let graph: OperatorGraph
  private let tensors: [OperatorGraph.Value: Tensor]
  private let trace: GraphTrace
  private let dtype: DType
  private let readers: [[Int]]
  private let producers: [Int?]

  /// - Parameters:
  ///   - graph: Without operators that write over their operands.
  ///   - tensors: What it holds.
  ///   - trace: Of a small batch.
  ///   - dtype: What weights are of.
  ///   - rules: What layers can take in.
  init(
    _ graph: OperatorGraph, _ tensors: [OperatorGraph.Value: Tensor], trace: GraphTrace, dtype: DType,
    _ rules: Rules
  ) {
    self.graph = graph
    self.tensors = tensors
    self.trace = trace
    self.dtype = dtype
    readers = graph.readers
    producers = graph.producers
    find(rules)
  }

  private mutating func find(_ rules: Rules) {
    let isComputed = graph.dependsOnInput
    for position in graph.nodes.indices where isFree(position) {
      guard let layer = layer(at: position), tensors[layer.weight].map({ rules.takesLayer(layer, $0) }) == true
      else {
        continue
      }
      var (chain, value) = ([position], layer.result)
      var other: OperatorGraph.Value?
      if rules.takesSum(layer), let sum = onlyReader(value), isFree(sum),
        let addend = addend(of: sum, beside: value),
        isComputed[addend.index], isReady(addend, for: position)
      {
        chain.append(sum)
        (other, value) = (addend, graph.nodes[sum].defines[0])
      }
      var activation = FusedActivation.none
      if let reader = onlyReader(value), isFree(reader), let found = FusedActivation(graph.nodes[reader]),
        rules.takesActivation(found, layer, other != nil, value)
      {
        chain.append(reader)
        (activation, value) = (found, graph.nodes[reader].defines[0])
      }
      absorbed.formUnion(chain.dropLast())
      calls[chain[chain.count - 1]] = Call(
        layer: layer, chain: chain, addend: other, activation: activation, result: value)
    }
  }

  private func isFree(_ position: Int) -> Bool { !absorbed.contains(position) && calls[position] == nil }

  private func onlyReader(_ value: OperatorGraph.Value) -> Int? {
    value != graph.output && readers[value.index].count == 1 ? readers[value.index][0] : nil
  }

  private func layer(at position: Int) -> FusedLayer? {
    guard let layer = FusedLayer(graph.nodes[position]), let weight = tensors[layer.weight],
      weight.rank == (layer.isConvolution ? 4 : 2), weight.dtype == dtype,
      let shape = trace.shape(layer.input), layer.isConvolution ? shape.count == 4 : shape.count > 1,
      weight.count > 0, !shape.contains(0),
      layer.bias.map({ tensors[$0] != nil }) ?? true
    else { return nil }
    return layer
  }

  /// The value that a node adds to `value`, one of the same shape and type; nil where it does something else.
  private func addend(of position: Int, beside value: OperatorGraph.Value) -> OperatorGraph.Value? {
    let node = graph.nodes[position]
    guard node.target == "aten::add.Tensor", node["alpha"] == nil, let first = node.value("self"),
      let second = node.value("other"), first != second
    else { return nil }
    let other = first == value ? second : first
    guard trace.shape(other) == trace.shape(value), trace.dtypes[other.index] == trace.dtypes[value.index] else {
      return nil
    }
    return other
  }

  /// Whether an addend is there when the layer is computed, or no other layer could take the addition in.
  private func isReady(_ addend: OperatorGraph.Value, for position: Int) -> Bool {
    guard let producer = producers[addend.index], producer > position else { return true }
    return layer(at: producer) == nil || onlyReader(addend) == nil
  }
}

extension OperatorGraph {
  /// For each value whether it is computed from the input.
  fileprivate var dependsOnInput: [Bool] {
    var depends = [Bool](repeating: false, count: valueNames.count)
    depends[input.value.index] = true
    for node in nodes where node.reads.contains(where: { depends[$0.index] }) {
      for value in node.defines { depends[value.index] = true }
    }
    return depends
  }
}
