import QuenchTorch

extension Architecture {
  /// Multiply-adds for one image with the weights that `mask` keeps: what is left to do for an engine that skips
  /// zeros. Layers that the mask does not cover count in full.
  public func multiplyAdds(under mask: Mask) -> Int {
    let kept = mask.table.map { ($0.name, Double($0.kept) / Double(max($0.total, 1))) }
    return graph.multiplyAdds(keeping: Dictionary(uniqueKeysWithValues: kept))
  }
}
