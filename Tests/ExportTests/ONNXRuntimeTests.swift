import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchExport

/// A Python that can run ONNX files.
enum ONNXRuntime {
  /// As `QUENCH_PYTHON` says, as `make test` installs it, or the machine's own; nil: none has onnxruntime.
  private static let python: String? = {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let candidates: [String?] = [
      ProcessInfo.processInfo.environment["QUENCH_PYTHON"],
      root.appending(path: ".build-python/venv/bin/python").path, "python3"
    ]
    return candidates.compactMap { $0 }.first { (try? run($0, ["-c", "import numpy, onnxruntime"]))?.code == 0 }
  }()

  static var isPresent: Bool { python != nil }

  /// Runs a model on images, the first of them alone and the others as one batch.
  private static let script = """
    import sys, numpy, onnxruntime
    model, images, answers, output, *shape = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = numpy.fromfile(images, numpy.float32).reshape([int(size) for size in shape])
    parts = [session.run([output], {"images": part})[0] for part in (images[:1], images[1:])]
    numpy.concatenate(parts).tofile(answers)
    """

  /// What onnxruntime answers for `images`, in `shape`.
  static func answer(_ model: URL, to images: Tensor, output: String, shape: [Int]) throws -> Tensor {
    let folder = try TemporaryFolder()
    try images.data().write(to: folder / "images")
    let result = try run(
      try #require(python),
      ["-c", script, model.path, (folder / "images").path, (folder / "answers").path, output]
        + images.shape.map(String.init))
    try #require(result.code == 0, "\(result.errors)")
    let answers = try Data(contentsOf: folder / "answers")
    try #require(answers.count == shape.reduce(4, *))
    return answers.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: .float32) }
  }

  private static func run(_ program: String, _ arguments: [String]) throws -> (code: Int32, errors: String) {
    let folder = try TemporaryFolder()
    try Data().write(to: folder / "errors")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = try FileHandle(forWritingTo: folder / "errors")
    let ended = DispatchSemaphore(value: 0)
    process.terminationHandler = { _ in ended.signal() }
    try process.run()
    ended.wait()
    return (process.terminationStatus, try String(contentsOf: folder / "errors", encoding: .utf8))
  }
}

@Suite(
  "onnxruntime", .enabled(if: ONNXRuntime.isPresent, "no Python here has onnxruntime; 'make test' installs it"))
struct ONNXRuntimeTests {
  /// Exports `network`, runs it on `images` and compares with what the network itself answers.
  func expectSameAnswers(
    _ network: Network, on images: Tensor, folding: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let folder = try TemporaryFolder()
    var export = ONNXExport()
    export.foldsBatchNorm = folding
    try export.write(network, to: folder / "model.onnx")
    let expected = withoutGradient { network(images) }
    let isVector = expected.rank == 2
    let answers = try ONNXRuntime.answer(
      folder / "model.onnx", to: images, output: isVector ? "logits" : "output", shape: expected.shape)
    let difference = (answers - expected).abs().max().item()
    let largest = expected.abs().max().item()
    #expect(difference <= 1e-4 * largest, "of \(largest)", sourceLocation: sourceLocation)
    if isVector {
      #expect(answers.argmax(1).isEqual(to: expected.argmax(1)), sourceLocation: sourceLocation)
    }
  }

  @Test(
    "answers as the network does",
    arguments: [
      .zoo(.smallCNN, [1, 28, 28]), .zoo(.resnet20, [3, 32, 32]), .zoo(.resnet18, [1, 28, 28]),
      .zoo(.resnet18ImageNet, [3, 64, 64]), .zoo(.resnet50, [3, 16, 16]), .zoo(.resnet50ImageNet, [1, 64, 64]),
      .zoo(.vgg16BN, [3, 32, 32]), .zoo(.vgg16BN, [1, 28, 28]), .zoo(.wideResNet16x4, [3, 16, 16]),
      .zoo(.dncnn, [1, 12, 10]), .zoo(.dncnn, [3, 8, 8])
    ] as [Subject])
  func zoo(_ subject: Subject) throws {
    try expectSameAnswers(subject.network(), on: subject.images(5))
  }

  @Test("answers as an unusual network does, folded or not", arguments: Subject.unusual, [true, false])
  func unusual(_ subject: Subject, folding: Bool) throws {
    try expectSameAnswers(subject.network(), on: subject.images(4), folding: folding)
  }

  @Test("answers as the network does where batch norm stays", arguments: [ModelName.resnet20, .wideResNet16x4])
  func unfolded(_ model: ModelName) throws {
    let subject = Subject.zoo(model, [3, 16, 16])
    try expectSameAnswers(subject.network(), on: subject.images(5), folding: false)
  }

  @Test(
    "sees the same in 256 real images, dense and with nine tenths of the weights masked",
    .enabled(if: Datasets.find(.fashionMNIST, split: .test) != nil, "Fashion-MNIST is absent"))
  func realImages() throws {
    let images = try Datasets.load(.fashionMNIST, split: .test).images[0..<256].to(.float32) * (1.0 / 255)
    let network = Subject.zoo(.resnet20, [1, 28, 28]).network()
    try expectSameAnswers(network, on: images)
    withoutGradient {
      for index in network.prunable {
        let weight = network.parameters[index].tensor
        let threshold = weight.abs().reshaped([-1]).kthValue(weight.count * 9 / 10).values
        weight.copy(from: weight * (weight.abs() .> threshold))
      }
    }
    #expect(network.prunable.allSatisfy { network.parameters[$0].tensor.nonzeroCount() < 4000 })
    try expectSameAnswers(network, on: images)
  }
}
