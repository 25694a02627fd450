import Foundation
import Support
import TestSupport
import Testing
import Torch
import Vision

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
