import QuenchReporting
import QuenchSupport
import Testing

@testable import QuenchPruning

@Suite("Gradual magnitude pruning") struct GMPTests {
  @Test("drops weights by a cubic that ends where the rise does") func schedule() throws {
    var method = GMP(PruningTarget(keepRatio: try KeepRatio(0.2)))
    method.rise = 0.5
    #expect(method.sparsity(at: 0, of: 200) == 0)
    #expect(abs(method.sparsity(at: 50, of: 200) - 0.8 * 0.875) < 1e-12)
    let course = (0..<200).map { method.sparsity(at: $0, of: 200) }
    #expect(zip(course, course.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(course[100...].allSatisfy { abs($0 - 0.8) < 1e-12 })
  }

  @Test("refuses patterns, and no epochs at all") func refusals() throws {
    var method = GMP(PruningTarget(keepRatio: try KeepRatio(0.5)))
    try method.validate()
    method.recipe.epochs = 0
    #expect(throws: InputError.self) { try method.validate() }
    method = GMP(PruningTarget(keepRatio: try KeepRatio(0.5)))
    method.target.granularity = .pattern(kept: 2, group: 4)
    #expect(throws: InputError.self) { try method.validate() }
  }
}
