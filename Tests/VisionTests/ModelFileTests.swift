import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("Model files") struct ModelFileTests {
  /// A network with nine tenths of each prunable weight set to zero.
  private func masked() -> Network {
    let network = Network(ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10), seed: 1)
    withoutGradient {
      for index in network.prunable {
        let weight = network.parameters[index].tensor
        weight *= Tensor.bernoulli(weight.shape, probability: 0.1, using: Generator(seed: 2))
      }
    }
    return network
  }

  @Test("of packed weights are smaller, and load the same network") func packed() throws {
    let folder = try TemporaryFolder()
    let urls = ["plain", "packed"].map { folder.url.appending(path: $0) }
    let network = masked()
    for url in urls { try ModelFile(network, classNames: ["a", "b"]).write(to: url, packsZeros: url == urls[1]) }
    let (plain, packed) = (try ModelFile(contentsOf: urls[0]), try ModelFile(contentsOf: urls[1]))
    #expect(packed.classNames == ["a", "b"])
    #expect(packed.network.architecture == network.architecture)
    for (mine, theirs) in zip(plain.network.state, packed.network.state) {
      #expect(mine.name == theirs.name && mine.tensor.isEqual(to: theirs.tensor), "\(mine.name)")
    }
    #expect(try Data(contentsOf: urls[1]).count < Data(contentsOf: urls[0]).count / 3)
  }

  @Test("with an operator that Quench lacks are refused by its name and its node's") func unknownOperator() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appending(path: "model.safetensors")
    let architecture = ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10)
    func refusal(_ change: (String) -> String) throws -> InputError? {
      let json = change(String(decoding: try JSONEncoder().encode(architecture), as: UTF8.self))
      try Safetensors.write(
        Network(architecture, seed: 1).state, metadata: ["quench.architecture": json], to: url)
      return #expect(throws: InputError.self) { try ModelFile(contentsOf: url) }
    }
    let error = try refusal { $0.replacing(#"{"relu":{}}"#, with: #"{"relu6":{}}"#, maxReplacements: 1) }
    #expect(error?.problem == "there is no operator 'relu6' in Quench")
    #expect(
      error?.location?.hasSuffix("node '\(try #require(architecture.nodes.first { $0.layer == .relu }).name)'")
        == true)
    #expect(error?.expected?.contains("relu, ") == true)
    let damaged = try refusal { $0.replacing(#""kernel":3"#, with: #""kernel":"3""#, maxReplacements: 1) }
    #expect(damaged?.problem.contains("damaged") == true && damaged?.location?.contains("node 'conv1'") == true)
    #expect(try refusal { _ in "{}" }?.problem == "the file's architecture cannot be read")
  }

  @Test(
    "of weights whose names all begin with one prefix load without it, and say so",
    arguments: ["module.", "_orig_mod.", "model.", "1.", "module.backbone."])
  func prefixes(prefix: String) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appending(path: "model.safetensors")
    let architecture = ModelName.smallCNN.architecture(input: [3, 8, 8], classes: 10)
    let network = Network(architecture, seed: 1)
    try Safetensors.write(StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) }), to: url)
    let file = try ModelFile(contentsOf: url, architecture: architecture)
    #expect(file.notes == ["all names begin with '\(prefix)', which was left out"])
    for (mine, theirs) in zip(network.state, file.network.state) { #expect(mine.tensor.isEqual(to: theirs.tensor)) }

    var other = StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) })
    other["head.weight"] = Tensor([1] as [Float])
    try Safetensors.write(other, to: url)
    let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: url, architecture: architecture) }
    #expect(error?.found == "unknown head.weight")
  }

  @Test("of weights beside mean and standard deviation normalise pixels by these, and say so") func normalisation()
    throws
  {
    let folder = try TemporaryFolder()
    let url = folder.url.appending(path: "model.safetensors")
    let architecture = ModelName.smallCNN.architecture(input: [3, 8, 8], classes: 10)
      .normalizing(mean: [0.4, 0.4, 0.4], standardDeviation: [0.3, 0.3, 0.3])
    let network = Network(architecture, seed: 1)
    for (names, prefix, unit) in [(("mu", "sigma"), "", Float(1)), (("0.mean", "0.std"), "1.", 255)] {
      var state = StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) })
      state[names.0] = Tensor([0.25, 0.5, 0.125].map { $0 * unit }, shape: [1, 3, 1, 1])
      state[names.1] = Tensor([0.5 * unit])
      try Safetensors.write(state, to: url)
      let file = try ModelFile(contentsOf: url, architecture: architecture)
      #expect(file.network.architecture.mean == [0.25, 0.5, 0.125])
      #expect(file.network.architecture.standardDeviation == [0.5, 0.5, 0.5])
      #expect(file.notes.last == "pixels are normalized by '\(names.0)' and '\(names.1)' of the file")
    }
  }

  @Test("of packed weights are refused where they hold NaN") func notANumber() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appending(path: "packed")
    let network = masked()
    withoutGradient { network.parameters[6].tensor[0].fill(with: .nan) }
    try ModelFile(network).write(to: url, packsZeros: true)
    let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: url) }
    #expect(error?.description.contains("NaN") == true)
    #expect(error?.location?.contains(network.parameters[6].name) == true)
  }
}
