import QuenchTorch
import Testing

@testable import QuenchAttacks

@Suite("Auto-PGD gives the reference figures") struct ReferenceAPGDTests {
  @Test(
    "the difference of logits ratio",
    arguments: [
      ([2, 1, 0.5, -1, -3], 0, -0.666667, 1, -0.444444), ([0, 3, 1, 2.5, -1], 3, 0.25, 1, 0.2),
      ([5, 5, 1, 0, -2], 1, 0, 2, -0.888889), ([1, -1, 0.25, 4, 2], 1, 1.666667, 3, 1.481481)
    ])
  func dlr(_ logits: [Float], _ label: Int, _ expected: Double, _ target: Int, _ targeted: Double) {
    let (z, y) = (Tensor(logits, shape: [1, 5]), Tensor([label]))
    expectClose(AttackLoss.dlr.untargeted(z, y).values, [expected], 1e-5)
    expectClose(AttackLoss.dlr.targeted(z, y, Tensor([target])).values, [targeted], 1e-5)
  }

  @Test("DLR of the convolutional model") func dlrOfModel() {
    let logits = Fixture.convolutional().score(Fixture.convolutionalInputs())
    let labels = Tensor(Fixture.convolutionalLabels)
    expectClose(
      AttackLoss.dlr.untargeted(logits, labels).values,
      [-0.906446, -0.401598, -0.489206, -0.341718, -0.482180, -0.920121, -0.386048, -0.634500])
    let next = logits.otherClasses(than: labels, count: 1).squeezed(1)
    #expect(next.flags == [2, 7, 1, 7, 9, 2, 4, 6])
    expectClose(
      AttackLoss.dlr.targeted(logits, labels, next).values,
      [-0.789376, -0.345478, -0.451612, -0.257874, -0.422732, -0.353447, -0.363360, -0.605549])
  }

  @Test("steps at which progress is tested") func checkpoints() {
    #expect(APGD.checkpoints(of: 5) == [1, 2, 3, 4, 5])
    #expect(APGD.checkpoints(of: 10) == Array(2...10))
    #expect(APGD.checkpoints(of: 20) == [4, 7] + Array(9...20))
    #expect(APGD.checkpoints(of: 40) == [8, 15, 21, 26, 30, 33, 35, 37, 39])
    #expect(APGD.checkpoints(of: 50) == [11, 21, 30, 38, 45])
    #expect(APGD.checkpoints(of: 75) == [16, 30, 42, 52, 60, 66, 70, 74])
    #expect(APGD.checkpoints(of: 100) == [22, 41, 57, 70, 80, 87, 93, 99])
    #expect(APGD.checkpoints(of: 200) == [44, 82, 114, 140, 160, 174, 186, 198])
    #expect(APGD.checkpoints(of: 1000) == [220, 410, 570, 700, 800, 870, 930, 990])
  }

  private func run(
    _ loss: AttackLoss, _ epsilon: Double, norm: Norm = .linf, steps: Int = 20, targets: Tensor? = nil
  ) -> APGD.Run {
    var attack = APGD(loss, norm: norm, epsilon: epsilon)
    (attack.steps, attack.start, attack.stopsAtSuccess, attack.readsUnfilledLoss) = (steps, .image, false, true)
    var samples = Fixture.convolutionalSamples()
    if let targets { samples = samples.aiming(at: targets) }
    return attack.run(samples, restart: 0, stream: "test", on: Fixture.convolutional())
  }

  @Test("APGD on the cross-entropy in L∞") func crossEntropy() {
    let found = run(.crossEntropy, 4 / 255)
    expectClose(
      found.highestLoss.values, [1.519087, 1.502923, 2.397866, 2.421831, 1.758905, 2.208994, 1.585999, 1.823792])
    #expect(found.halvings.flags == [5, 6, 6, 5, 5, 8, 7, 7])
    #expect(found.isBroken.flags == Array(repeating: 1, count: 8))
    let weaker = run(.crossEntropy, 2 / 255)
    expectClose(
      weaker.highestLoss.values, [1.012876, 1.046172, 1.538180, 1.716726, 1.165388, 1.669152, 0.950994, 1.326478])
    #expect(weaker.isBroken.flags == [0, 0, 1, 1, 1, 1, 0, 0])
    expectClose(
      run(.crossEntropy, 8 / 255, steps: 100).highestLoss.values,
      [2.976051, 2.781283, 4.356979, 4.271246, 3.534403, 3.680835, 3.355319, 3.150880])
  }

  @Test("APGD on the cross-entropy in L2") func crossEntropyL2() {
    expectClose(
      run(.crossEntropy, 0.25, norm: .l2).highestLoss.values,
      [2.206017, 2.059280, 3.328452, 3.432991, 2.479547, 3.007286, 2.450020, 2.342220])
  }

  @Test("APGD on DLR") func dlrRuns() {
    let found = run(.dlr, 2 / 255)
    expectClose(
      found.highestLoss.values, [-0.539223, 0.047099, 0.512638, 0.681192, 0.133883, 1, -0.025073, -0.134826])
    #expect(found.isBroken.flags == [0, 1, 1, 1, 1, 1, 0, 0])
    let stronger = run(.dlr, 4 / 255)
    expectClose(stronger.highestLoss.values, [1, 0.741774, 1.453513, 1, 0.738107, 1, 1, 1])
    let halvings = stronger.halvings.flags
    #expect([halvings[1], halvings[2], halvings[4]] == [5, 7, 6])
  }

  @Test("APGD on targeted DLR to the runner-up") func targeted() {
    let model = Fixture.convolutional()
    let targets = model.score(Fixture.convolutionalInputs())
      .otherClasses(than: Tensor(Fixture.convolutionalLabels), count: 1).squeezed(1)
    expectClose(
      run(.dlr, 4 / 255, targets: targets).highestLoss.values,
      [0.112090, 0.386693, 1.194173, 1.004651, 0.653787, 1.294823, 0.526331, 0.767177])
  }
}
