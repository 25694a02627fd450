import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import SwiftProtobuf
import TestSupport
import Testing

@testable import QuenchExport

@Suite("An ONNX file") struct ONNXExportTests {
  /// The model that is written for `network`, decoded again.
  private func model(
    _ network: Network, folding: Bool = true, classNames: [String] = []
  ) throws -> ONNXModelProto {
    let folder = try TemporaryFolder()
    var export = ONNXExport()
    export.foldsBatchNorm = folding
    try export.write(network, classNames: classNames, to: folder / "model.onnx")
    return try ONNXModelProto(serializedBytes: Data(contentsOf: folder / "model.onnx"))
  }

  @Test("says what goes in and what comes out") func interface() throws {
    let model = try model(Subject.zoo(.resnet20, [1, 28, 28]).network(), classNames: ["shirt", "\"bag\""])
    #expect(model.irVersion == 8)
    #expect(model.opsetImport.map(\.version) == [17])
    #expect(model.opsetImport.map(\.domain) == [""])
    #expect(model.producerName == "quench")
    #expect(model.graph.name == "resnet20")
    for (values, name, shape) in [
      (model.graph.input, "images", [1, 28, 28] as [Int64]), (model.graph.output, "logits", [10] as [Int64])
    ] {
      #expect(values.map(\.name) == [name])
      let type = values[0].type.tensorType
      #expect(type.elemType == 1)
      #expect(type.shape.dim.first?.dimParam == "batch")
      #expect(type.shape.dim.dropFirst().map(\.dimValue) == shape)
    }
    #expect(model.metadataProps.map(\.key) == ["quench.classes"])
    #expect(model.metadataProps.map(\.value) == [#"["shirt","\"bag\""]"#])
  }

  @Test("without folding holds every weight and statistic under its own name, bit by bit") func weights() throws {
    let network = Subject.zoo(.smallCNN, [3, 8, 8]).network()
    let graph = try model(network, folding: false).graph
    let expected = network.state.filter { $0.tensor.dtype.isFloatingPoint }
    let constants = graph.initializer.filter { !$0.name.contains("/") }
    #expect(constants.map(\.name) == expected.map(\.name))
    for (constant, (name, tensor)) in zip(constants, expected) {
      #expect(constant.dims == tensor.shape.map(Int64.init), "\(name)")
      #expect(constant.dataType == 1)
      #expect(constant.rawData == tensor.data(), "\(name)")
    }
    let norms = graph.node.filter { $0.opType == "BatchNormalization" }
    #expect(norms.map(\.name) == ["bn1", "bn2", "bn3", "bn4"])
    #expect(norms[0].input.dropFirst() == ["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"])
    #expect(norms[0].attribute.map(\.f) == [1e-5])
  }

  @Test("with folding holds a batch norm only where no layer before it takes it in") func folding() throws {
    let folded = try model(Subject.zoo(.resnet20, [3, 16, 16]).network()).graph
    #expect(!folded.node.contains { $0.opType == "BatchNormalization" })
    #expect(folded.node.filter { $0.opType == "Conv" }.allSatisfy { $0.input.count == 3 })
    #expect(folded.initializer.contains { $0.name == "layer3.2.conv2.bias" })
    let wide = try model(Subject.zoo(.wideResNet16x4, [3, 8, 8]).network()).graph
    #expect(wide.node.filter { $0.opType == "BatchNormalization" }.count == 6)
  }

  @Test("normalises images before all else") func normalization() throws {
    let graph = try model(Subject.zoo(.smallCNN, [3, 8, 8]).network()).graph
    #expect(graph.node.prefix(2).map(\.opType) == ["Sub", "Mul"])
    #expect(graph.node[0].input == ["images", "input/mean"])
    let mean = try #require(graph.initializer.first { $0.name == "input/mean" })
    #expect(mean.dims == [3, 1, 1])
    #expect(mean.rawData == Tensor([Float(0.49), 0.48, 0.45]).data())
  }

  @Test(
    "makes each value once, before it is read", arguments: Subject.unusual + [.zoo(.wideResNet16x4, [3, 8, 8])],
    [true, false])
  func wellFormed(_ subject: Subject, folding: Bool) throws {
    let graph = try model(subject.network(), folding: folding).graph
    var known = Set(graph.initializer.map(\.name))
    #expect(known.count == graph.initializer.count)
    for name in graph.input.map(\.name) { #expect(known.insert(name).inserted) }
    for node in graph.node {
      for name in node.input { #expect(known.contains(name), "\(node.name) reads \(name)") }
      for name in node.output { #expect(known.insert(name).inserted, "\(name) is made twice") }
    }
    #expect(graph.output.map(\.name) == [subject.architecture.outputShape.count == 1 ? "logits" : "output"])
    #expect(known.contains(graph.output[0].name))
  }

  @Test("holds float32 whatever the network computes in, and leaves the network alone") func precision() throws {
    let network = Subject.zoo(.smallCNN, [1, 8, 8]).network()
    network.convert(to: .bfloat16)
    let graph = try model(network, folding: false).graph
    let weight = try #require(graph.initializer.first { $0.name == "conv1.weight" })
    #expect(weight.rawData == network.parameters[0].tensor.to(.float32).data())
    #expect(network.dtype == .bfloat16)
  }

  @Test("is not written for weights that are not finite") func notANumber() throws {
    let folder = try TemporaryFolder()
    let network = Subject.zoo(.smallCNN, [1, 8, 8]).network()
    withoutGradient { network.parameters[3].tensor.fill(with: .nan) }
    let error = #expect(throws: InputError.self) { try ONNXExport().write(network, to: folder / "model.onnx") }
    #expect(error?.description.contains("conv2.weight") == true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test("is not written where the format cannot hold it, nor is more memory taken for it") func tooLarge() throws {
    let folder = try TemporaryFolder()
    var export = ONNXExport()
    #expect(export.largestModel == 2_147_483_647)
    export.largestModel = 10_000
    let weights = Subject.zoo(.smallCNN, [1, 8, 8]).network()
    var builder = ArchitectureBuilder(input: [1, 1 << 20, 1])
    _ = builder.append("pool", .adaptiveAveragePool(size: 1000), builder.input)
    let windows = Network(builder.build("windows"), seed: 1)  // products with 4 GB of weights
    for (export, network) in [(export, weights), (ONNXExport(), windows)] {
      let error = #expect(throws: InputError.self) { try export.write(network, to: folder / "model.onnx") }
      #expect(error?.problem.contains("too large") == true)
      #expect(error?.location == (folder / "model.onnx").path)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test("replaces an older one whole, and a folder that is not there is told of") func writing() throws {
    let folder = try TemporaryFolder()
    let network = Subject.zoo(.smallCNN, [1, 8, 8]).network()
    try Data(count: 1 << 20).write(to: folder / "model.onnx")
    try ONNXExport().write(network, to: folder / "model.onnx")
    #expect(try Data(contentsOf: folder / "model.onnx").count < 1 << 20)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["model.onnx"])
    let error = #expect(throws: InputError.self) { try ONNXExport().write(network, to: folder / "no/model.onnx") }
    #expect(error?.problem.contains("cannot write") == true)
  }

  @Test("means over windows as PyTorch's adaptive pooling takes them", arguments: 1...12)
  func windows(side: Int) {
    let image = Tensor.uniform([1, 1, side, side], using: Generator(seed: 1))
    for parts in 1...6 {
      let windows = PoolingWindows(side: side, parts: parts)
      let rows = windows.weights
      let means = rows.matmul(image.reshaped([side, side])).matmul(rows.transposed())
      let expected = image.adaptiveAvgPool2d(parts).reshaped([parts, parts])
      #expect(means.isClose(to: expected, relative: 1e-5, absolute: 1e-6))
      if let (kernel, stride) = windows.regular {
        let pooled = image.avgPool2d(kernel, stride: stride).reshaped([-1])
        #expect(pooled.isClose(to: expected.reshaped([-1]), relative: 1e-5, absolute: 1e-6))
      }
      if side % parts == 0 { #expect(windows.regular?.kernel == side / parts) }
    }
  }
}
