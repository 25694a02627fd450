import QuenchTorch

/// The L2 form of ``Square``: bumps of mass that move between windows.
extension Square {
  /// R(a, b): the sum over k of 1/(k+1)² on the square of side 2k + 1 about the centre, of unit length.
  static func bump(_ height: Int, _ width: Int) -> [[Double]] {
    guard height > 0 else { return [] }
    let (row, column) = (height / 2, width / 2)
    var values = [[Double]](repeating: [Double](repeating: 0, count: width), count: height)
    for k in 0...max(row, column) {
      let gain = 1 / Double((k + 1) * (k + 1))
      for i in max(0, row - k)...min(height - 1, row + k) {
        for j in max(0, column - k)...min(width - 1, column + k) { values[i][j] += gain }
      }
    }
    let length = values.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
    return values.map { $0.map { $0 / length } }
  }

  /// e(s), not transposed: a bump above its negative, of unit length, `[side, side]`.
  static func pattern(_ side: Int) -> Tensor {
    let upper = bump(side / 2, side)
    let lower = bump(side - side / 2, side).map { $0.map { -$0 } }
    let values = (upper + lower).flatMap { $0 }
    let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return Tensor(values.map { Float($0 / length) }, shape: [side, side])
  }

  /// e(side) for each sample, transposed for every other one, times a sign a channel: `[N, C, side, side]`.
  private func patterns(_ side: Int, _ channels: Int, _ random: inout SampleRandom, _ device: Device) -> Tensor {
    let pattern = Self.pattern(side).to(device)
    let isUpright = random.uniform([1, 1, 1]) .>= 0.5
    let turned = pattern.choosing(where: isUpright, otherwise: pattern.transposed())
    return turned * random.signs([channels, 1, 1])
  }

  /// The start: tiles of a fifth of the side, the whole of length ε.
  func tiles(_ centers: Tensor, _ random: inout SampleRandom) -> Tensor {
    let (height, width) = (centers.size(2), centers.size(3))
    let side = max(1, min(height, width) / 5)
    let delta = centers.zerosLike()
    var top = (height - height / side * side) / 2
    while side > 1, top + side <= height {
      var left = (width - width / side * side) / 2
      while left + side <= width {
        delta[TensorIndex.all, TensorIndex.all, top..<top + side, left..<left + side] = patterns(
          side, centers.size(1), &random, centers.device)
        left += side
      }
      top += side
    }
    if side == 1 { delta.copy(from: random.signs(Array(centers.shape.dropFirst()))) }
    return placed(delta, around: centers)
  }

  /// One iteration: the mass of the second window, and what the budget has left, go into the first.
  func moved(_ images: Tensor, _ centers: Tensor, _ side: Int, _ random: inout SampleRandom) -> Tensor {
    let channels = images.size(1)
    let delta = images - centers
    let (into, from) = (Window(side: side, in: images, &random), Window(side: side, in: images, &random))
    let flat = delta.contiguous().reshaped([-1, channels, images.size(2) * images.size(3)])
    let target = into.places.expanded([-1, channels, -1])
    let old = flat.gathered(2, target)
    let union = into.mask.maximum(from.mask)
    let mass = (delta.square() * union).sum([2, 3])
    let left = (budget * budget - flat.square().sum([1, 2])).clamped(to: 0...) / Double(channels)

    var new = patterns(side, channels, &random, images.device).reshaped([-1, channels, side * side])
    new = new + old / (old.norm(2, [2], keepDimensions: true) + 1e-12)
    new = new / (new.norm(2, [2], keepDimensions: true) + 1e-12)
    new = new * (mass + left.unsqueezed(1)).sqrt().unsqueezed(2)
    let emptied = flat * (1 - from.mask).reshaped([-1, 1, flat.size(2)])
    let result = emptied.scattered(2, target, new).reshaped(images.shape)
    return placed(result.contiguous(.channelsLast), around: centers)
  }

  /// clip(x + ε·δ/‖δ‖).
  private func placed(_ delta: Tensor, around centers: Tensor) -> Tensor {
    let length = (delta.perSample(.l2) + 1e-12).perPixel(delta)
    return (centers + delta / length * budget).clamped(to: 0...1)
  }
}
