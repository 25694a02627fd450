import Foundation
import QuenchSupport

/// A network that an ONNX file holds, from images to logits `[N, classes]`, as a graph of LibTorch's operators.
///
/// Operator sets 9 to 21 are read. The graph takes images `[N, C, H, W]` also where the file's takes `[N, H, W, C]`, and
/// leaves out a softmax or sigmoid at the end. Batch norms that are in the file train; those that its exporter worked
/// into other layers are gone.
public struct ONNXModel {
  /// In evaluation mode; its parameters are leaves of autograd.
  public let network: Network
  /// What a user should know about how the file was read.
  public let notes: [String]

  /// The most numbers that one value in the network may have for an image or two.
  public static let largestValue = 1 << 28

  /// Whether a file begins as an ONNX model does: it holds no mark by which to know it for sure.
  public static func isFound(in source: ByteSource) throws(InputError) -> Bool {
    let bytes = [UInt8](try source.read(0..<min(9, source.count)))
    // The version of the format comes first, then who made the file, texts about it, the operators or the graph.
    let next: Set<UInt8> = [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72]
    guard bytes.count > 2, bytes[0] == 0x08, (1...31).contains(bytes[1]), next.contains(bytes[2]) else {
      return false
    }
    return bytes.count < 9 || bytes[8] != UInt8(ascii: "{")  // safetensors, whose length may look so
  }

  /// Reads the file at `url`; weights may lie in files beside it.
  /// - Throws: `InputError` if it cannot be read, is damaged, or is no network from images to logits that is known here;
  ///   it says which node and operator stand in the way.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(ByteSource(contentsOf: url), beside: url.deletingLastPathComponent())
  }

  /// Reads a model that lies in memory; `name` stands for it in errors.
  /// - Throws: `InputError` as ``init(contentsOf:)`` does.
  public init(data: Data, name: String = "data", largestValue: Int = ONNXModel.largestValue) throws(InputError) {
    try self.init(ByteSource(data, name: name), beside: nil, largestValue: largestValue)
  }

  /// Reads a file that is open.
  /// - Parameters:
  ///   - source: The file.
  ///   - folder: Where files with its weights may lie; nil for none.
  ///   - largestValue: The most numbers that one value may have for an image or two.
  /// - Throws: `InputError` as ``init(contentsOf:)`` does.
  public init(
    _ source: ByteSource, beside folder: URL?, largestValue: Int = ONNXModel.largestValue
  ) throws(InputError) {
    let importer = try ONNXImporter(
      try ONNXProto.model(source), ONNXTensors(source, folder: folder), largest: Double(largestValue))
    let found = try importer.network()
    let name = URL(filePath: source.name).lastPathComponent
    let architecture = Architecture(
      name: name.hasSuffix(".onnx") ? String(name.dropLast(5)) : name, graph: found.graph)
    try architecture.validate(at: source.name)
    network = Network(architecture, seed: 0)
    try network.adopt(found.tensors, from: source.name)
    notes = found.notes
  }
}
