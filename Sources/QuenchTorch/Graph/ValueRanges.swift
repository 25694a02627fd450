/// The 256 steps in which 8 bits tell the numbers of a range, zero among them (Jacob et al. 2018, section 2.1).
package struct ByteGrid: Hashable, Sendable {
  /// The width of a step.
  package let scale: Double
  /// The step that stands for zero, 0 to 255.
  package let zero: Int

  /// - Parameter range: What the numbers stay within; it is widened to hold zero.
  package init(_ range: ClosedRange<Double>) {
    let (low, high) = (min(range.lowerBound, 0), max(range.upperBound, 0))
    scale = max((high - low) / 255, 1e-8)
    zero = Int(min(max((-low / scale).rounded(), 0), 255))
  }
}

extension Network {
  /// What the values of the graph are on images, which are computed in pieces.
  /// - Parameter images: Pixels in [0, 1], `[N, C, H, W]`.
  /// - Returns: Nothing for a value that is not finite on some image. Images that the network takes only together with
  ///   more of them are left out.
  package func ranges(on images: Tensor) -> [OperatorGraph.Value: ClosedRange<Double>] {
    var ranges: [OperatorGraph.Value: ClosedRange<Double>] = [:]
    var boundless = Set<OperatorGraph.Value>()
    func note(_ value: OperatorGraph.Value, _ tensor: Tensor) {
      guard tensor.dtype.isFloatingPoint, tensor.count > 0 else { return }
      let (low, high) = (tensor.min([]).item(), tensor.max().item())
      guard low.isFinite, high.isFinite else {
        boundless.insert(value)
        return
      }
      let old = ranges[value] ?? low...high
      ranges[value] = min(old.lowerBound, low)...max(old.upperBound, high)
    }
    let sizes = graph.input.sizes[0]
    let step = min(max(50, sizes.lowerBound), sizes.upperBound)
    withoutGradient {
      for start in stride(from: 0, to: images.size(0), by: step) {
        let piece = images[start..<min(start + step, images.size(0))]
        guard sizes.contains(piece.size(0)) else { continue }
        note(graph.input.value, normalized(piece))
        _ = observed(piece) { _, value, tensor in note(value, tensor) }
      }
    }
    return ranges.filter { !boundless.contains($0.key) }
  }
}
