import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// A network in one safetensors file: weights under PyTorch's names, and in the metadata the architecture and what
/// its outputs mean, so that it loads without another word.
public struct ModelFile {
  public var network: Network
  /// In label order; empty where nobody said.
  public var classNames: [String]
  /// What the shorter side of a picture is resized to before the middle is cut out, in pixels; nil where nobody said.
  public var resize: Int?
  /// What a user should know about how the file was read.
  public private(set) var notes: [String] = []
  /// Whether the file says what pixels are normalized by, or that they are not.
  private var statesNormalization = true

  private static let architectureKey = "quench.architecture"
  private static let classesKey = "quench.classes"
  private static let resizeKey = "quench.resize"

  public init(_ network: Network, classNames: [String] = [], resize: Int? = nil) {
    self.network = network
    self.classNames = classNames
    self.resize = resize
  }

  /// Writes the file, whole or not at all.
  /// - Parameters:
  ///   - url: Where it goes.
  ///   - packsZeros: Whether weights of many zeros are written as a bitmask and the rest: a pruned network's file gets
  ///     smaller so, and loads as any other does.
  public func write(to url: URL, packsZeros: Bool = false) throws(InputError) {
    var metadata: [String: String]
    do {
      metadata = [
        Self.architectureKey: String(decoding: try network.architecture.json, as: UTF8.self),
        Self.classesKey: String(decoding: try JSONEncoder().encode(classNames), as: UTF8.self)
      ]
    } catch { throw InputError.writing(url, error) }
    if let resize { metadata[Self.resizeKey] = "\(resize)" }
    try Safetensors.write(network.stateWithConstants, metadata: metadata, packsZeros: packsZeros, to: url)
  }

  /// Loads a network, frozen in evaluation mode.
  /// - Parameters:
  ///   - url: A safetensors file, what `torch.save` wrote, a program that `torch.export.save` wrote, or an ONNX model; the
  ///     last two are told by their content and say their architecture themselves.
  ///   - named: What the weights belong to, where the file does not say: weights from PyTorch, whose names may all begin with
  ///     one prefix, which may be masked, and among which mean and standard deviation of the pixels may lie; ``notes`` tells
  ///     of each. Where both say, they must agree on every tensor.
  ///   - normalization: What pixels are normalized by, in place of what the file says.
  ///   - device: Where the network goes.
  /// - Throws: `InputError` if the file is damaged, holds NaN, says no architecture while none is given, or does
  ///   not fit it; if an imported network can't be computed.
  public init(
    contentsOf url: URL, named: NamedNetwork? = nil, normalization: Normalization? = nil, device: Device = .cpu
  ) throws(InputError) {
    try self.init(stored: url, named: named, device: device)
    if let normalization { network = try network.normalizing(by: normalization, at: url.path) }
    tell(of: normalization, named)
    if network.isImported { try network.measure() }
  }

  /// The network of a file that holds it as a graph, with what there is to say of it; nil for other files.
  private static func imported(_ source: ByteSource, from url: URL) throws(InputError) -> (Network, [String])? {
    if try ExportedProgram.isFound(in: source) { return (try ExportedProgram.load(source), []) }
    guard try ONNXModel.isFound(in: source) || url.pathExtension.lowercased() == "onnx" else { return nil }
    let model = try ONNXModel(source, beside: url.deletingLastPathComponent())
    return (model.network, model.notes)
  }

  /// Notes what pixels are normalized by, where the file does not say it.
  private mutating func tell(of normalization: Normalization?, _ named: NamedNetwork?) {
    func list(_ values: [Double]) -> String {
      values.map { NumberText.plain($0) }.joined(separator: ", ")
    }
    let (mean, deviation) = (list(network.architecture.mean), list(network.architecture.standardDeviation))
    if normalization != nil, !mean.isEmpty {
      notes.append("pixels are normalized by the mean \(mean) and the standard deviation \(deviation)")
    } else if mean.isEmpty, normalization != nil || !statesNormalization {
      notes.append(
        "no normalization is assumed: the network takes pixels in [0, 1] as they are"
          + (normalization == nil ? "; `mean` and `std` say it otherwise" : ""))
    } else if !statesNormalization {
      let statistics = named?.assumedFrom.map { "the statistics of \($0)" } ?? "usual statistics"
      notes.append(
        "the file does not say what pixels are normalized by, assumed are \(statistics): the mean \(mean) and the "
          + "standard deviation \(deviation); `mean` and `std` say it otherwise")
    }
  }

  private init(stored url: URL, named: NamedNetwork?, device: Device) throws(InputError) {
    let source = try ByteSource(contentsOf: url)
    if let (imported, told) = try Self.imported(source, from: url) {
      network = imported
      try network.validateFiniteParameters(at: url.path)
      network.setTrainable(false)
      network.moveTensors(to: device)
      network.setTrainable(true)
      classNames = []
      notes = told
      statesNormalization = false
      return
    }
    let metadata = try StateDictionary.metadata(of: source)
    let stated = try metadata[Self.architectureKey].map { json throws(InputError) in
      try Architecture(json: Data(json.utf8), at: url.path)
    }
    try stated?.validate(at: url.path)
    let state = try StateDictionary.load(
      source, expecting: stated?.tensorCount ?? named?.tensorCount ?? Self.mostNumbers)
    if stated?.isImported != true { try state.validateFinite(at: url.path) }
    let weights: WrappedWeights
    if let stated {
      let (needed, found) = (stated.tensorCount, state.reduce(0) { $0 + $1.tensor.count })
      guard needed <= found else {  // before memory is taken because a file says so
        throw InputError(
          "the weights are not those of \(stated.name)", at: url.path, expected: "\(needed) parameters",
          found: "\(found) numbers", remedy: "the file is damaged: fetch or write it again")
      }
      weights = WrappedWeights(state, of: stated)
      statesNormalization = true
    } else if let named {
      weights = try named.weights(of: state)
      statesNormalization = weights.statesNormalization
    } else {
      throw InputError(
        "the file does not say which architecture its weights belong to", at: url.path,
        remedy: ModelName.closest(to: state).map { "name it with `model`: it might be \($0.rawValue)" }
          ?? "name it with `model`")
    }
    network = Network(weights.architecture, seed: 0, device: device)
    do throws(InputError) { try network.load(weights.state, from: url.path) } catch {
      guard stated == nil, !weights.fits, let model = ModelName.closest(to: state), model != named?.model else {
        throw error
      }
      var error = error
      error.remedy = "name the architecture that they were saved from with `model`: it might be \(model.rawValue)"
      throw error
    }
    try network.validateImported(weights.state, at: url.path)
    notes = weights.notes
    classNames =
      metadata[Self.classesKey].flatMap { try? JSONDecoder().decode([String].self, from: Data($0.utf8)) } ?? []
    resize = metadata[Self.resizeKey].flatMap { Int($0) }.flatMap { (1...8192).contains($0) ? $0 : nil }
  }

  /// No file of weights that says no architecture holds more.
  private static let mostNumbers = 1 << 31
}

extension Network {
  /// Checks what an imported network was loaded from: all constants are there, and all parameters are numbers. What else a
  /// program holds may well be infinite: the masks of attention are.
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
