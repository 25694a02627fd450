import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchExport

/// Networks that `scripts/reference_networks.py` exported, in a folder that `QUENCH_EXPORTED_NETWORKS` names.
private let exportedNetworks = ProcessInfo.processInfo.environment["QUENCH_EXPORTED_NETWORKS"]

@Suite("An imported network as an ONNX file") struct ImportedExportTests {
  private func rooms() throws -> Network { try ExportedProgram.load(data: ExportedSample.rooms()) }

  @Test("has the operators that it computes by, and its tensors under PyTorch's names") func operators() throws {
    let graph = try ONNXExport().model(of: rooms(), classNames: [], at: "model").graph
    #expect(
      graph.node.map(\.opType) == [
        "Identity", "Conv", "Relu", "Conv", "Relu", "MaxPool", "ReduceMean", "MatMul", "Relu", "Mul", "Gemm"
      ])
    #expect(
      Set(graph.initializer.map(\.name)).isSuperset(of: ["conv1.weight", "conv1.bias", "mix", "gain", "head.bias"]))
  }

  @Test("is not written where an operator has no form in ONNX, which is told by name") func unknown() throws {
    var graph = try rooms().graph
    let position = try #require(graph.nodes.firstIndex { $0.target == "aten::relu" })
    graph.nodes[position].target = "aten::sinh"
    let network = Network(Architecture(name: "net", graph: graph), seed: 0)
    let error = #expect(throws: InputError.self) {
      try ONNXExport().model(of: network, classNames: [], at: "model.onnx")
    }
    let place = "model.onnx, node '\(graph.nodes[position].name)' (aten::sinh)"
    #expect("\(try #require(error))".contains("\(place): the operator has no form in ONNX"))
  }
}

extension ONNXRuntimeTests {
  @Test("answers nearly as the network does in 8 bits", arguments: [ModelName.smallCNN, .resnet20])
  func quantized(_ model: ModelName) throws {
    let subject = Subject.zoo(model, [3, 16, 16])
    let (network, images) = (subject.network(), subject.images(64))
    let folder = try TemporaryFolder()
    try ONNXExport().write(network, calibration: images, to: folder / "model.onnx")
    let expected = withoutGradient { network(images) }
    let answers = try ONNXRuntime.answer(
      folder / "model.onnx", to: images, output: "logits", shape: expected.shape)
    let error = (answers - expected).square().mean().item() / expected.square().mean().item()
    #expect(error < 0.01 && error > 0, "\(error)")
  }

  @Test("answers as an imported network does, folded or not", arguments: [true, false])
  func imported(folding: Bool) throws {
    let network = try ExportedProgram.load(data: ExportedSample.rooms())
    try expectSameAnswers(network, on: .uniform([4, 3, 32, 32], using: Generator(seed: 1)), folding: folding)
  }

  /// Most within a hundred-thousandth of the largest logit; batch norms that are folded cost those with random statistics
  /// up to ten times as much.
  @Test(
    "answers as many imported networks do",
    .enabled(if: exportedNetworks != nil, "QUENCH_EXPORTED_NETWORKS names no folder of exported networks"))
  func manyImported() throws {
    let folder = URL(filePath: try #require(exportedNetworks))
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.pathExtension == "pt2" }.sorted { $0.path < $1.path }
    let scratch = try TemporaryFolder()
    var close = 0
    for file in files {
      let name = file.deletingPathExtension().lastPathComponent
      do {
        let network = try ExportedProgram.load(file)
        let images = Tensor.uniform([3] + network.architecture.inputShape, using: Generator(seed: 1))
        try ONNXExport().write(network, to: scratch / "model.onnx")
        let expected = withoutGradient { network(images) }
        let answers = try ONNXRuntime.answer(
          scratch / "model.onnx", to: images, output: "logits", shape: expected.shape)
        let error = (answers - expected).abs().max().item() / expected.abs().max().item()
        print("onnx \(name): \(error)")
        #expect(error <= 1e-4, "\(name)")
        if error <= 1e-5 { close += 1 }
      } catch { Issue.record("\(name): \(error)") }
    }
    #expect(close >= min(16, files.count))
  }
}
