import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchSmoothing

@Suite("The parts of a defense") struct DefensePartsTests {
  @Test("Rows are shown in multiples of 64, and only theirs are answered", arguments: [1, 63, 64, 65, 200])
  func fewSizes(count: Int) {
    let rows = Tensor.uniform([count, 3], using: Generator(seed: 1))
    var shown = 0
    let answer = rows.inFewSizes { rows in
      shown = rows.size(0)
      return rows * 2
    }
    #expect(answer.isEqual(to: rows * 2))
    #expect(shown == (count <= 64 ? count : (count + 63) / 64 * 64))
  }

  @Test(
    "Autoencoders have the published numbers of parameters and codes",
    arguments: [
      (.cifar48, 10_242, 10_197, 48), (.cifar96, 40_212, 40_119, 96), (.cifar192, 159_336, 159_147, 192),
      (.cifar192Wide, 163_184, 162_995, 192), (.cifar384, 85_416, 85_323, 384),
      (.cifar768Wide, 15_440, 15_395, 768), (.cifar768, 19_656, 19_611, 768), (.cifar1536, 1_176, 1_155, 1536),
      (.cifar2048, 1_568, 1_539, 2048), (.stl576, 1_443_600, 1_443_027, 576), (.mnist192, 963, 952, 192),
      (.imageNet1152, 4_408_296, 4_407_147, 1152), (.imageNet1728, 9_913_788, 9_912_063, 1728),
      (.imageNet2304, 17_620_176, 17_617_875, 2304), (.imageNet3456, 39_454_704, 39_451_251, 3456)
    ] as [(AutoencoderName, Int, Int, Int)])
  func parameters(name: AutoencoderName, encoder: Int, decoder: Int, code: Int) throws {
    #expect(name.encoder.parameterCount == encoder && name.decoder.parameterCount == decoder)
    #expect(name.codeSize == code)
    #expect(name.decoder.outputShape == name.inputShape && name.decoder.inputShape == name.encoder.outputShape)
    try name.encoder.validate(at: "encoder")
    try name.decoder.validate(at: "decoder")
  }

  /// A network in double precision whose convolution weights are all `weight` and whose biases are 0.
  private func constant(_ architecture: Architecture, _ weight: Double) -> Network {
    let network = Network(architecture, seed: 1)
    network.convert(to: .float64)
    withoutGradient {
      for parameter in network.parameters where parameter.tensor.rank == 4 { parameter.tensor.fill(with: weight) }
      for parameter in network.parameters where parameter.name.hasSuffix("bias") { parameter.tensor.fill(with: 0) }
    }
    return network
  }

  /// The value of every convolution, before what follows it.
  private func convolutions(_ network: Network, _ input: Tensor) -> [Tensor] {
    var results: [Tensor] = []
    _ = withoutGradient {
      network.observed(input) { node, _, result in
        if node.target.contains("conv") { results.append(result.cloned()) }
      }
    }
    return results
  }

  /// To the ten digits that the reference has.
  private func near(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) <= 2e-9 * abs(expected) }

  @Test("The CIFAR-10 autoencoder of constant weights gives the reference's values")
  func cifarForward() {
    let encoder = constant(AutoencoderName.cifar192.encoder, 0.01)
    let layers = convolutions(encoder, .ones([1, 3, 32, 32], dtype: .float64))
    let expected = [
      (0.48, 0.48, 737.28), (0.1152, 1.0368, 353.8944), (2.709504, 2.709504, 1040.449536),
      (10.40449536, 10.40449536, 1997.663109)
    ]
    for (layer, (low, high, sum)) in zip(layers, expected) {
      #expect(near(layer.min([]).item(), low) && near(layer.max([]).item(), high))
      #expect(near(layer.sum().item(), sum))
    }
    let decoder = constant(AutoencoderName.cifar192.decoder, 0.01)
    let back = convolutions(decoder, .full([1, 192, 1, 1], 10.40449536, dtype: .float64))
    let sums = back.map { $0.sum().item() }
    #expect(zip(sums, [7671.026339, 33138.83378, 43301.40948, 20784.67655]).allSatisfy(near), "\(sums)")
    #expect(near(back[3].min([]).item(), 2.209255586) && near(back[3].max([]).item(), 8.837022343))
    #expect(
      near(
        withoutGradient { decoder(.full([1, 192, 1, 1], 10.40449536, dtype: .float64)) }.mean().item(), 0.9892699165
      ))
  }

  @Test("The STL-10 and MNIST autoencoders of constant weights give the reference's values")
  func otherForwards() {
    let stl = convolutions(constant(AutoencoderName.stl576.encoder, 0.01), .ones([1, 3, 96, 96], dtype: .float64))
    let sums = stl.map { $0.sum().item() }
    #expect(
      zip(sums, [13480.56, 9706.0032, 13976.64461, 124615.1452, 717783.2365]).allSatisfy(near), "\(sums)")
    let mnist = convolutions(
      constant(AutoencoderName.mnist192.encoder, 0.01), .ones([1, 1, 28, 28], dtype: .float64))
    #expect(near(mnist[0].min([]).item(), 0.09) && near(mnist[0].max([]).item(), 0.16))
    #expect(near(mnist[0].sum().item(), 87.48) && near(mnist[1].sum().item(), 21.9024))
    let decoder = constant(AutoencoderName.mnist192.decoder, 0.01)
    let back = convolutions(decoder, .ones([1, 12, 4, 4], dtype: .float64))
    #expect(near(back[0].sum().item(), 144) && near(back[1].sum().item(), 21.9024))
    #expect(near(withoutGradient { decoder(.ones([1, 12, 4, 4], dtype: .float64)) }.mean().item(), 0.5069834411))
  }

  @Test("The denoiser of constant weights gives the reference's values")
  func denoiserForward() {
    let network = constant(Denoiser().network(input: [3, 32, 32], seed: 1).architecture, 0.002)
    let image = withoutGradient { network(.ones([1, 3, 32, 32], dtype: .float64)) }
    #expect(near(image[0, 0, 16, 16].item(), 0.4808323943) && near(image[0, 0, 0, 0].item(), 0.9726438573))
    #expect(near(image.mean().item(), 0.61574684))
  }

  @Test("A fresh denoiser answers its input unchanged, with the published numbers of parameters")
  func freshDenoiser() {
    let network = Denoiser().network(input: [3, 16, 16], seed: 2)
    let noisy = Tensor.normal([2, 3, 16, 16], using: Generator(seed: 1))
    for training in [false, true] {
      network.isTraining = training
      #expect(withoutGradient { network(noisy) }.isEqual(to: noisy))
    }
    #expect(network.architecture.parameterCount == 558_400)
    #expect(Denoiser().network(input: [1, 28, 28], seed: 2).architecture.parameterCount == 556_096)
    #expect(Denoiser(width: 128).network(input: [3, 32, 32], seed: 2).architecture.parameterCount == 2_222_720)
    #expect(network.state.keys.first == "dncnn.0.weight" && network.state.keys.last == "dncnn.47.weight")
  }

  @Test("Orthogonal weights are orthonormal in rows or columns", arguments: [[4, 3, 3, 3], [64, 2, 3, 3]])
  func orthogonal(shape: [Int]) {
    let matrix = Tensor.orthogonal(shape, using: Generator(seed: 4)).reshaped([shape[0], -1])
    let product = shape[0] < 10 ? matrix.matmul(matrix.transposed()) : matrix.transposed().matmul(matrix)
    #expect(product.isClose(to: .eye(product.size(0)), relative: 1e-5, absolute: 1e-5))
  }

  @Test("The plan of a defense computes what its networks do")
  func plan() {
    let defense = Defense(
      denoiser: Denoiser(depth: 3, width: 8).network(input: [1, 28, 28], seed: 1),
      autoencoder: .init(.mnist192, seed: 2))
    let noisy = Tensor.uniform([5, 1, 28, 28], using: Generator(seed: 3))
    let exact = withoutGradient { defense.images(defense.codes(noisy)) }
    #expect(
      DefensePlan(defense, batchSize: 5, dtype: .float32)(noisy).isClose(to: exact, relative: 1e-4, absolute: 1e-5))
    #expect(defense.codeSize == 192 && withoutGradient { defense.codes(noisy) }.shape == [5, 192])
  }

  @Test("The learning rate falls to a tenth one epoch late")
  func decay() {
    var recipe = DefenseRecipe()
    recipe.decayEvery = 200
    let rates = [0, 199, 200, 201, 400, 401, 599].map { 1e-3 * recipe.decay(at: $0) }
    #expect(zip(rates, [1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]).allSatisfy { abs($0 / $1 - 1) < 1e-12 })
  }

  @Test("A cosine goes from the initial rate to 0 over both optimizers' epochs")
  func cosine() {
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.adamEpochs, recipe.learningRate, recipe.schedule) = (4, 2, 1e-3, .cosine)
    let steps = [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.5)].map { recipe.step(epoch: $0, progress: $1) }
    #expect(steps.map(\.usesAdam) == [true, true, false, false])
    let expected = [1e-3, 0.8535533906e-3, 0.5e-3, 0.03806023374e-3]
    #expect(zip(steps, expected).allSatisfy { abs($0.learningRate / $1 - 1) < 1e-9 })
  }

  @Test("Losses of the three kinds of answers equal the reference's")
  func losses() {
    let logits = Tensor([2, 1, 0.1, 0, 0, 0] as [Double], shape: [2, 3])
    let labels = Tensor([0, 2])
    let expected = [0.4170300163, 1.098612289]
    for (feedback, answers) in [(Feedback.logits, logits), (.probabilities, logits.softmax(1))] {
      let losses = feedback.losses(answers, against: labels).array(Double.self)
      #expect(zip(losses, expected).allSatisfy { abs($0 - $1) < 1e-9 })
    }
    #expect(Feedback.labels.losses(Tensor([0, 1]), against: labels).array(Double.self) == [0, 1])
  }
}
