import QuenchTorch

/// Tensors that are made from nothing: what a node reads tells at most their type and place.
struct FactoryRule: ChannelRule {
  static let table: [String: any ChannelRule] = [
    "arange", "eye", "full", "linspace", "new_empty", "new_full", "new_ones", "new_zeros", "ones", "scalar_tensor",
    "zeros"
  ].reduce(into: [:]) { $0["aten::\($1)"] = FactoryRule() }

  func couple(_ node: Int, _ tracer: inout ChannelTracer) {
    for value in tracer.results(node) { tracer.set(value, [:]) }
  }

  func constants(_ node: Int, _ flow: inout ConstantFlow) {}
}
