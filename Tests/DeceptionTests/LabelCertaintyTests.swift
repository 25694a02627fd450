import QuenchReporting
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchDeception

@Suite("How likely a recovered label is right") struct LabelCertaintyTests {
  /// A hundred labels, right where they stand above 0.5.
  private let labels = LabelCalibration((0..<100).map { (Double($0) / 100, $0 >= 50) })

  @Test("is the share of right ones among those that stand most nearly as firmly") func likelihood() throws {
    #expect(labels.likelihood(1) == Accuracy(correct: 50, count: 50))
    #expect(labels.likelihood(-1) == Accuracy(correct: 0, count: 50))
    let middle = try #require(labels.likelihood(0.5))
    #expect((24...26).contains(middle.correct))
    let shares = stride(from: 0.0, through: 1, by: 0.05).map { labels.likelihood($0)?.fraction ?? .nan }
    #expect(zip(shares, shares.dropFirst()).allSatisfy { $0 <= $1 }, "firmer labels are as likely or more")
    #expect(LabelCalibration.tells(Accuracy(correct: 40, count: 50)))
    #expect(!LabelCalibration.tells(Accuracy(correct: 39, count: 50)))
  }

  @Test("is nothing where few labels are known, and comes back from its file") func files() throws {
    #expect(LabelCalibration([(0.5, true)]).likelihood(0.5) == nil)
    #expect(try LabelCalibration(labels.value, name: "labels.json") == labels)
    #expect(throws: InputError.self) { try LabelCalibration(["firmness": [0.5]], name: "labels.json") }
  }

  @Test("stands fully firm where every view gets the same sure answer, and less where views differ") func firmness()
  {
    let images = Tensor.uniform([3, 1, 6, 6], using: Generator(seed: 1))
    func surely(_ images: Tensor) -> Tensor {
      let sums = images.sum([1, 2, 3]).unsqueezed(1)
      return Tensor.concatenated([sums * 0 + 100, sums * 0], 1)
    }
    let sure = RecoveredLabels(of: images, denoise: { $0 }, logits: surely)
    #expect(sure.labels == [0, 0, 0] && sure.firmness.allSatisfy { $0 > 0.999 })
    // A denoiser that acts on the left half alone makes the mirrored view another image.
    func withoutLeft(_ images: Tensor) -> Tensor {
      let copy = images.cloned()
      copy[TensorIndex.all, TensorIndex.all, TensorIndex.all, ..<3].fill(with: 0)
      return copy
    }
    func sides(_ images: Tensor) -> Tensor {
      let halves = [
        images[TensorIndex.all, TensorIndex.all, TensorIndex.all, ..<3],
        images[TensorIndex.all, TensorIndex.all, TensorIndex.all, 3...]
      ]
      return Tensor.stacked(halves.map { $0.sum([1, 2, 3]) }, 1) * 100
    }
    let split = RecoveredLabels(of: images, denoise: withoutLeft, logits: sides)
    #expect(split.labels == [1, 1, 1])
    #expect(
      split.firmness.allSatisfy { abs($0 - 5.0 / 6) < 0.01 }, "one of six views says otherwise: \(split.firmness)")
  }

  @Test("an evaluation counts what was told, how much of it was right, and how much was promised") func figures()
    throws
  {
    let likelihoods = [
      Accuracy(correct: 40, count: 50), .init(correct: 45, count: 50), .init(correct: 5, count: 50)
    ]
    let figures = try #require(CertaintyFigures(likelihoods, isRight: [true, false, true]))
    #expect(abs(figures.told - 2.0 / 3) < 1e-12 && figures.paBenignTold == 0.5)
    #expect(abs(figures.meanLikelihood - 0.6) < 1e-12)
    #expect(CertaintyFigures([likelihoods[2]], isRight: [true])?.paBenignTold == nil, "nothing was told")
    #expect(CertaintyFigures([], isRight: []) == nil)
  }
}
