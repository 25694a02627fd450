import Foundation
import QuenchSupport
import QuenchTorch
internal import SwiftProtobuf

/// A network as an ONNX model (opset 17): pixels in [0, 1] go in, logits come out.
///
/// The input is called `images`, float32, `[batch, C, H, W]` for any batch; normalisation is the graph's first step. The
/// output is called `logits`, `[batch, classes]`, or `output` where a network answers no vector. Weights stand under
/// PyTorch's names, in float32. Dense, masked and slimmed networks are declared graphs alike, so each is written as what
/// it computes; ONNX stores a zero like any other number.
public struct ONNXExport: Hashable, Sendable {
  /// Whether batch norm is worked into the convolution or linear layer before it: fewer operators, equal up to rounding.
  public var foldsBatchNorm = true
  /// In bytes; the format itself sets this bound.
  var largestModel = Int(Int32.max)

  public init() {}

  /// Writes `network` as it answers in evaluation mode, whole or not at all.
  /// - Parameters:
  ///   - network: Dense, masked or slimmed; it stays as it is.
  ///   - classNames: In label order; kept as a JSON list in the model's metadata, under `quench.classes`.
  ///   - url: Where the file goes.
  /// - Throws: `InputError` if a weight is not finite, the model is larger than the format allows (2 GiB), or the file
  ///   cannot be written.
  public func write(_ network: Network, classNames: [String] = [], to url: URL) throws(InputError) {
    let model = try model(of: network, classNames: classNames, at: url.path)
    let data: Data  // made whole, for which size is the one thing that can be in the way
    do { data = try model.serializedBytes() } catch { throw tooLarge(at: url.path) }
    try AtomicFile.write(data, to: url)
  }

  /// The model itself; `location` stands for it in errors.
  func model(of network: Network, classNames: [String], at location: String) throws(InputError) -> ONNXModelProto {
    guard !network.isImported else {
      throw InputError(
        "an imported network cannot be written as ONNX yet", at: location,
        remedy: "write safetensors, or export it to ONNX in Python")
    }
    var source = network
    if network.dtype != .float32 {
      source = network.copy()
      source.convert(to: .float32)
    }
    if foldsBatchNorm { source = source.foldingBatchNorm() }
    try source.state.validateFinite(at: location)

    var model = ONNXModelProto()
    model.irVersion = 8
    model.opsetImport = [.with { $0.version = 17 }]
    model.producerName = "quench"
    do { model.graph = try graph(of: source) } catch { throw tooLarge(at: location) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    if !classNames.isEmpty, let json = try? encoder.encode(classNames) {
      model.metadataProps = [
        .with {
          $0.key = "quench.classes"
          $0.value = String(decoding: json, as: UTF8.self)
        }
      ]
    }
    return model
  }

  private func graph(of network: Network) throws(ONNXGraphBuilder.TooLarge) -> ONNXGraphProto {
    let architecture = network.architecture
    var builder = ONNXGraphBuilder(architecture.name, room: largestModel)
    for (name, tensor) in network.state where tensor.dtype.isFloatingPoint { try builder.constant(name, tensor) }

    let images = "images"
    let answer = architecture.outputShape.count == 1 ? "logits" : "output"
    builder.input(images, architecture.inputShape)
    var values: [String] = []
    let shapes = architecture.shapes
    for (position, node) in architecture.nodes.enumerated() {
      let isLast = position == architecture.nodes.count - 1
      // No constant's name ends so, and no two nodes have one name.
      let output = isLast ? answer : "\(node.name)/output"
      if position == 0 {
        try builder.normalize(images, architecture, as: output)
      } else {
        try builder.append(node, reading: node.inputs.map { (values[$0], shapes[$0]) }, as: output)
      }
      values.append(output)
    }
    builder.output(answer, architecture.outputShape)
    return builder.graph
  }

  private func tooLarge(at location: String) -> InputError {
    InputError(
      "the network is too large for an ONNX file", at: location, expected: "at most \(largestModel) bytes",
      remedy: "remove channels first, or write safetensors")
  }
}
