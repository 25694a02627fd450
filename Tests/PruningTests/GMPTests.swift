import QuenchReporting
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchPruning

@Suite("Gradual magnitude pruning") struct GMPTests {
  @Test("drops weights by a cubic that ends where the rise does") func schedule() throws {
    let ratio = try KeepRatio(0.2)
    func sparsity(_ step: Int) -> Double { ratio.reached(at: step, of: 200, rise: 0.5).sparsity }
    #expect(sparsity(0) == 0)
    #expect(abs(sparsity(50) - 0.8 * 0.875) < 1e-12)
    let course = (0..<200).map(sparsity)
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

  @Test("BiP's rise goes by the same cubic from the dense network to the target, also after a break") func ofBiP()
    throws
  {
    var method = BiP(keepRatio: try KeepRatio(0.2))
    (method.rise, method.epochs, method.batchSize) = (0.5, 2, 16)
    func learner() throws -> any PruningLearner {
      try method.training(TinyRun.network(seed: 1), on: try TinyRun.images(), seed: 1, precision: .float32)
    }
    let training = try learner()
    let count = training.mask.layout.count
    #expect(training.mask.keptCount == count)
    for step in 0..<8 {
      try TinyRun.steps(training, step..<step + 1)
      let ratio = method.target.keepRatio.reached(at: step + 1, of: 8, rise: 0.5)
      #expect(training.mask.keptCount == ratio.kept(of: count))
    }
    #expect(training.mask.keptCount == method.target.keepRatio.kept(of: count))
    try TinyRun.expectResumes(learner, breaks: [3])
    method.target.granularity = .pattern(kept: 2, group: 4)
    #expect(throws: InputError.self) { try method.validate() }
  }
}
