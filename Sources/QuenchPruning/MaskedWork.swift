import QuenchTorch

extension Architecture {
  /// Multiply-adds for one image with the weights that `mask` keeps: what is left to do for an engine that skips
  /// zeros. Layers that the mask does not cover count in full.
  public func multiplyAdds(under mask: Mask) -> Int {
    let kept = Dictionary(uniqueKeysWithValues: mask.table.map { ($0.name, (kept: $0.kept, total: $0.total)) })
    if let graph = importedGraph {
      return graph.multiplyAdds(keeping: kept.mapValues { Double($0.kept) / Double(max($0.total, 1)) })
    }
    return zip(nodes, shapes).reduce(0) { sum, pair in
      let all = pair.0.layer.multiplyAdds(outputShape: pair.1)
      guard let count = kept["\(pair.0.name).weight"] else { return sum + all }
      return sum + all / count.total * count.kept
    }
  }
}
