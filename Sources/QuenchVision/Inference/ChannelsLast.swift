import QuenchTorch

extension OperatorGraph {
  /// Lets images and all that convolutions make of them lie in memory with the channels of a pixel side by side, where
  /// nothing counts on another order.
  ///
  /// A program that was exported may view rows that lie one after the other; what it views is then copied where it must.
  mutating func layOutChannelsLast() {
    let hasConvolutions = nodes.contains { FusedLayer.convolutions.contains($0.target) }
    let countsOnRows = nodes.contains { node in
      ["aten::as_strided", "aten::view_as", "aten::view.dtype"].contains { node.target.hasPrefix($0) }
    }
    guard input.memoryFormat == .contiguous, input.example.count == 4, hasConvolutions, !countsOnRows else {
      return
    }
    input.memoryFormat = .channelsLast
    for position in nodes.indices where ["aten::view", "aten::_unsafe_view"].contains(nodes[position].target) {
      guard let size = nodes[position]["size"] else { continue }
      nodes[position].target = "aten::reshape"
      nodes[position].arguments.removeAll { $0.name == "size" }
      nodes[position].set("shape", size)
    }
  }
}
