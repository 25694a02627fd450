import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision
import TestSupport
import Testing

@testable import QuenchTorch

@Suite("A network imported from PyTorch") struct ImportedNetworkTests {
  private let folder: TemporaryFolder
  /// Not called .pt2: a program is told by its content.
  private let file: URL

  init() throws {
    folder = try TemporaryFolder()
    file = folder / "network"
    try folder.write(ExportedSample.rooms(), "network")
  }

  private var images: Tensor {
    get throws {
      Tensor((0..<3).flatMap { ExportedSample.roomsPixels($0) }, shape: [3, 3, 32, 32]).to(.float32) / 255
    }
  }

  private func isPyTorchs(_ logits: Tensor) throws -> Bool {
    let expected = Tensor(try ExportedSample.roomsLogits().flatMap(\.self), shape: [3, 10])
    return (logits.to(.float64) - expected).abs().max().item() < 1e-6
  }

  @Test("answers as PyTorch does, and is the same to the bit after it was written and read") func storing() throws {
    let read = try ModelFile(contentsOf: file)
    #expect(read.notes.count == 1 && read.notes[0].hasPrefix("no normalization is assumed"))
    let network = read.network
    #expect(try isPyTorchs(network(images)))
    #expect(network.architecture.inputShape == [3, 32, 32] && network.architecture.outputShape == [10])
    #expect(
      network.prunable.map { network.parameters[$0].name } == ["mix", "conv1.weight", "conv2.weight", "head.weight"]
    )
    #expect(!network.state.keys.contains("gain"))
    // Two convolutions, the product and the linear layer.
    #expect(network.architecture.multiplyAdds == 108 * 256 + 216 * 64 + 48 + 80)

    try ModelFile(network, classNames: ["a"]).write(to: folder / "model.safetensors")
    let again = try ModelFile(contentsOf: folder / "model.safetensors")
    #expect(again.network.architecture == network.architecture && again.classNames == ["a"])
    #expect(try again.network(images).isEqual(to: network(images)))
    let plan = InferencePlan(again.network, dtype: .float32)
    #expect(plan.dtype == .float32)
    #expect(try plan(images).isClose(to: network(images), relative: 1e-4, absolute: 1e-6))
    #expect(try again.network.copy()(images).isEqual(to: network(images)))
    let folded = again.network.foldingBatchNorm()
    #expect(!folded.graph.nodes.contains { $0.target == "aten::batch_norm" })
    #expect(try folded(images).isClose(to: network(images), relative: 1e-4, absolute: 1e-6))
  }

  @Test("computes in mixed precision under autocast, and pieces of what it takes at a time") func pieces() throws {
    let network = try ModelFile(contentsOf: file).network
    let expected = try network(images)
    let mixed = try withAutocast(.bfloat16, on: .cpu) { try network(images) }
    #expect(!mixed.isEqual(to: expected))
    #expect(mixed.to(.float32).isClose(to: expected, absolute: 0.02 * expected.abs().max().item()))
    var graph = network.graph
    graph.input.sizes[0] = 2...2
    let fixed = Network(Architecture(name: "fixed", graph: graph), seed: 0)
    for (mine, theirs) in zip(fixed.parameters + fixed.buffers, network.parameters + network.buffers) {
      withoutGradient { mine.tensor.copy(from: theirs.tensor) }
    }
    let pieces = try fixed(images)
    #expect((pieces - expected).abs().max().item() < 1e-6)
    graph.input.sizes[0] = 1...1
    let single = Network(Architecture(name: "single", graph: graph), seed: 0)
    let error = #expect(throws: InputError.self) { try single.requireTrainable() }
    #expect("\(try #require(error))".contains("single: the program takes single images"))
  }

  @Test("takes pixels as they are unless mean and deviation are given, which its file keeps") func normalization()
    throws
  {
    let normalization = try Normalization(
      mean: ChannelNumbers("0.5,0.25,0"), standardDeviation: ChannelNumbers("2"))
    let network = try ModelFile(contentsOf: file, normalization: normalization).network
    #expect(network.architecture.standardDeviation == [2, 2, 2])
    let mean = Tensor([0.5, 0.25, 0] as [Float], shape: [1, 3, 1, 1])
    #expect(try isPyTorchs(network(images * 2 + mean)))
    try ModelFile(network).write(to: folder / "model.safetensors")
    let again = try ModelFile(contentsOf: folder / "model.safetensors")
    #expect(again.notes.isEmpty && again.network.architecture.mean == [0.5, 0.25, 0])
    let two = try Normalization(mean: ChannelNumbers("1,2"), standardDeviation: nil)
    let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: file, normalization: two) }
    #expect("\(try #require(error))".contains("not as many as the channels (expected 3, found 2)"))
    #expect(throws: InputError.self) {
      try Normalization(mean: nil, standardDeviation: ChannelNumbers("1,0,1"))
    }
    #expect(ChannelNumbers("1,x") == nil)
  }

  @Test("is evaluated, and refuses images of another size before any work") func evaluation() throws {
    var work = Evaluate()
    (work.weights, work.selection.data, work.selection.limit) = (file.path, .synthetic, 40)
    let outcome = try #require(try Lab().perform(work, in: folder / "run").outcome)
    #expect(outcome.n == 40 && outcome.model == "network" && outcome.classes == 10)

    var options = DataOptions()
    (options.synthetic.side, options.synthetic.testCount) = (16, 10)
    let dataset = try Datasets.load(.synthetic, split: .test, options: options)
    let error = #expect(throws: InputError.self) {
      try ModelFile(path: file.path, model: nil, for: dataset, on: .cpu, Lab().console)
    }
    #expect("\(try #require(error))".contains("the network takes 3 x 32 x 32 images, the data have 3 x 16 x 16"))
  }

  @Test("is trained on, batch norms' statistics with it") func training() throws {
    let work = try Train(
      settings: [
        "initial": .string(file.path), "data": "synthetic", "train-limit": 64, "limit": 20, "epochs": 1,
        "batch-size": 16, "precision": "float32"
      ], name: "x")
    let run = try Lab().perform(work, in: folder / "run")
    let trained = try ModelFile(contentsOf: run.folder.artefact(ClassifierWork.modelFileName)).network
    let before = try ModelFile(contentsOf: file).network
    for name in ["conv1.weight", "mix", "norm1.weight", "norm2.running_var"] {
      #expect(try #require(trained.state[name]).isEqual(to: #require(before.state[name])) == false, "\(name)")
    }
    #expect(try #require(trained.state["norm1.num_batches_tracked"]).item() == 5)
    #expect(try #require(trained.stateWithConstants["gain"]).item() == 1.5)
  }

  @Test("takes its statistics anew from batches") func recalibration() throws {
    let network = try ModelFile(contentsOf: file).network
    let batch = try images
    let mix = try #require(network.state["mix"]).cloned()
    let mean = try #require(network.state["norm1.running_mean"])
    let weight = try #require(network.state["conv1.weight"])
    let first = withoutGradient { batch.conv2d(weight, stride: 2, padding: 1) }
    network.recalibrateBatchNorm(on: [batch])
    #expect(mean.isClose(to: first.mean([0, 2, 3]), absolute: 1e-6))
    #expect(try #require(network.state["mix"]).isEqual(to: mix))
  }

  @Test("in a damaged model file is refused in a line") func hostile() throws {
    let network = try ModelFile(contentsOf: file).network
    let good = network.graph
    func refusal(_ change: (inout OperatorGraph) -> Void) throws -> String {
      var graph = good
      change(&graph)
      let json = String(decoding: try Architecture(name: "net", graph: graph).json, as: UTF8.self)
      let url = folder / "hostile.safetensors"
      try Safetensors.write(network.stateWithConstants, metadata: ["quench.architecture": json], to: url)
      let error = #expect(throws: InputError.self) { try ModelFile(contentsOf: url) }
      return "\(try #require(error))".replacing(url.path, with: "FILE")
    }
    #expect(
      try refusal { $0.nodes[0].target = "aten::from_file" }.hasPrefix(
        "FILE, node 'conv2d' (aten::from_file): the operator is unknown"))
    #expect(try refusal { $0.output = .init(99_999) }.contains("a value is not among the graph's"))
    #expect(try refusal { $0.nodes[3].arguments[0].operand = .value(.init(-1)) }.contains("a value is not among"))
    #expect(try refusal { $0.nodes.swapAt(0, 1) }.contains("reads a value before it is computed"))
    #expect(try refusal { $0.held[1].name = $0.held[0].name }.contains("a name occurs twice"))
    #expect(try refusal { $0.held[0].shape = [1 << 20, 1 << 20] }.contains("its tensors are too large"))
    #expect(try refusal { $0.held[0].shape = [.max, 2] }.contains("a tensor has the shape"))
    #expect(try refusal { $0.held[0].shape = [7, 8] }.contains("the weights are not those of net"))
    #expect(try refusal { $0.outputShape[0] = 0 }.contains("its output has the shape [0]"))
    #expect(try refusal { $0.outputShape[0] = 11 }.contains("the output has another shape than the network says"))
    #expect(try refusal { $0.input.example = [2, 3] }.contains("its input has the shape [2, 3]"))
    #expect(try refusal { $0.nodes[0].multiplyAdds = .max }.contains("it is too large"))
    #expect(try refusal { $0.held[0].name = "other" }.contains("the weights are not those of net"))
    #expect(
      try refusal { graph in
        let padding = graph.nodes[0].arguments.firstIndex { $0.name == "padding" } ?? 0
        graph.nodes[0].arguments[padding].operand = .integers([-9, -9])
      }.contains("LibTorch does not compute the operator"))
    // The constant's tensor is needed too.
    let url = folder / "hostile.safetensors"
    let json = String(decoding: try network.architecture.json, as: UTF8.self)
    try Safetensors.write(network.state, metadata: ["quench.architecture": json], to: url)
    #expect(throws: InputError.self) { try ModelFile(contentsOf: url) }
  }

  @Test("keeps what is no finite number among its arguments") func infinities() throws {
    var graph = try ModelFile(contentsOf: file).network.graph
    graph.nodes[0].arguments.append(.init("made up", .reals([-.infinity, .nan, 0.1])))
    let json = try Architecture(name: "net", graph: graph).json
    let read = try Architecture(json: json, at: "x").graph
    guard case .reals(let values)? = read.nodes[0]["made up"] else { throw CocoaError(.coderInvalidValue) }
    #expect(values[0] == -.infinity && values[1].isNaN && values[2] == 0.1)
  }
}
