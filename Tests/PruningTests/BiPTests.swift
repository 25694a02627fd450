import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

/// A network small enough to follow by hand, 2-2-2 without bias, and two batches of two samples.
enum ReferenceNetwork {
  static let weights: [Double] = [1, -2, 3, -1, 2, -1, 0.5, 1]

  static func make() throws -> Network {
    var builder = ArchitectureBuilder(input: [2])
    func linear(_ x: ArchitectureBuilder.Value, _ name: String) -> ArchitectureBuilder.Value {
      builder.append(name, .linear(Linear(inputs: 2, outputs: 2, bias: false)), x)
    }
    let hidden = linear(builder.input, "fc1")
    _ = linear(builder.relu("relu", hidden), "fc2")
    let network = Network(builder.build("n1"), seed: 0)
    network.convert(to: .float64)
    try network.load(
      StateDictionary([
        ("fc1.weight", Tensor(Array(weights[..<4]), shape: [2, 2])),
        ("fc2.weight", Tensor(Array(weights[4...]), shape: [2, 2]))
      ]), from: "the test")
    return network
  }

  static var a: Batch {
    Batch(
      images: Tensor([1.0, 0, 0.5, -1], shape: [2, 2]), labels: Tensor([0, 1]), position: LoaderPosition())
  }
  static var b: Batch {
    Batch(
      images: Tensor([0.0, 1, 1, 1], shape: [2, 2]), labels: Tensor([1, 0]), position: LoaderPosition())
  }

  /// BiP as published, as in C6 and C7: no momentum, no decay, and the upper batch moves the scores alone.
  static func training(_ configure: (inout BiP) -> Void = { _ in }) throws -> BiPTraining {
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.learnsFromUpperBatch = false
    method.lowerLearningRate = 0.01
    method.upperLearningRate = 0.1
    method.scoreStepLimit = 0
    method.momentum = 0
    method.weightDecay = 0
    configure(&method)
    let empty = ImageDataset(
      name: "none", block: PixelBlock(shape: [2, 1, 1, 2], pixels: Data(count: 4), labels: [0, 1]),
      classNames: ["a", "b"], statistics: ChannelStatistics(mean: [0], standardDeviation: [1]), fingerprint: "")
    return try BiPTraining(method, try make(), on: empty, seed: 1, precision: .float32)
  }
}

func expectClose(
  _ tensor: Tensor, _ expected: [Double], within tolerance: Double = 1e-8,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let difference = (tensor.to(.float64) - Tensor(expected)).abs().max().item()
  #expect(difference <= tolerance, "\(tensor.array(Double.self))", sourceLocation: sourceLocation)
}

@Suite("BiP")
struct BiPTests {
  @Test(
    "the upper gradient of the linear model is (F1)",
    arguments: [(1, [-6, 2]), (0.5, [-10, 2]), (10, [-2.4, 2])] as [(Double, [Double])])
  func upperGradient(_ gamma: Double, _ expected: [Double]) throws {
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.gamma = gamma
    let result = method.scoreGradient(
      weights: Tensor([1, -0.5]), mask: Tensor([1.0, 0]), scores: Tensor([0.8, 0.3]), gradient: Tensor([-2.0, -4]))
    expectClose(result, expected)
  }

  @Test("the released code's rule has the opposite sign where a weight is pruned")
  func releasedRule() throws {
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.mode = .repoCompat
    let result = method.scoreGradient(
      weights: Tensor([1, -0.5]), mask: Tensor([1.0, 0]), scores: Tensor([0.8, 0.3]), gradient: Tensor([-2.0, -4]))
    expectClose(result, [-6, -2])
  }

  @Test("is exact where the loss is linear")
  func linearLoss() throws {
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.gamma = 2
    let result = method.scoreGradient(
      weights: Tensor([-1, 0.75]), mask: Tensor([1, 0.5]), scores: Tensor([1.0, 1]), gradient: Tensor([2.0, -3]))
    expectClose(result, [-4, -4.5])
  }

  @Test(
    "overshoots the true derivative where the loss is quadratic, the less the larger γ is",
    arguments: [(1, [-2, -4], 3), (10, [-1.25, -2.5], 1.2), (100, [-0.17301038, -0.34602076], 1.02)]
      as [(Double, [Double], Double)])
  func quadraticLoss(_ gamma: Double, _ expected: [Double], _ ratio: Double) throws {
    let (x, y, mask) = ([1.0, 2], 3.0, [1, 0.5])
    /// The lower level's solution θ*(m), and the loss there.
    func solve(_ mask: [Double]) -> (weights: [Double], loss: Double) {
      let a = zip(x, mask).map(*)
      let square = a.reduce(0) { $0 + $1 * $1 }
      let residual = y * square / (gamma + square) - y
      return (a.map { $0 * y / (gamma + square) }, residual * residual / 2)
    }
    let weights = solve(mask).weights
    let residual = zip(zip(x, mask), weights).reduce(-y) { $0 + $1.0.0 * $1.0.1 * $1.1 }
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.gamma = gamma
    let upper = method.scoreGradient(
      weights: Tensor(weights), mask: Tensor(mask), scores: Tensor([1.0, 1]),
      gradient: Tensor(x.map { $0 * residual }))
    expectClose(upper, expected)
    for (index, gradient) in upper.array(Double.self).enumerated() {
      func loss(_ shift: Double) -> Double {
        var moved = mask
        moved[index] += shift
        return solve(moved).loss
      }
      let derivative = (loss(1e-5) - loss(-1e-5)) / 2e-5
      #expect(abs(gradient / derivative - ratio) < 1e-6)
    }
  }

  @Test("goes straight through the threshold, with the score's sign")
  func straightThrough() throws {
    var method = BiP(keepRatio: try KeepRatio(2.0 / 3))
    method.mode = .noIG
    let (weights, scores) = (Tensor([1, -2, 0.5]), Tensor([0.2, -0.9, 0.4]))
    let mask = Mask.topK(scores.abs(), keeping: method.target.keepRatio.kept(of: 3))
    expectClose(mask, [0, 1, 1])
    let x = Tensor([1.0, 1, 2])
    let output = (weights * mask * x).sum()
    expectClose(output, [-1])
    let gradient = (output - 1) * x
    expectClose(
      method.scoreGradient(weights: weights, mask: mask, scores: scores, gradient: gradient), [-2, -4, -2])
  }

  @Test("without the implicit part or with γ → ∞ it is HYDRA's gradient")
  func hydraLimit() throws {
    let generator = Generator(seed: 3)
    func draw() -> Tensor { .normal([50], dtype: .float64, using: generator) }
    let (weights, scores, gradient) = (draw(), draw(), draw())
    let mask = (draw() .> 0).to(.float64)
    var method = BiP(keepRatio: try KeepRatio(0.5))
    method.mode = .noIG
    let hydra = method.scoreGradient(weights: weights, mask: mask, scores: scores, gradient: gradient)
    #expect(hydra.isEqual(to: scores.sign() * weights * gradient))
    method.mode = .formula
    method.gamma = 1e12
    let limit = method.scoreGradient(weights: weights, mask: mask, scores: scores, gradient: gradient)
    #expect((limit - hydra).abs().max().item() < 1e-9)
  }

  @Test("two full iterations on the reference network")
  func iterations() throws {
    let training = try ReferenceNetwork.training()
    let mask: [Double] = [0, 1, 1, 0, 1, 0, 0, 1]
    expectClose(training.mask.values, mask)
    let first = training.lowerStep(ReferenceNetwork.a)
    #expect(abs(first.loss.item() - 2.8137385429) < 1e-9)
    expectClose(training.weights, [1, -1.99075858, 2.99754748, -1, 1.99075858, -1, 0.5, 0.99264245])
    training.upperStep(ReferenceNetwork.b)
    expectClose(training.scores, [1, -2, 2.88074752, -1.04722271, 2, -0.85739848, 0.5, 1.06179961])
    expectClose(training.mask.values, mask)
    let second = training.lowerStep(ReferenceNetwork.a)
    #expect(abs(second.loss.item() - 2.7907043708) < 1e-9)
    training.upperStep(ReferenceNetwork.b)
    expectClose(training.scores, [1, -2, 2.76244365, -1.09403968, 2, -0.71508353, 0.5, 1.12411292])
    expectClose(training.mask.values, mask)
  }

  @Test("one iteration by the released code's rule ends in another mask")
  func releasedIteration() throws {
    let training = try ReferenceNetwork.training {
      $0.mode = .repoCompat
      $0.gamma = 1e4
    }
    training.lowerStep(ReferenceNetwork.a)
    training.upperStep(ReferenceNetwork.b)
    expectClose(training.scores, [1, -2, 2.85846772, -1.04722048, 2, -0.85737815, 0.5, 0.85846772])
    expectClose(training.mask.values, [0, 1, 1, 1, 1, 0, 0, 0])
  }

  @Test("pruned weights contribute nothing to the output, and stay as they were")
  func masked() throws {
    let training = try ReferenceNetwork.training()
    let before = training.weights.cloned()
    training.lowerStep(ReferenceNetwork.a)
    let pruned = training.mask.values .== 0
    #expect(training.weights.masked(by: pruned).isEqual(to: before.masked(by: pruned)))
    training.finish()
    let output = withoutGradient { training.network(ReferenceNetwork.b.images) }
    training.weights.put(Tensor(1e6, dtype: .float64), at: [pruned])
    training.finish()
    #expect(withoutGradient { training.network(ReferenceNetwork.b.images) }.isEqual(to: output))
  }
}
