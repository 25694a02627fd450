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
    let metadata: [String: String]
    do {
      metadata = [
        Self.architectureKey: String(decoding: try network.architecture.json, as: UTF8.self),
        Self.classesKey: String(decoding: try JSONEncoder().encode(classNames), as: UTF8.self)
      ]
    } catch { throw InputError.writing(url, error) }
    try Safetensors.write(network.stateWithConstants, metadata: metadata, packsZeros: packsZeros, to: url)
  }

  /// Loads a network, frozen in evaluation mode.
  /// - Parameters:
  ///   - url: A safetensors file, what `torch.save` wrote, or a program that `torch.export.save` wrote, which is told by its
  ///     content and says its architecture itself.
  ///   - architecture: What the weights belong to, where the file does not say: weights from PyTorch, whose names may
  ///     all begin with one prefix, and among which mean and standard deviation of the pixels may lie; ``notes`` tells of
  ///     either. Where both say, they must agree on every tensor.
  ///   - normalization: What pixels are normalized by, in place of what the file says.
  ///   - device: Where the network goes.
  /// - Throws: `InputError` if the file is damaged, holds NaN, says no architecture while none is given, or does
  ///   not fit it; if an imported network can't be computed.
  public init(
    contentsOf url: URL, architecture: Architecture? = nil, normalization: Normalization? = nil,
    device: Device = .cpu
  ) throws(InputError) {
    try self.init(stored: url, architecture: architecture, device: device)
    if let normalization { network = try network.normalizing(by: normalization, at: url.path) }
    guard network.isImported else { return }
    if network.architecture.mean.isEmpty {
      notes.append(
        "no normalization is assumed: the network takes pixels in [0, 1] as they are"
          + (normalization == nil ? "; 'quench import' writes a file with another mean and deviation" : ""))
    } else if normalization != nil {
      let (mean, deviation) = (network.architecture.mean, network.architecture.standardDeviation)
      notes.append("pixels are normalized by the mean \(mean) and the standard deviation \(deviation)")
    }
    try network.measure()
  }

  private init(stored url: URL, architecture: Architecture?, device: Device) throws(InputError) {
    let source = try ByteSource(contentsOf: url)
    if try ExportedProgram.isFound(in: source) {
      network = try ExportedProgram.load(source)
      try network.validateFiniteParameters(at: url.path)
      network.setTrainable(false)
      network.moveTensors(to: device)
      network.setTrainable(true)
      classNames = []
      return
    }
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
    let state = try StateDictionary.load(source, expecting: architecture.tensorCount)
    // What else an imported program holds may well be infinite: the masks of attention are.
    if architecture.importedGraph == nil { try state.validateFinite(at: url.path) }
    let (needed, found) = (architecture.tensorCount, state.reduce(0) { $0 + $1.tensor.count })
    guard own == nil || needed <= found else {  // before memory is taken because a file says so
      throw InputError(
        "the weights are not those of \(architecture.name)", at: url.path, expected: "\(needed) parameters",
        found: "\(found) numbers", remedy: "the file is damaged: fetch or write it again")
    }
    let weights = WrappedWeights(state, of: architecture)
    network = Network(weights.architecture, seed: 0, device: device)
    try network.load(weights.state, from: url.path)
    try network.validateImported(weights.state, at: url.path)
    notes = weights.notes
    classNames = metadata[Self.classesKey].flatMap { try? decoder.decode([String].self, from: Data($0.utf8)) } ?? []
  }
}

extension Architecture {
  /// Numbers that a file must hold: learned ones, and whatever else an imported program holds.
  fileprivate var tensorCount: Int {
    guard let graph = importedGraph else { return parameterCount }
    return graph.held.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }
}

extension Network {
  /// Checks what an imported network was loaded from: all constants are there, and all parameters are numbers.
  fileprivate func validateImported(_ state: StateDictionary, at location: String) throws(InputError) {
    guard isImported else { return }
    for entry in buffers where !entry.isSaved && state[entry.name] == nil {
      throw InputError(
        "a constant of the imported network is missing", at: location, expected: entry.name,
        remedy: "import the network again")
    }
    try validateFiniteParameters(at: location)
  }

  fileprivate func validateFiniteParameters(at location: String) throws(InputError) {
    try StateDictionary(parameters.map { ($0.name, $0.tensor.detached()) }).validateFinite(at: location)
  }
}
