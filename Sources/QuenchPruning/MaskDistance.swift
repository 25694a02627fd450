import QuenchTorch

extension Mask {
  /// The fraction of weights that one of the two masks keeps and the other does not: 0 for equal masks.
  public func hammingDistance(to other: Mask) -> Double { Mask.hammingDistance(values, other.values) }

  /// The fraction of positions at which two vectors differ.
  static func hammingDistance(_ a: Tensor, _ b: Tensor) -> Double {
    Double((a .!= b).nonzeroCount()) / Double(a.count)
  }
}
