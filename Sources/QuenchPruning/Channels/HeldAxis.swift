import QuenchTorch

/// Which dimension of a held tensor a dimension of another layout of it runs along.
struct HeldAxis {
  /// Of the held tensor.
  let dimension: Int
  /// For each position its slice of the held tensor; nil: the same.
  private let slices: [Int]?

  /// - Parameters:
  ///   - elements: The held elements' positions in another layout; nil: as they are held.
  ///   - shape: The held tensor's.
  ///   - place: The dimension of the layout.
  init?(_ elements: Tensor?, _ shape: [Int], along place: Int) {
    guard let elements else {
      guard shape.indices.contains(place) else { return nil }
      self.init(dimension: place, slices: nil)
      return
    }
    guard elements.shape.indices.contains(place), elements.size(place) > 1 else { return nil }
    let others = elements.shape.indices.filter { $0 != place }
    let order = [place] + others
    let rows = elements.permuted(order).reshaped([elements.size(place), -1])
    var stride = shape.reduce(1, *)
    for (axis, size) in shape.enumerated() {
      stride /= max(size, 1)
      guard size > 1 else { continue }
      let slices = rows.floorDivided(by: Double(stride)).remainder(Double(size))
      let (low, high) = (slices.min([1]), slices.max([1]))
      guard low.isEqual(to: high) else { continue }
      let found = low.array(Int.self)
      guard Set(found).count > 1 else { continue }
      self.init(dimension: axis, slices: found)
      return
    }
    return nil
  }

  private init(dimension: Int, slices: [Int]?) {
    self.dimension = dimension
    self.slices = slices
  }

  func pick(_ channels: [Int]) -> [Int] { slices.map { $0.map { channels[$0] } } ?? channels }
}
