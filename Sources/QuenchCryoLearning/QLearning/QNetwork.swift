import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch

/// What the Q network's file says beside its weights.
struct QNetworkDescription: Codable, Hashable {
  var kind: String
  var smoothing: Double
  var isDueling: Bool
}

/// Scores holes one by one: an observation goes through 128, 256 and 128 units to one number, as in cryoRL.
///
/// The dueling form splits after the last hidden layer: an advantage for each hole, less its mean over the state's holes,
/// and one value for the state, from the mean of its holes' hidden units. (In the published code that mean is over one
/// hole, which leaves the advantage zero.)
public final class QNetwork {
  public let mode: FeatureMode
  public let isDueling: Bool
  /// Scores, or the trunk of a dueling network with its two heads.
  private let networks: [Network]

  /// A network with freshly drawn weights, by PyTorch's default rule.
  public init(_ mode: FeatureMode, isDueling: Bool = false, seed: UInt64, device: Device = .cpu) {
    self.mode = mode
    self.isDueling = isDueling
    let widths = [mode.observationWidth, 128, 256, 128]
    func network(_ architecture: Architecture, _ seed: UInt64) -> Network {
      Network(architecture, seed: seed, device: device)
    }
    networks =
      isDueling
      ? [
        network(Self.perceptron("trunk", widths, endsInReLU: true), Generator.derive(seed, "trunk")),
        network(Self.perceptron("advantage", [128, 128, 1]), Generator.derive(seed, "advantage")),
        network(Self.perceptron("value", [128, 128, 1]), Generator.derive(seed, "value"))
      ] : [network(Self.perceptron("model", widths + [1]), seed)]
  }

  private static func perceptron(_ name: String, _ widths: [Int], endsInReLU: Bool = false) -> Architecture {
    var builder = ArchitectureBuilder(input: [widths[0]])
    var value = builder.input
    for (layer, width) in widths.dropFirst().enumerated() {
      value = builder.linear("\(name).\(2 * layer)", value, width)
      if layer + 2 < widths.count || endsInReLU { value = builder.relu("\(name).\(2 * layer + 1)", value) }
    }
    return builder.build(name)
  }

  var device: Device { networks[0].device }
  /// Learned numbers in all.
  public var parameterCount: Int { networks.reduce(0) { $0 + $1.architecture.parameterCount } }
  var parameters: [NamedTensor] { networks.flatMap { $0.parameters.map { ($0.name, $0.tensor) } } }
  var state: StateDictionary {
    StateDictionary(networks.flatMap { network in network.state.map { ($0.name, $0.tensor) } })
  }

  func takeWeights(of other: QNetwork) {
    for (mine, theirs) in zip(networks, other.networks) { mine.takeWeights(of: theirs) }
  }

  func load(_ state: StateDictionary, from location: String) throws(InputError) {
    for network in networks {
      let names = Set(network.parameters.map(\.name))
      try network.load(
        StateDictionary(state.filter { names.contains($0.name) }.map { ($0.name, $0.tensor) }), from: location)
    }
  }

  /// Q values of observations `[M, features]`, which belong to states: `states` says to which, int64 `[M]`, 0 ..< `count`.
  /// - Returns: `[M]`
  func callAsFunction(_ observations: Tensor, states: Tensor?, count: Int) -> Tensor {
    let hidden = networks[0](observations.to(device))
    guard isDueling, let states = states?.to(device) else { return hidden.squeezed(1) }
    let advantages = networks[1](hidden).squeezed(1)
    let sizes = Tensor.zeros([count], device: device).scatterAdded(0, states, advantages.detached().onesLike())
    let meanAdvantage = Tensor.zeros([count], device: device).scatterAdded(0, states, advantages) / sizes
    let index = states.unsqueezed(1).expanded([-1, 128])
    let pooled = Tensor.zeros([count, 128], device: device).scatterAdded(0, index, hidden) / sizes.unsqueezed(1)
    let values = networks[2](pooled).squeezed(1)
    return advantages + (values - meanAdvantage).selecting(states)
  }

  private static let key = "quench.q-network"

  /// Writes the weights, with what they need to be used, as a safetensors file.
  public func write(to url: URL) throws(InputError) {
    let description = QNetworkDescription(
      kind: mode.kind.rawValue, smoothing: mode.smoothing, isDueling: isDueling)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let json: String
    do { json = String(decoding: try encoder.encode(description), as: UTF8.self) } catch {
      throw InputError.writing(url, error)
    }
    try Safetensors.write(state, metadata: [Self.key: json], to: url)
  }

  /// Loads what ``write(to:)`` wrote.
  /// - Parameters:
  ///   - url: The file.
  ///   - device: Where the network goes.
  /// - Throws: `InputError` if the file is damaged, holds NaN or is no Q network.
  public convenience init(contentsOf url: URL, device: Device = .cpu) throws(InputError) {
    let file = try Safetensors(contentsOf: url)
    guard let json = file.metadata[Self.key],
      let description = try? JSONDecoder().decode(QNetworkDescription.self, from: Data(json.utf8)),
      let kind = FeatureMode.Kind(rawValue: description.kind), (0...5).contains(description.smoothing)
    else {
      throw InputError(
        "these are not the weights of a Q network", at: url.path,
        remedy: "name the q-network.safetensors that 'quench cryo train' wrote")
    }
    self.init(
      FeatureMode(kind, smoothing: description.smoothing), isDueling: description.isDueling, seed: 0,
      device: device)
    let state = try file.stateDictionary()
    try state.validateFinite(at: url.path)
    try load(state, from: url.path)
  }
}

extension QNetwork {
  /// The greedy choice in each state; the first of equal scores.
  /// - Parameters:
  ///   - rows: Observations of all states' holes after each other.
  ///   - holes: The holes of each state.
  func choose(_ rows: [Float], _ holes: [[Int]]) -> [Int] {
    let width = mode.observationWidth
    let count = holes.reduce(0) { $0 + $1.count }
    let states =
      isDueling ? Tensor(holes.enumerated().flatMap { Array(repeating: Int64($0), count: $1.count) }) : nil
    let scores = withoutGradient {
      self(Tensor(rows, shape: [count, width]), states: states, count: holes.count).array(Float.self)
    }
    var offset = 0
    return holes.map { holes in
      defer { offset += holes.count }
      var best = 0
      for index in holes.indices where scores[offset + index] > scores[offset + best] { best = index }
      return best
    }
  }
}
