import Foundation
import QuenchTorch
import TestSupport
import Testing

@testable import QuenchVision

@Suite("An inference plan") struct InferencePlanTests {
  @Test("computes the same where other nodes stand between a convolution and what follows it") func crossed() {
    var net = ArchitectureBuilder(input: [2, 4, 4])
    let a = net.conv("a", net.input, 2)
    let b = net.conv("b", net.input, 2)
    let c = net.relu("c", a)
    let d = net.add("d", b, a)
    _ = net.add("e", d, c)
    let network = Network(net.build("crossed"), seed: 1)
    let images = Tensor.uniform([3, 2, 4, 4], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    #expect(InferencePlan(network, dtype: .float32)(images).isClose(to: expected, relative: 1e-4, absolute: 1e-5))
  }

  @Test("answers NaN where the network does, and takes ReLU into convolutions where there can be none")
  func undefined()
    throws
  {
    let images = Tensor.uniform([4, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let architecture = ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10)
    let sound = Network(architecture, seed: 1)
    let bounds = OutputBounds(of: sound.foldingBatchNorm(), pixels: 1)
    #expect(bounds.bounds.count { $0 < 1e6 } > 20 && bounds.bounds.allSatisfy { $0 < 1e6 || $0 == .infinity })
    #expect(bounds.guarded.isEmpty)
    var changed = sound.state
    // Infinities of both signs meet in the second convolution.
    changed["bn1.weight"] = try #require(changed["bn1.weight"]) * 1e20
    changed["conv2.weight"] = try #require(changed["conv2.weight"]) * 1e20
    var negative = sound.state
    negative["bn1.running_var"] = try #require(negative["bn1.running_var"]) * -1
    for state in [changed, negative] {
      let network = Network(architecture, seed: 1)
      try network.load(state, from: "test")
      network.isTraining = false
      #expect(withoutGradient { network(images) }.isFinite().any() == false)
      for dtype in [DType.float32, .bfloat16] {
        #expect(InferencePlan(network, dtype: dtype)(images).isFinite().any() == false)
      }
    }
  }

  @Test(
    "a deep network keeps its fused steps, and answers as it does by itself where activations grow out of bounds")
  func deep() throws {
    let network = Network(ModelName.resnet110.architecture(input: [3, 16, 16], classes: 10), seed: 1)
    network.isTraining = false
    let folded = network.foldingBatchNorm()
    let bounds = OutputBounds(of: folded, pixels: 1)
    let values = folded.graph.nodes.flatMap(\.defines).map(\.index)
    #expect(values.allSatisfy(bounds.isFinite))
    #expect(!bounds.guarded.isEmpty)
    #expect(bounds.guarded.count < 60, "\(bounds.guarded.count) of \(values.count)")
    let plan = InferencePlan(network, batchSize: 2, dtype: .float32)
    for scale in [1.0, 1e20] {
      let images = Tensor.uniform([2, 3, 16, 16], 0, 1, using: Generator(seed: 1)) * scale
      let expected = withoutGradient { network(images) }
      let largest: Double = expected.abs().max().item()
      #expect(((plan(images) - expected).abs().max().item() as Double) <= 1e-4 * largest)
    }
  }

  @Test("computes in bfloat16 also where the processor has to imitate it") func bfloat16() {
    let network = Network(ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10), seed: 1)
    let images = Tensor.uniform([4, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    let logits = InferencePlan(network, dtype: .bfloat16)(images)
    #expect(logits.dtype == .float32)
    #expect(logits.isClose(to: expected, relative: 0.05, absolute: 0.05))
  }

  /// A network of Quench's own with the ReLU after its first convolution replaced.
  private func activated(_ target: String, _ arguments: [OperatorGraph.Argument] = []) -> Network {
    let network = Network(ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 10), seed: 1)
    var graph = network.graph
    for position in graph.nodes.indices where graph.nodes[position].target == "aten::relu" {
      graph.nodes[position].target = target
      graph.nodes[position].arguments += arguments
    }
    return rewritten(network, as: graph)
  }

  /// A network of another graph with the tensors of `network`.
  private func rewritten(_ network: Network, as graph: OperatorGraph) -> Network {
    let changed = Network(Architecture(name: "changed", graph: graph), seed: 1)
    withoutGradient {
      for (mine, theirs) in zip(changed.parameters + changed.buffers, network.parameters + network.buffers) {
        mine.tensor.copy(from: theirs.tensor)
      }
    }
    return changed
  }

  @Test(
    "takes every activation into its convolution, and writes over no tensor that others read",
    arguments: [
      ("aten::silu", []), ("aten::gelu", []), ("aten::gelu", [.init("approximate", .string("tanh"))]),
      ("aten::hardswish", []), ("aten::hardsigmoid", []), ("aten::relu6", []), ("aten::hardtanh", []),
      ("aten::clamp", [.init("min", .real(-0.1)), .init("max", .real(0.2))]), ("aten::sigmoid", []),
      ("aten::leaky_relu", [.init("negative_slope", .real(0.2))]), ("aten::tanh", []), ("aten::relu_", []),
      ("aten::hardswish_", [])
    ] as [(String, [OperatorGraph.Argument])])
  func activations(_ target: String, _ arguments: [OperatorGraph.Argument]) throws {
    let network = activated(target, arguments)
    let images = Tensor.uniform([3, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    let plan = InferencePlan(network, dtype: .float32)
    #expect((plan(images) - expected).abs().max().item() <= 1e-4 * expected.abs().max().item())
    #expect(plan(images).isEqual(to: plan(images)))
    guard FusedOperators.areOffered(for: .float32, on: .cpu) else { return }
    let planned = try #require(
      PlannedNetwork(network.foldingBatchNorm(), batchSize: 2, dtype: .float32)?.network.graph)
    #expect(!planned.nodes.contains { FusedActivation($0) != nil || $0.target.hasSuffix("_") })
  }

  @Test("knows that what is written over under another name for the same memory is nobody else's") func aliases()
    throws
  {
    let plain = activated("aten::relu_")
    var graph = plain.graph
    let position = try #require(graph.nodes.firstIndex { $0.target == "aten::relu_" })
    var alias = graph.nodes[position]
    let name = graph.newValue("alias")
    (alias.target, alias.results) = ("aten::alias", [.one(name)])
    graph.nodes[position].set("self", .value(name))
    graph.nodes.insert(alias, at: position)
    let simpler = try #require(graph.simplified())
    #expect(!simpler.nodes.contains { $0.target == "aten::alias" || $0.target.hasSuffix("_") })
    let network = rewritten(plain, as: graph)
    let images = Tensor.uniform([3, 1, 8, 8], 0, 1, using: Generator(seed: 1))
    let expected = withoutGradient { network(images) }
    let largest: Double = expected.abs().max().item()
    #expect((InferencePlan(network, dtype: .float32)(images) - expected).abs().max().item() <= 1e-4 * largest)
    #expect(expected.isEqual(to: withoutGradient { plain(images) }))
  }

  @Test("of a network whose operators choose types computes in float32, as does one with tensors seen twice")
  func types() throws {
    var network = activated("aten::relu")
    var graph = network.graph
    let position = try #require(graph.nodes.firstIndex { $0.target == "aten::relu" })
    graph.nodes[position].target = "aten::to.dtype"
    graph.nodes[position].arguments.append(.init("dtype", .dtype(.float32)))
    network = Network(Architecture(name: "types", graph: graph), seed: 1)
    #expect(InferencePlan(network, dtype: .bfloat16).dtype == .float32)
  }
}

@Suite("Linear layers in an inference plan") struct LinearPlanTests {
  /// A block of ConvNeXt (Liu et al. 2022, figure 4) between its input and an average, on 6 channels.
  private func block() -> Network {
    var names = ["input"]
    func value(_ name: String) -> OperatorGraph.Value {
      names.append(name)
      return .init(names.count - 1)
    }
    var held: [OperatorGraph.Held] = []
    func hold(_ name: String, _ shape: [Int]) -> OperatorGraph.Operand {
      let value = value(name)
      held.append(.init(kind: .parameter, name: name, value: value, shape: shape, dtype: .float32))
      return .value(value)
    }
    var nodes: [OperatorGraph.Node] = []
    func call(_ target: String, _ arguments: KeyValuePairs<String, OperatorGraph.Operand>) -> OperatorGraph.Operand
    {
      let result = value("node \(nodes.count)")
      nodes.append(
        .init(
          name: "node \(nodes.count)", target: target, arguments: arguments.map { .init($0.key, $0.value) },
          results: [.one(result)]))
      return .value(result)
    }
    let input = OperatorGraph.Operand.value(.init(0))
    var x = call(
      "aten::conv2d",
      [
        "input": input, "weight": hold("depthwise", [6, 1, 3, 3]), "bias": hold("bias", [6]),
        "padding": .integers([1, 1]), "groups": .integer(6)
      ])
    x = call("aten::permute", ["self": x, "dims": .integers([0, 2, 3, 1])])
    x = call("aten::layer_norm", ["input": x, "normalized_shape": .integers([6])])
    x = call("aten::linear", ["input": x, "weight": hold("wide", [12, 6]), "bias": hold("wide bias", [12])])
    x = call("aten::gelu", ["self": x])
    x = call("aten::linear", ["input": x, "weight": hold("narrow", [6, 12]), "bias": hold("narrow bias", [6])])
    x = call("aten::permute", ["self": x, "dims": .integers([0, -1, 1, 2])])
    x = call("aten::mul.Tensor", ["self": hold("scale", [6, 1, 1]), "other": x])
    x = call("aten::add.Tensor", ["self": x, "other": input])
    x = call("aten::mean.dim", ["self": x, "dim": .integers([2, 3])])
    guard case .value(let output) = x else { preconditionFailure("a call has a result") }
    let graph = OperatorGraph(
      valueNames: names,
      input: .init(
        value: .init(0), dtype: .float32, sizes: [1...64, 6...6, 5...5, 4...4], example: [1, 6, 5, 4]),
      held: held, nodes: nodes, output: output, outputShape: [6])
    let network = Network(Architecture(name: "block", graph: graph), seed: 1)
    let generator = Generator(seed: 1)
    withoutGradient {
      for entry in network.parameters {
        entry.tensor.copy(from: .uniform(entry.tensor.shape, -1, 1, using: generator))
      }
    }
    return network
  }

  @Test("take in GELU, a scale for each channel and, behind a permutation, the sum with the block's input")
  func fused() throws {
    let network = block()
    let images = Tensor.uniform([3, 6, 5, 4], using: Generator(seed: 2))
    let expected = withoutGradient { network(images) }
    let plan = InferencePlan(network, batchSize: 3, dtype: .float32)
    #expect((plan(images) - expected).abs().max().item() <= 1e-4 * expected.abs().max().item())
    guard FusedOperators.areOffered(for: .float32, on: .cpu) else { return }
    let folded = network.foldingScales()
    let planned = try #require(PlannedNetwork(folded, batchSize: 2, dtype: .float32)?.network.graph)
    #expect(
      planned.nodes.map(\.target) == [
        FusedOperators.convolution, "aten::permute", "aten::layer_norm", FusedOperators.linear, "aten::permute",
        FusedOperators.linearAdd, "aten::permute", "aten::mean.dim"
      ])
  }

  @Test("are MKL's where they are wide, also in batches of another size than weights were packed for") func wide() {
    var net = ArchitectureBuilder(input: [512, 1, 1])
    _ = net.linear("wide", net.globalAverage(net.input), 520)
    let network = Network(net.build("wide"), seed: 1)
    let plan = InferencePlan(network, batchSize: 4, dtype: .float32)
    for count in [4, 3] {
      let images = Tensor.uniform([count, 512, 1, 1], using: Generator(seed: 2))
      let expected = withoutGradient { network(images) }
      #expect((plan(images) - expected).abs().max().item() <= 1e-4 * expected.abs().max().item())
    }
  }
}

@Suite("Inference plans of many exported networks") struct ExportedPlanTests {
  @Test(
    "answer as the networks do",
    .enabled(if: NetworkFolder.exported.isPresent, "QUENCH_EXPORTED_NETWORKS names no folder of exported networks"))
  func folder() throws {
    for file in NetworkFolder.exported.files {
      let name = file.deletingPathExtension().lastPathComponent
      let network = try ExportedProgram.load(file)
      let images = Tensor.uniform([3] + network.architecture.inputShape, using: Generator(seed: 1))
      let expected = withoutGradient { network(images) }
      let largest: Double = expected.abs().max().item()
      let plan = InferencePlan(network, batchSize: 3, dtype: .float32)
      let error = (plan(images) - expected).abs().max().item() / largest
      let short = InferencePlan(network, batchSize: 3, dtype: .bfloat16)
      let rough = (short(images) - expected).abs().max().item() / largest
      print("plan \(name): \(error); \(short.dtype) \(rough)")
      #expect(error <= 1e-4, "\(name)")
    }
  }
}
