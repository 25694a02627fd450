import QuenchTorch

/// The smallest move onto a hyperplane within the pixel range, of each sample (Croce and Hein 2020, FAB, section 2).
enum BoxProjection {
  /// Minimises ‖d‖ subject to w·(u + d) = b and u + d in [0, 1]; where the plane is out of reach, goes to the corner
  /// nearest to it.
  /// - Parameters:
  ///   - points: u, `[N, D]`, in [0, 1].
  ///   - normals: w, `[N, D]`.
  ///   - residuals: w·u - b, `[N]`.
  ///   - norm: In which ‖d‖ is measured.
  /// - Returns: d, `[N, D]`.
  static func move(_ points: Tensor, normals: Tensor, residuals: Tensor, norm: Norm) -> Tensor {
    let side = (residuals .>= 0).to(.float32) * 2 - 1
    let v = normals * side.unsqueezed(1)
    let weight = v.abs()
    let room = points.choosing(where: v .> 0, otherwise: 1 - points).filled(with: 0, where: v .== 0)
    let need = residuals.abs()
    let reach = (weight * room).sum([1])
    let isOutOfReach = (reach .<= need).unsqueezed(1)
    let size =
      switch norm {
      case .linf: water(weight, room, need, slope: weight.onesLike())
      case .l2: water(weight, room, need, slope: weight)
      case .l1: greedy(weight, room, need)
      }
    return -v.sign() * room.choosing(where: isOutOfReach, otherwise: size)
  }

  /// m_i = min(λ·slope_i, room_i) with Σ weight_i·m_i = need.
  ///
  /// The left side is concave and piecewise linear in λ, so Newton's steps from λ = 0 rise to the solution and reach its
  /// piece, where they are exact, after finitely many; no sorting of break points is needed.
  private static func water(_ weight: Tensor, _ room: Tensor, _ need: Tensor, slope: Tensor) -> Tensor {
    var level = need.zerosLike().unsqueezed(1)
    let limit = room / slope.clamped(to: 1e-30...)
    let steep = weight * slope
    var full = 0
    for _ in 0..<200 {
      let isFull = limit .<= level
      let count = isFull.nonzeroCount()
      if full == count, full > 0 { break }
      full = count
      let taken = (weight * room).filled(with: 0, where: isFull.logicalNot()).sum([1])
      let rest = steep.filled(with: 0, where: isFull).sum([1])
      let next = ((need - taken) / rest.clamped(to: 1e-30...)).unsqueezed(1)
      // A sample whose every value is full is out of reach and takes its corner anyway.
      let nextLevel = next.maximum(level)
      if nextLevel.isEqual(to: level) { break }
      level = nextLevel
    }
    return (slope * level).minimum(room)
  }

  /// The steepest values first, each as far as its room goes.
  private static func greedy(_ weight: Tensor, _ room: Tensor, _ need: Tensor) -> Tensor {
    let (steepest, order) = weight.sorted(1, descending: true)
    let rooms = room.gathered(1, order)
    let gain = steepest * rooms
    let before = gain.cumulativeSum(1) - gain
    let open = (need.unsqueezed(1) - before).clamped(to: 0...)
    let moves = rooms.minimum(open / steepest.clamped(to: 1e-30...))
    return room.zerosLike().scattered(1, order, moves)
  }
}
