import Foundation
import QuenchSupport
import QuenchTorch
import Testing

/// A small network's data and start, and what PyTorch made of it.
struct TrainingReference: Decodable {
  struct Run: Decodable {
    var losses: [Double]
    var parameters: [StoredTensor]
  }
  struct Clipped: Decodable {
    var norm: Double
    var gradients: [StoredTensor]
  }
  var images: StoredTensor
  var labels: StoredTensor
  var start: [StoredTensor]
  var optimizers: [String: Run]
  var clipped: Clipped
  var penalty: Double
  var gradients: [StoredTensor]
  var secondGradients: [StoredTensor]

  static func load() throws -> TrainingReference { try Reference.load(Self.self, "training.json") }

  static let names = ["conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias"]

  func parameters() throws -> [NamedTensor] {
    try zip(Self.names, start).map { ($0, try $1.tensor.requiringGrad()) }
  }

  /// Convolution, batch norm, ReLU, linear and cross-entropy.
  static func loss(_ images: Tensor, _ labels: Tensor, _ p: [Tensor]) -> Tensor {
    images.conv2d(p[0], padding: 1)
      .batchNorm(weight: p[1], bias: p[2], runningMean: nil, runningVariance: nil, training: true)
      .relu().flattened(from: 1).linear(p[3], bias: p[4]).crossEntropy(labels)
  }

  /// Trains for `steps` steps and returns the losses.
  func train(_ optimizer: any Optimizer, steps: Int) throws -> [Double] {
    let (images, labels) = (try images.tensor, try labels.tensor)
    return (0..<steps).map { _ in
      optimizer.zeroGradients()
      let loss = Self.loss(images, labels, optimizer.parameters.map(\.tensor))
      loss.backward()
      optimizer.step()
      return loss.item()
    }
  }
}

/// The optimisers of the figures.
enum Rule: String, CaseIterable {
  case sgd, momentum, nesterov, adam, adamW

  func make(_ parameters: [NamedTensor]) -> any Optimizer {
    switch self {
    case .sgd: SGD(parameters: parameters, learningRate: 0.1)
    case .momentum: SGD(parameters: parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01)
    case .nesterov:
      SGD(parameters: parameters, learningRate: 0.1, momentum: 0.9, weightDecay: 0.01, nesterov: true)
    case .adam: Adam(parameters: parameters, learningRate: 0.01, weightDecay: 0.01)
    case .adamW:
      Adam(
        parameters: parameters, learningRate: 0.01, betas: (0.8, 0.95), epsilon: 1e-6, weightDecay: 0.1,
        decoupledWeightDecay: true)
    }
  }
}

@Suite("Optimisers")
struct OptimizerTests {
  @Test("twenty steps give PyTorch's losses and parameters", arguments: Rule.allCases)
  func reference(_ rule: Rule) throws {
    let figures = try TrainingReference.load()
    let run = try #require(figures.optimizers[rule.rawValue])
    let optimizer = rule.make(try figures.parameters())
    let losses = try figures.train(optimizer, steps: 20)
    #expect(zip(losses, run.losses).allSatisfy { abs($0 - $1) < 1e-12 })
    for (parameter, figure) in zip(optimizer.parameters, run.parameters) {
      #expect(figure.matches(parameter.tensor), "\(parameter.name)")
    }
  }

  @Test("a run resumed from a saved state goes on bit for bit", arguments: Rule.allCases)
  func resume(_ rule: Rule) throws {
    let figures = try TrainingReference.load()
    let whole = rule.make(try figures.parameters())
    _ = try figures.train(whole, steps: 12)

    let first = rule.make(try figures.parameters())
    _ = try figures.train(first, steps: 5)
    let second = rule.make(first.parameters.map { ($0.name, $0.tensor.detached().cloned().requiringGrad()) })
    try second.restore(StateDictionary(first.state.map { ($0.name, $0.tensor.cloned()) }), from: "optimizer")
    _ = try figures.train(second, steps: 7)

    for (a, b) in zip(whole.parameters, second.parameters) {
      #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)")
    }
  }

  @Test("SGD with momentum and weight decay gives the worked example's figures")
  func workedExample() {
    let p = Tensor(1, dtype: .float64)
    let optimizer = SGD(parameters: [("p", p)], learningRate: 0.1, momentum: 0.9, weightDecay: 0.01)
    let expected = [(0.51, 0.949), (0.26849, 0.922151), (0.35086251, 0.887064749)]
    for (gradient, (buffer, value)) in zip([0.5, -0.2, 0.1], expected) {
      optimizer.step(gradients: [Tensor(gradient, dtype: .float64)])
      #expect(abs(optimizer.state[0].tensor.item() - buffer) < 1e-12)
      #expect(abs(p.item() - value) < 1e-12)
    }
    #expect(optimizer.state.map(\.name) == ["p.momentum_buffer"])
  }

  @Test(
    "a gradient that lies otherwise in memory than its parameter counts element by element",
    arguments: Rule.allCases)
  func layouts(_ rule: Rule) {
    let generator = Generator(seed: 3)
    let start = Tensor.normal([3, 2, 2, 4], dtype: .float64, using: generator)
    let gradient = Tensor.normal([3, 2, 2, 4], dtype: .float64, using: generator)
    func twoSteps(_ parameter: MemoryFormat, _ gradientFormat: MemoryFormat) -> Tensor {
      let tensor = start.cloned().contiguous(parameter)
      let optimizer = rule.make([("w", tensor)])
      for _ in 0..<2 { optimizer.step(gradients: [gradient.contiguous(gradientFormat)]) }
      return tensor
    }
    let plain = twoSteps(.contiguous, .contiguous)
    #expect(!plain.isEqual(to: start))
    #expect(twoSteps(.channelsLast, .contiguous).isEqual(to: plain))
    #expect(twoSteps(.contiguous, .channelsLast).isEqual(to: plain))
    #expect(twoSteps(.channelsLast, .channelsLast).isEqual(to: plain))
  }

  @Test("a gradient of another type is converted")
  func types() {
    let p = Tensor.ones([2])
    SGD(parameters: [("p", p)], learningRate: 0.5).step(gradients: [Tensor([1.0, 2.0])])
    #expect(p.array(Float.self) == [0.5, 0])
  }

  @Test("parameters without a gradient keep their value and state", arguments: Rule.allCases)
  func skipped(_ rule: Rule) {
    let (a, b) = (Tensor.ones([2]), Tensor.ones([2]))
    let optimizer = rule.make([("a", a), ("b", b)])
    optimizer.step(gradients: [nil, Tensor.ones([2])])
    optimizer.step(gradients: [nil, nil])
    #expect(a.array(Float.self) == [1, 1])
    #expect(b.array(Float.self) != [1, 1])
    for (name, tensor) in optimizer.state where name.hasPrefix("a.") { #expect(!(tensor .!= 0.0).any()) }
  }

  @Test("all parameters are updated by one call")
  func oneCall() async {
    await #expect(processExitsWith: .success) {
      let parameters = (0..<10).map { ("p\($0)", Tensor.ones([$0 + 1])) as NamedTensor }
      for rule in Rule.allCases { rule.make(parameters).step(gradients: parameters.map(\.tensor)) }
      #expect(Operator("aten::_fused_sgd_").calls == 3)
      #expect(Operator("aten::_fused_adam_").calls == 1)
      #expect(Operator("aten::_fused_adamw_").calls == 1)
      #expect(Operator("aten::_foreach_add_.Scalar").calls == 2)
    }
  }

  @Test("clipping scales all gradients by one factor, as PyTorch does, and leaves small ones alone")
  func clipping() throws {
    let figures = try TrainingReference.load()
    let optimizer = SGD(parameters: try figures.parameters(), learningRate: 0.1)
    TrainingReference.loss(
      try figures.images.tensor, try figures.labels.tensor, optimizer.parameters.map(\.tensor)
    ).backward()
    let norm = optimizer.clipGradients(maxNorm: 0.1)
    #expect(abs(norm - figures.clipped.norm) < 1e-12)
    for (parameter, figure) in zip(optimizer.parameters, figures.clipped.gradients) {
      #expect(figure.matches(try #require(parameter.tensor.gradient)), "\(parameter.name)")
    }
    let before = try #require(optimizer.parameters[0].tensor.gradient).cloned()
    #expect(abs(optimizer.clipGradients(maxNorm: 5) - 0.1) < 1e-6)
    #expect(optimizer.parameters[0].tensor.gradient?.isEqual(to: before) == true)
    optimizer.zeroGradients()
    #expect(optimizer.parameters[0].tensor.gradient == nil)
    #expect(optimizer.clipGradients(maxNorm: 1) == 0)
  }

  @Test("a state that does not fit is refused and changes nothing")
  func refused() throws {
    let optimizer = SGD(parameters: [("a", .ones([2])), ("b", .ones([3]))], learningRate: 0.1, momentum: 0.9)
    func restore(_ state: [NamedTensor]) -> String {
      do throws(InputError) {
        try optimizer.restore(state, from: "step.safetensors")
        return "restored"
      } catch { return error.description }
    }
    let a = ("a.momentum_buffer", Tensor.ones([2]))
    let b = ("b.momentum_buffer", Tensor.ones([3]))
    #expect(restore([a]).hasPrefix("step.safetensors: the optimizer state lacks 'b.momentum_buffer'"))
    #expect(restore([a, (b.0, .ones([4]))]).contains("expected [3] float32, found [4] float32"))
    #expect(restore([a, (b.0, .ones([3], dtype: .float64))]).contains("found [3] float64"))
    #expect(restore([a, b, ("c.momentum_buffer", .ones([1]))]).contains("knows no state 'c.momentum_buffer'"))
    #expect(optimizer.state.allSatisfy { !($0.tensor .!= 0.0).any() })
    #expect(restore([b, a]) == "restored")
    #expect(optimizer.state.allSatisfy { !($0.tensor .!= 1.0).any() })
  }

  @Test("a gradient of another shape, a gap in memory or a missing gradient ends the process")
  func mistakes() async {
    await #expect(processExitsWith: .exitCode(70)) {
      SGD(parameters: [("p", .ones([4]))], learningRate: 0.1).step(gradients: [.ones([1])])
    }
    await #expect(processExitsWith: .exitCode(70)) {
      SGD(parameters: [("p", .ones([4]))], learningRate: 0.1).step(gradients: [])
    }
    await #expect(processExitsWith: .exitCode(70)) {
      let columns = Tensor.ones([4, 4])[TensorIndex.all, 0..<2]
      Adam(parameters: [("p", columns)], learningRate: 0.1).step()
    }
  }
}

@Suite("Schedules")
struct ScheduleTests {
  private func rates(_ schedule: Schedule, at epochs: [Double]) -> [Double] {
    epochs.map { 0.1 * schedule.factor(at: $0, of: 100) }
  }

  private func close(_ a: [Double], _ b: [Double]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-8 * abs($1) }
  }

  @Test("the cosine and the one that starts an epoch late give the published figures")
  func cosines() {
    let epochs: [Double] = [0, 1, 25, 50, 75, 99]
    #expect(
      close(
        rates(.cosine, at: epochs), [0.1, 0.0999753280, 0.0853553391, 0.05, 0.0146446609, 2.46719817e-05]))
    #expect(
      close(
        rates(.delayedCosine, at: epochs),
        [0.0999753280, 0.1, 0.0864484314, 0.0515705380, 0.0157726447, 9.86635786e-05]))
  }

  @Test("steps fall at their milestones, not before")
  func steps() {
    let schedule = Schedule.step(milestones: [0.5, 0.75], factor: 0.1)
    #expect(
      close(rates(schedule, at: [0, 49, 49.99, 50, 74, 75, 99]), [0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]))
    #expect(close(rates(.constant, at: [0, 99]), [0.1, 0.1]))
  }

  @Test("warm-up rises in a line and hands over to the rest of the run")
  func warmUp() {
    let schedule = Schedule.warmUp(epochs: 10, from: 0.2, then: .cosine)
    #expect(close(rates(schedule, at: [0, 5, 10, 55]), [0.02, 0.06, 0.1, 0.05]))
    #expect(abs(schedule.factor(at: 100, of: 100)) < 1e-15)
  }

  @Test("a schedule survives a round trip through JSON")
  func coding() throws {
    for schedule: Schedule in [
      .constant, .step(milestones: [0.5], factor: 0.1), .warmUp(epochs: 5, from: 0, then: .delayedCosine)
    ] {
      #expect(try JSONDecoder().decode(Schedule.self, from: JSONEncoder().encode(schedule)) == schedule)
    }
  }
}
