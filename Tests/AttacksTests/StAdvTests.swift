import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchAttacks

@Suite("StAdv") struct StAdvTests {
  @Test("moves pixels along whole vectors, between pixels bilinearly, and holds the border's value") func moves() {
    let image = Tensor([Float(0), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], shape: [1, 1, 3, 3])
    func moved(_ down: Double, _ right: Double) -> [Double] {
      let flow = Tensor.concatenated(
        [Tensor.full([1, 1, 3, 3], down), Tensor.full([1, 1, 3, 3], right)], 1)
      return StAdv.moved(image, along: flow).flattened().values
    }
    expectClose(moved(0, 0), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 1e-6)
    expectClose(moved(1, 0), [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.6, 0.7, 0.8], 1e-6)
    expectClose(moved(0, -1), [0, 0, 0.1, 0.3, 0.3, 0.4, 0.6, 0.6, 0.7], 1e-6)
    expectClose(moved(0.5, 0.25), [0.175, 0.275, 0.35, 0.475, 0.575, 0.65, 0.625, 0.725, 0.8], 1e-6)
  }

  @Test("the roughness is 0 for a shift of the whole image, and counts each pair of neighbours twice") func rough()
  {
    #expect(StAdv.roughness(Tensor.full([1, 2, 3, 3], 0.7)).item() < 1e-4)
    // One vector (3, 4) in a corner differs from two neighbours by 5.
    let flow = Tensor.zeros([1, 2, 3, 3])
    flow[0, 0, 0, 0].fill(with: 3)
    flow[0, 1, 0, 0].fill(with: 4)
    expectClose([StAdv.roughness(flow).item()], [20], 1e-4)
  }

  @Test("breaks what can be broken by moving pixels, without a pixel value that the image does not span")
  func breaks()
    throws
  {
    let model = Fixture.convolutional()
    var evaluator = AttackEvaluator([StAdv()])
    evaluator.keepsImages = true
    let report = try evaluator.run(on: model, Fixture.convolutionalData())
    #expect(report.points[0].success.fraction >= 0.5)
    let (images, clean) = (try #require(report.images), Fixture.convolutionalInputs())
    #expect((images.max([2, 3]) - clean.max([2, 3])).max().item() <= 1e-6)
    #expect((clean.min([2, 3]) - images.min([2, 3])).max().item() <= 1e-6)
    for row in report.points[0].rows where row.isBroken { #expect(row.after != row.label) }
  }
}
