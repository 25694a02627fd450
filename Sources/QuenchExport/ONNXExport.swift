import Foundation
import QuenchSupport
import QuenchTorch
internal import SwiftProtobuf

/// A network as an ONNX model (opset 17): pixels in [0, 1] go in, logits come out.
///
/// The input is called `images`, float32, `[batch, C, H, W]` for any batch; normalisation is the graph's first step. The
/// output is called `logits`, `[batch, classes]`, or `output` where a network answers no vector. Weights stand under
/// PyTorch's names, in float32. Dense, masked, slimmed and imported networks are graphs alike, so each is written as what
/// it computes; ONNX stores a zero like any other number. An imported network that takes a fixed number of images keeps
/// it.
///
/// With images to calibrate on it is written in 8 bits: see ``write(_:classNames:calibration:to:)``.
public struct ONNXExport: Hashable, Sendable {
  /// Whether batch norm is worked into the convolution or linear layer before it: fewer operators, equal up to rounding.
  public var foldsBatchNorm = true
  /// In bytes; the format itself sets this bound.
  var largestModel = Int(Int32.max)

  public init() {}

  /// Writes `network` as it answers in evaluation mode, whole or not at all.
  /// - Parameters:
  ///   - network: Dense, masked, slimmed or imported; it stays as it is.
  ///   - classNames: In label order; kept as a JSON list in the model's metadata, under `quench.classes`.
  ///   - calibration: Pixels in [0, 1], `[N, C, H, W]`, some hundred images of those that the network is for: it is
  ///     written in 8 bits, with what its values are on these for their ranges. Nil: in float32.
  ///   - url: Where the file goes.
  /// - Throws: `InputError` if a weight is not finite, an operator has no form in ONNX, the model is larger than the format
  ///   allows (2 GiB), or the file cannot be written.
  public func write(
    _ network: Network, classNames: [String] = [], calibration: Tensor? = nil, to url: URL
  ) throws(InputError) {
    let model = try model(of: network, classNames: classNames, calibration: calibration, at: url.path)
    let data: Data  // made whole, for which size is the one thing that can be in the way
    do { data = try model.serializedBytes() } catch { throw tooLarge(at: url.path) }
    try AtomicFile.write(data, to: url)
  }

  /// The model itself; `location` stands for it in errors.
  func model(
    of network: Network, classNames: [String], calibration: Tensor? = nil, at location: String
  ) throws(InputError) -> ONNXModelProto {
    var source = network
    if network.dtype != .float32 {
      source = network.copy()
      source.convert(to: .float32)
    }
    source = source.foldingConstants()
    if foldsBatchNorm { source = source.foldingBatchNorm() }
    try source.state.validateFinite(at: location)
    guard let graph = source.graph.simplified()?.withoutDeadParts() else {
      throw InputError(
        "the network writes over tensors that others see, which has no form in ONNX", at: location,
        remedy: Self.remedy)
    }
    let simple = source.rewritten(as: graph, with: source.heldTensors, in: graph.input.dtype)
    let trace = try simple.trace()

    var model = ONNXModelProto()
    model.irVersion = 8
    model.opsetImport = [.with { $0.version = 17 }]
    model.producerName = "quench"
    do throws(ONNXFailure) { model.graph = try self.graph(of: simple, trace, calibration) } catch {
      switch error {
      case .tooLarge: throw tooLarge(at: location)
      case .unsupported(let node, let reason):
        throw InputError(reason, at: "\(location), node '\(node.name)' (\(node.target))", remedy: Self.remedy)
      }
    }
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

  private static let remedy = "write safetensors, or export it to ONNX in Python"

  private func graph(
    of network: Network, _ trace: GraphTrace, _ calibration: Tensor?
  ) throws(ONNXFailure) -> ONNXGraphProto {
    let architecture = network.architecture
    let graph = network.graph
    let images = "images"
    let answer = architecture.outputShape.count == 1 ? "logits" : "output"
    let sizes = graph.input.sizes[0]
    let batch = sizes.lowerBound == sizes.upperBound ? sizes.lowerBound : nil
    var builder = ONNXGraphBuilder(architecture.name, room: largestModel)
    builder.declare(input: images, output: answer, batch: batch, architecture.inputShape, architecture.outputShape)
    // Tensors come first, so that they keep their names.
    let tensors = try ONNXWriter.hold(network, in: &builder)
    let input = try ONNXWriter.normalize(images, architecture, in: &builder)
    var writer = ONNXWriter(builder, graph, trace, names: tensors, input: input, answer: answer)
    for node in graph.nodes { try writer.append(node) }
    if graph.output == graph.input.value {
      writer.builder.add("Identity", [input], as: [answer], named: answer, answers: true)
    }
    guard let calibration else { return writer.builder.graph }
    let ranges = network.ranges(on: calibration).map { (writer.names[$0] ?? "", $1) }
    var quantizer = ONNXQuantizer(
      writer.builder.graph, ranges: Dictionary(ranges) { first, _ in first })
    return quantizer.quantized()
  }

  private func tooLarge(at location: String) -> InputError {
    InputError(
      "the network is too large for an ONNX file", at: location, expected: "at most \(largestModel) bytes",
      remedy: "remove channels first, or write safetensors")
  }
}
