import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchTorch
@testable import QuenchVision

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
    let layers = LayerList(
      name: "made up",
      nodes: [
        .init(name: "input", layer: .input(shape: [1, 4, 4]), inputs: []),
        .init(name: "conv1", layer: .conv2d(Conv2d(inputs: 1, outputs: 2, kernel: 3)), inputs: [0]),
        .init(name: "relu1", layer: .relu, inputs: [1])
      ])
    func refusal(_ change: (String) -> String) throws -> InputError? {
      let json = change(String(decoding: try JSONEncoder().encode(layers), as: UTF8.self))
      try Safetensors.write(
        StateDictionary([("conv1.weight", .zeros([2, 1, 3, 3]))]), metadata: ["quench.architecture": json], to: url)
      return #expect(throws: InputError.self) { try ModelFile(contentsOf: url) }
    }
    let error = try refusal { $0.replacing(#"{"relu":{}}"#, with: #"{"relu6":{}}"#, maxReplacements: 1) }
    #expect(error?.problem == "there is no operator 'relu6' in Quench")
    #expect(error?.location?.hasSuffix("node 'relu1'") == true)
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
    let named = try NamedNetwork(.smallCNN, input: [3, 8, 8], classes: 10)
    let network = Network(try named.architecture(), seed: 1)
    try Safetensors.write(StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) }), to: url)
    let file = try ModelFile(contentsOf: url, named: named)
    #expect(file.notes.dropLast() == ["all names begin with '\(prefix)', which was left out"])
    for (mine, theirs) in zip(network.state, file.network.state) { #expect(mine.tensor.isEqual(to: theirs.tensor)) }

    var other = StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) })
    other["head.weight"] = Tensor([1] as [Float])
    try Safetensors.write(other, to: url)
    let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: url, named: named) }
    #expect(error?.found == "unknown head.weight")
  }

  @Test("of weights beside mean and standard deviation normalise pixels by these, and say so") func normalisation()
    throws
  {
    let folder = try TemporaryFolder()
    let url = folder.url.appending(path: "model.safetensors")
    var named = try NamedNetwork(.smallCNN, input: [3, 8, 8], classes: 10)
    named.assumed = try Normalization(
      mean: ChannelNumbers("0.4,0.4,0.4"), standardDeviation: ChannelNumbers("0.3,0.3,0.3"))
    let network = Network(try named.architecture(), seed: 1)
    for (names, prefix, unit) in [(("mu", "sigma"), "", Float(1)), (("0.mean", "0.std"), "1.", 255)] {
      var state = StateDictionary(network.state.map { (prefix + $0.name, $0.tensor) })
      state[names.0] = Tensor([0.25, 0.5, 0.125].map { $0 * unit }, shape: [1, 3, 1, 1])
      state[names.1] = Tensor([0.5 * unit])
      try Safetensors.write(state, to: url)
      let file = try ModelFile(contentsOf: url, named: named)
      #expect(file.network.architecture.mean == [0.25, 0.5, 0.125])
      #expect(file.network.architecture.standardDeviation == [0.5, 0.5, 0.5])
      #expect(file.notes.last == "pixels are normalized by '\(names.0)' and '\(names.1)' of the file")
    }
  }

  /// A file of a small network's weights, changed.
  private func read(_ change: (inout StateDictionary) -> Void) throws -> (file: ModelFile, network: Network) {
    let folder = try TemporaryFolder()
    let named = try NamedNetwork(.smallCNN, input: [3, 8, 8])
    let network = Network(try named.architecture(), seed: 1)
    var state = network.state
    change(&state)
    try Safetensors.write(state, to: folder / "weights.safetensors")
    return (try ModelFile(contentsOf: folder / "weights.safetensors", named: named), network)
  }

  @Test("of weights with masks, lengths or singular vectors beside them compute the weights, and say so")
  func parametrizations() throws {
    let name = "conv2.weight"
    func weight(_ result: (file: ModelFile, network: Network)) throws -> (Tensor, Tensor) {
      (try #require(result.file.network.state[name]), try #require(result.network.state[name]))
    }
    let mask = Tensor.bernoulli([32, 16, 3, 3], probability: 0.5, using: Generator(seed: 3))
    let masked = try read {
      $0[name + "_orig"] = $0[name]
      $0[name + "_mask"] = mask
      $0[name] = nil
    }
    #expect(masked.file.notes[0] == "1 weight multiplied by the masks of torch.nn.utils.prune that lie beside them")
    #expect(try weight(masked).0.isEqual(to: weight(masked).1 * mask))

    for names in [["_g", "_v"], ["original0", "original1"]] {
      let stem = names[0] == "_g" ? name : "conv2.parametrizations.weight."
      let normed = try read {
        $0[stem + names[0]] = Tensor.ones([32, 1, 1, 1]) * 2
        $0[stem + names[1]] = $0[name].map { $0 * 7 }
        $0[name] = nil
      }
      let lengths = try weight(normed).0.norm(2, [1, 2, 3])
      #expect(lengths.isClose(to: Tensor.ones([32]) * 2, relative: 1e-5))
      #expect(normed.file.notes[0].contains("weight norm"))
    }
    let spectral = try read {
      let (left, right) = (Tensor.zeros([32]), Tensor.zeros([144]))
      left[3].fill(with: 1)
      right[5].fill(with: 1)
      ($0[name + "_orig"], $0[name + "_u"], $0[name + "_v"]) = ($0[name], left, right)
      $0[name] = nil
    }
    let (found, original) = try weight(spectral)
    let largest = original.reshaped([32, 144])[3, 5].item()
    #expect(found.isClose(to: original / largest, relative: 1e-5))
    #expect(spectral.file.notes[0].contains("spectral norm"))
  }

  @Test("of a named network have as many classes as the weights, and assume a normalization aloud") func classes()
    throws
  {
    let (file, _) = try read {
      $0["fc.weight"] = Tensor.zeros([3, 64])
      $0["fc.bias"] = Tensor.zeros([3])
      $0["n_averaged"] = Tensor([5])
    }
    #expect(file.network.architecture.outputShape == [3])
    #expect(file.notes.first == "'n_averaged' was left out: the network never reads it")
    #expect(file.notes.last?.hasPrefix("no normalization is assumed") == true)
  }

  @Test("of another form of the network, or in another collection's names, load as that; others are named")
  func forms() throws {
    let folder = try TemporaryFolder()
    let url = folder / "weights.safetensors"
    let network = Network(ModelName.cifarResNet20.architecture(input: [3, 32, 32], classes: 10), seed: 1)
    try Safetensors.write(
      StateDictionary(
        network.state.map {
          ($0.name.replacing("fc.", with: "linear.").replacing(".downsample.", with: ".shortcut."), $0.tensor)
        }), to: url)
    let file = try ModelFile(contentsOf: url, named: NamedNetwork(.resnet20))
    #expect(file.network.architecture.name == "cifar-resnet20")
    #expect(
      file.notes.dropLast() == [
        "'linear' in names is read as 'fc'", "'shortcut' in names is read as 'downsample'",
        "the weights are those of 'cifar-resnet20'"
      ])
    for named in [try NamedNetwork(.resnet32), nil] {
      let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: url, named: named) }
      #expect(error?.remedy?.hasSuffix("it might be cifar-resnet20") == true)
    }
  }

  @Test("keep what pictures are resized to") func resize() throws {
    let folder = try TemporaryFolder()
    let network = Network(ModelName.smallCNN.architecture(input: [3, 8, 8], classes: 2), seed: 1)
    try ModelFile(network, resize: 10).write(to: folder / "model")
    var file = try ModelFile(contentsOf: folder / "model")
    #expect(file.resize == 10)
    var pictures = PictureSettings()
    pictures.channels = 3
    #expect(
      try file.fit(to: pictures, at: "model") == PictureFit(channels: 3, height: 8, width: 8, shorterSide: 10))
    (pictures.resize, pictures.crop) = (12, PictureSides("6"))
    pictures.imageSize = PictureSides("8")
    #expect(try file.fit(to: pictures, at: "model").shorterSide == 16)
    pictures.imageSize = PictureSides("9")
    #expect(inputError { try file.fit(to: pictures, at: "model") }?.expected == "3 x 8 x 8")
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
