import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchSmoothing

@Suite("What a model's answers are like") struct BlackBoxProbeTests {
  /// A model of the mean pixel, with ten classes.
  private final class Model: BlackBox {
    var feedback = Feedback.probabilities
    let (classes, version) = (10, "model")
    var largestBatch: Int? { nil }
    var change: (Tensor) -> Tensor = { $0 }
    var asked = 0
    private let weight = Tensor.normal([10, 16], standardDeviation: 2, using: Generator(seed: 9))

    func answer(_ images: Tensor) throws -> Tensor {
      asked += images.size(0)
      let logits = images.flattened(from: 1).linear(weight)
      return change(feedback == .logits ? logits : logits.softmax(1))
    }
  }

  /// 40 random images, of which the model gives each the class that is its label.
  private func dataset(for model: Model, shifted: Int = 0) throws -> ImageDataset {
    let images = Tensor.uniform([400, 1, 4, 4], using: Generator(seed: 4))
    let pixels = (images * 255).rounded().to(.uint8)
    let given = try model.answer(pixels.to(.float32) / 255).argmax(1)
    model.asked = 0
    return Self.dataset(
      pixels, labels: (given + Double(shifted)).remainder(10).to(.int64).array(), (0..<10).map { "class \($0)" })
  }

  private static func dataset(_ pixels: Tensor, labels: [Int64], _ names: [String]) -> ImageDataset {
    let block = PixelBlock(shape: pixels.shape, pixels: pixels.data(), labels: labels)
    return ImageDataset(
      name: "made", block: block, classNames: names, statistics: block.statistics(), fingerprint: "none")
  }

  private func probe(_ model: Model, on dataset: ImageDataset) throws -> BlackBoxProbe {
    try BlackBoxProbe(MeteredBlackBox(model, ledger: nil), on: BlackBoxProbe.sample(of: dataset))
  }

  @Test("An exact model has nothing to tell of, and is asked about 32 images twice")
  func exact() throws {
    let model = Model()
    let dataset = try dataset(for: model)
    let found = try probe(model, on: dataset)
    #expect(found.resolution == nil && found.noise == 0 && found.right == 32 && model.asked == 64)
    #expect(found.findings(.probabilities, classes: dataset.classNames) == [])
    #expect(
      found.findings(.logits, classes: dataset.classNames).contains { $0.contains("look like probabilities") })
  }

  @Test(
    "Rounding is found out",
    arguments: [(1e4, 1e-4), (100, 0.01), (255, 1.0 / 255), (256, 1.0 / 256)] as [(Double, Double)])
  func rounding(factor: Double, resolution: Double) throws {
    let model = Model()
    let dataset = try dataset(for: model)
    model.change = { ($0 * factor).rounded() / factor }
    #expect(try probe(model, on: dataset).resolution == resolution)
    model.change = { $0.to(.float16).to(.float32) }
    let half = try #require(try probe(model, on: dataset).resolution)
    #expect((1e-4...1e-3).contains(half))
  }

  @Test("Noise is measured and told")
  func noise() throws {
    let model = Model()
    let (dataset, generator) = (try dataset(for: model), Generator(seed: 8))
    model.feedback = .logits
    model.change = { $0 + 0.1 * Tensor.normal($0.shape, using: generator) }
    let found = try probe(model, on: dataset)
    #expect(abs(found.noise - 0.1) < 0.02)
    #expect(found.findings(.logits, classes: dataset.classNames).contains { $0.contains("differently each time") })
  }

  @Test("Probabilities that are none are refused")
  func range() throws {
    let model = Model()
    let dataset = try dataset(for: model)
    model.change = { $0 * 3 - 1 }
    #expect { _ = try probe(model, on: dataset) } throws: { "\($0)".contains("set feedback to logits") }
  }

  @Test("Classes in another order, and answers at chance, are told")
  func order() throws {
    let model = Model()
    let shifted = try dataset(for: model, shifted: 1)
    let sample = BlackBoxProbe.sample(of: shifted, count: 200)
    let found = try BlackBoxProbe(MeteredBlackBox(model, ledger: nil), on: sample)
    let present = Set(sample.labels.array(Int64.self)).count
    let text = found.findings(.probabilities, classes: shifted.classNames).joined()
    #expect(text.contains(present == 10 ? "in another order" : "no more than chance"), "\(text)")
  }

  @Test("The sample holds as many images of each class, as far as they go")
  func sample() throws {
    let labels = (0..<90).map { Int64($0 < 80 ? 0 : $0 % 3) }
    let dataset = Self.dataset(Tensor.zeros([90, 1, 4, 4], dtype: .uint8), labels: labels, ["a", "b", "c"])
    let drawn = BlackBoxProbe.sample(of: dataset, count: 9).labels.array(Int64.self)
    #expect((0..<3).map { label in drawn.count { $0 == Int64(label) } } == [3, 3, 3])
  }

  /// The cosine between the slope by rounded answers and the exact one.
  private func cosine(_ model: Model, at points: Tensor, step: Double, targets: Tensor) throws -> Double {
    func slope(_ change: @escaping (Tensor) -> Tensor, _ step: Double) throws -> Tensor {
      model.change = change
      defer { model.change = { $0 } }
      return try GradientEstimator(smoothingStep: step, skipsDeadCoordinates: false)(
        at: points, using: Generator(seed: 1)
      ) { points, rows, _ in
        Feedback.probabilities.losses(
          try model.answer(points.reshaped([-1, 1, 4, 4])), against: targets.selecting(rows))
      }.gradient
    }
    let (rounded, exact) = (try slope({ ($0 * 100).rounded() / 100 }, step), try slope({ $0 }, 1e-3))
    return (rounded * exact).sum().item() / (rounded.norm().item() * exact.norm().item() + 1e-12)
  }

  @Test(
    "The step that it chooses gives the true slope, where the usual one gives noise; exact answers keep the usual one"
  )
  func step() throws {
    let model = Model()
    let points = Tensor.uniform([32, 16], using: Generator(seed: 5))
    let targets = try model.answer(points.reshaped([-1, 1, 4, 4])).argmax(1)
    func probe(_ resolution: Double) throws -> StepProbe {
      try StepProbe(
        GradientEstimator(skipsDeadCoordinates: false), at: points + 0.05, resolution: resolution,
        using: Generator(seed: 2), losses: { Feedback.probabilities.losses($0, against: targets) },
        answers: { try model.answer($0.reshaped([-1, 1, 4, 4])) })
    }
    #expect(try probe(0).best?.step == 0.005)
    model.change = { ($0 * 100).rounded() / 100 }
    let coarse = try probe(0.01)
    let best = try #require(coarse.best)
    #expect(coarse.trials[0].zeros > 0.05 && !coarse.trials[0].suffices && best.suffices && best.step > 0.005)
    model.change = { $0 }
    let (chosen, usual) = (
      try cosine(model, at: points, step: best.step, targets: targets),
      try cosine(model, at: points, step: 0.005, targets: targets)
    )
    #expect(chosen > 0.95 && usual < 0.95, "\(chosen) and \(usual)")
  }
}
