import QuenchSupport

extension OperatorGraph {
  /// Far more than the largest networks have.
  private static let most = (nodes: 1_000_000, values: 4_000_000, outputs: 1 << 20)

  /// Checks a graph that came from a file, before memory is taken because it says so.
  /// - Parameters:
  ///   - largest: The most elements that all tensors may have together.
  ///   - work: The most multiply-adds that may be noted.
  ///   - location: What errors call it.
  /// - Throws: `InputError` that names the node or the tensor.
  func validate(largest: Double, work: Double, at location: String) throws(InputError) {
    func fail(_ problem: String, _ place: String? = nil) -> InputError {
      InputError(
        "the imported graph is damaged: \(problem)", at: place.map { "\(location), \($0)" } ?? location,
        remedy: "import the network again")
    }
    guard nodes.count <= Self.most.nodes, valueNames.count <= Self.most.values else {
      throw fail("it is too large")
    }
    guard !outputShape.isEmpty, outputShape.count <= 16,
      outputShape.allSatisfy({ (1...Self.most.outputs).contains($0) })
    else { throw fail("its output has the shape \(outputShape)") }
    let shape = input.example
    guard input.dtype.isFloatingPoint, shape.count > 1, shape.count == input.sizes.count,
      zip(input.sizes, shape).dropFirst().allSatisfy({ $0.lowerBound >= 1 && $0.contains($1) }),
      input.sizes[0].lowerBound >= 0, input.sizes[0].upperBound >= 1, input.sizes[0].lowerBound <= 1 << 16
    else { throw fail("its input has the shape \(shape)") }
    var names = Set<String>()
    var total = 0.0
    for held in held {
      guard !held.name.isEmpty, ([held.name] + held.otherNames).allSatisfy({ names.insert($0).inserted }) else {
        throw fail("a name occurs twice", held.name.quoted)
      }
      guard held.shape.count <= 16, held.shape.allSatisfy({ (0...1 << 40).contains($0) }) else {
        throw fail("a tensor has the shape \(held.shape)", held.name.quoted)
      }
      let count = held.shape.reduce(1) { $0 * Double($1) }
      guard
        held.elements.map({ Double($0.count) == count && held.kind == .constant && held.dtype == .int64 }) ?? true
      else { throw fail("a constant is none of \(held.shape) integers", held.name.quoted) }
      total += count
      guard total <= largest else { throw fail("its tensors are too large", held.name.quoted) }
    }
    var noted = 0.0
    for node in nodes {
      noted += Double(node.multiplyAdds)
      guard node.multiplyAdds >= 0, noted <= work else { throw fail("it is too large", "node \(node.name.quoted)") }
    }
    _ = try GraphProgram(self, at: location)
  }
}
