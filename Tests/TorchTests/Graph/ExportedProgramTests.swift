import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchTorch

@Suite("Programs of torch.export") struct ExportedProgramTests {
  static let names = ["tiny", "attention", "modes"]

  @Test("give PyTorch's logits and input gradients, for any batch size", arguments: names)
  func logits(_ name: String) throws {
    let fixture = try ExportedFixture.load(name)
    let network = try ExportedProgram.load(data: fixture.archive())
    let images = try fixture.figure("images").requiringGrad()
    let logits = try network.evaluate(images)
    #expect(try #require(fixture.figures["logits"]).matches(logits))
    let gradient = gradients(of: [logits], withRespectTo: [images], seeds: [try fixture.figure("seed")])[0]
    #expect(try #require(fixture.figures["gradient"]).matches(try #require(gradient)))
    let first = try network.evaluate(images[0..<1])
    #expect(first.shape == [1, 3])
    #expect((first - logits[0..<1]).abs().max().item() < 1e-6)
  }

  @Test("train as module.train() does: batch statistics, running ones updated", arguments: names)
  func training(_ name: String) throws {
    let fixture = try ExportedFixture.load(name)
    let network = try ExportedProgram.load(data: fixture.archive())
    let images = try fixture.figure("images")
    let before = try network.evaluate(images)
    network.isTraining = true
    let logits = try withoutGradient { try network.evaluate(images) }
    #expect(try #require(fixture.figures["training.logits"]).matches(logits))
    for entry in network.buffers where entry.isSaved {
      #expect(try #require(fixture.figures["state.\(entry.name)"]).matches(entry.tensor), "\(entry.name)")
    }
    #expect((name == "tiny") == ((logits - before).abs().max().item() > 1e-4))
  }

  @Test("leave the running statistics alone where that is wanted") func statistics() throws {
    let fixture = try ExportedFixture.load("tiny")
    let network = try ExportedProgram.load(data: fixture.archive())
    network.isTraining = true
    let before = network.buffers.map { $0.tensor.array(Double.self) }
    let logits = try network.evaluate(try fixture.figure("images"), updatingStatistics: false)
    #expect(network.buffers.map { $0.tensor.array(Double.self) } == before)
    #expect(try #require(fixture.figures["training.logits"]).matches(logits))
  }

  @Test("drop by a seed that can be set") func dropout() throws {
    let fixture = try ExportedFixture.load("tiny")
    let network = try ExportedProgram.load(data: fixture.archive())
    var graph = network.graph
    let node = try #require(graph.nodes.firstIndex { $0.target == "aten::dropout" })
    let argument = try #require(graph.nodes[node].arguments.firstIndex { $0.name == "p" })
    graph.nodes[node].arguments[argument].operand = .real(0.5)
    let dropping = Network(Architecture(name: "dropping", graph: graph), seed: 0)
    try dropping.load(network.state, from: "tiny")
    dropping.isTraining = true
    let images = try fixture.figure("images")
    func logits(_ seed: UInt64) -> Tensor {
      Generator.seedOperators(seed)
      return withoutGradient { dropping(images, updatingStatistics: false) }
    }
    let first = logits(1)
    #expect(logits(1).isEqual(to: first))
    #expect((2..<8).contains { !logits($0).isEqual(to: first) })
  }

  @Test("carry PyTorch's names, modules and counts") func structure() throws {
    let network = try ExportedProgram.load(data: ExportedFixture.load("tiny").archive())
    let graph = network.graph
    #expect(
      network.parameters.map(\.name) == [
        "conv.weight", "norm.weight", "norm.bias", "mix.weight", "mix.bias", "head.weight", "head.bias"
      ])
    #expect(network.buffers.map(\.name) == ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"])
    #expect(network.state.keys == network.parameters.map(\.name) + network.buffers.map(\.name))
    #expect(graph.input.sizes == [1...512, 1...1, 4...4, 4...4] && graph.outputShape[0] == 3)
    #expect(graph.nodes.map(\.module).filter { !$0.isEmpty } == ["conv", "norm", "mix", "drop", "head"])
    #expect(graph.parameterCount == 18 + 4 + 6 + 9)
    try network.measure()
    #expect(network.architecture.multiplyAdds == 18 * 16 + 4 * 16 + 6)
    #expect(graph.operatorCounts.first?.target == "aten::conv2d" && graph.operatorCounts.first?.count == 2)
  }

  @Test("keep buffers that the state leaves out, and count attention") func attention() throws {
    let network = try ExportedProgram.load(data: ExportedFixture.load("attention").archive())
    #expect(
      network.buffers.filter { !$0.isSaved }.map(\.name) == ["scale"] && !network.state.keys.contains("scale"))
    // Patches; queries, keys and values; two heads of 5 x 5 products of 2 + 2; the head.
    try network.measure()
    #expect(network.architecture.multiplyAdds == 4 * 16 + 5 * 4 * 12 + 2 * 5 * 5 * 4 + 12)
  }

  @Test("give tied weights all their names") func tied() throws {
    let fixture = try ExportedFixture.load("tiny")
    guard case .text(let text)? = fixture.entries["data/weights/model_weights_config.json"] else {
      throw CocoaError(.fileReadCorruptFile)
    }
    var payloads = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: [String: Any]])
    let head = payloads["config"]?["head.weight"]
    payloads["config"]?["tail.weight"] = head
    var tied = fixture
    tied.entries["data/weights/model_weights_config.json"] = .text(
      String(decoding: try JSONSerialization.data(withJSONObject: payloads), as: UTF8.self))
    let network = try ExportedProgram.load(data: tied.archive())
    #expect(
      network.graph.held.filter { !$0.otherNames.isEmpty }.map(\.otherNames) == [
        ["tail.weight"]
      ])
    let tail = try #require(network.state["tail.weight"])
    #expect(try #require(network.state["head.weight"]).sharesStorage(with: tail) && network.parameters.count == 7)
  }

  @Test("compute with other weights in place of the network's") func weights() throws {
    let fixture = try ExportedFixture.load("tiny")
    let network = try ExportedProgram.load(data: fixture.archive())
    let zeros = network.parameters.map { $0.tensor.zerosLike() }
    #expect(network(try fixture.figure("images"), weights: zeros).abs().max().item() == 0)
  }

  @Test("are read from the layout of PyTorch before 2.9 too", arguments: names) func older(_ name: String) throws {
    let fixture = try ExportedFixture.load(name)
    let network = try ExportedProgram.load(data: fixture.olderArchive())
    #expect(try #require(fixture.figures["logits"]).matches(network(try fixture.figure("images"))))
  }

  @Test("are told from other files by content") func found() throws {
    let folder = try TemporaryFolder()
    try folder.write(ExportedFixture.load("tiny").archive(), "network")
    try folder.write(Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor()))).data, "weights.pt2")
    try folder.write(Data("text".utf8), "text.pt2")
    #expect(try ExportedProgram.isFound(at: folder / "network"))
    #expect(try !ExportedProgram.isFound(at: folder / "weights.pt2"))
    #expect(try !ExportedProgram.isFound(at: folder / "text.pt2"))
  }

  @Test("leave nothing behind") func leaks() throws {
    let fixture = try ExportedFixture.load("attention")
    let images = try fixture.figure("images")
    let network = try ExportedProgram.load(data: fixture.archive())
    let freed = withoutGradient {
      Result { () throws(InputError) -> Int in
        var mostAlive = 0
        _ = try network.evaluate(images, updatingStatistics: false) { _, values in
          mostAlive = max(mostAlive, values.tensorCount)
        }
        return mostAlive
      }
    }
    // Ten held tensors, the images, and never more than five others: the three parts of attention and what is added.
    #expect(try freed.get() <= 16)
  }

  @Test("move between devices as far as there are any") func devices() throws {
    let fixture = try ExportedFixture.load("attention")
    let network = try ExportedProgram.load(data: fixture.archive())
    for device in Device.available {
      network.moveTensors(to: device)
      let logits = try network.evaluate(try fixture.figure("images").to(device))
      #expect(try #require(fixture.figures["logits"]).matches(logits.to(.cpu), tolerance: 1e-4))
      #expect(network.device == device && logits.device == device)
    }
  }
}
