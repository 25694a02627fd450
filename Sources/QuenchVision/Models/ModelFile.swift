import Foundation
import QuenchSupport
import QuenchTorch

/// A network in one safetensors file: weights under PyTorch's names, and in the metadata the architecture and what
/// its outputs mean, so that it loads without another word.
public struct ModelFile {
  public var network: Network
  /// In label order; empty where nobody said.
  public var classNames: [String]
  /// What a user should know about how the file was read.
  public private(set) var notes: [String] = []

  private static let architectureKey = "quench.architecture"
  private static let classesKey = "quench.classes"

  public init(_ network: Network, classNames: [String] = []) {
    self.network = network
    self.classNames = classNames
  }

  /// Writes the file, whole or not at all.
  /// - Parameters:
  ///   - url: Where it goes.
  ///   - packsZeros: Whether weights of many zeros are written as a bitmask and the rest: a pruned network's file gets
  ///     smaller so, and loads as any other does.
  public func write(to url: URL, packsZeros: Bool = false) throws(InputError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let metadata: [String: String]
    do {
      metadata = [
        Self.architectureKey: String(decoding: try encoder.encode(network.architecture), as: UTF8.self),
        Self.classesKey: String(decoding: try encoder.encode(classNames), as: UTF8.self)
      ]
    } catch { throw InputError.writing(url, error) }
    try Safetensors.write(network.state, metadata: metadata, packsZeros: packsZeros, to: url)
  }

  /// Loads a network, frozen in evaluation mode.
  /// - Parameters:
  ///   - url: A safetensors file, or what `torch.save` wrote.
  ///   - architecture: What the weights belong to, where the file does not say: weights from PyTorch, whose names may
  ///     all begin with one prefix, and among which mean and standard deviation of the pixels may lie; ``notes`` tells of
  ///     either. Where both say, they must agree on every tensor.
  ///   - device: Where the network goes.
  /// - Throws: `InputError` if the file is damaged, holds NaN, says no architecture while none is given, or does
  ///   not fit it.
  public init(contentsOf url: URL, architecture: Architecture? = nil, device: Device = .cpu) throws(InputError) {
    let source = try ByteSource(contentsOf: url)
    let metadata = try StateDictionary.metadata(of: source)
    let decoder = JSONDecoder()
    let own = metadata[Self.architectureKey].map { Data($0.utf8) }
    var stated: Architecture?
    if let own { stated = try Architecture(json: own, at: url.path) }
    guard let architecture = stated ?? architecture else {
      throw InputError(
        "the file does not say which architecture its weights belong to", at: url.path,
        remedy: "name it with `model`")
    }
    try architecture.validate(at: url.path)
    let state = try StateDictionary.load(source, expecting: architecture.parameterCount)
    try state.validateFinite(at: url.path)
    let (needed, found) = (architecture.parameterCount, state.reduce(0) { $0 + $1.tensor.count })
    guard own == nil || needed <= found else {  // before memory is taken because a file says so
      throw InputError(
        "the weights are not those of \(architecture.name)", at: url.path, expected: "\(needed) parameters",
        found: "\(found) numbers", remedy: "the file is damaged: fetch or write it again")
    }
    let weights = WrappedWeights(state, of: architecture)
    network = Network(weights.architecture, seed: 0, device: device)
    try network.load(weights.state, from: url.path)
    notes = weights.notes
    classNames = metadata[Self.classesKey].flatMap { try? decoder.decode([String].self, from: Data($0.utf8)) } ?? []
  }
}
