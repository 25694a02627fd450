import Foundation
import QuenchSupport

extension Architecture {
  /// Reads a graph as a file tells it, in JSON.
  /// - Parameters:
  ///   - json: What `JSONEncoder` makes of an architecture.
  ///   - location: Where it is from, for errors: usually the file's path.
  /// - Throws: `InputError` that names the first node which is no operator of ``Layer``, or is damaged.
  public init(json: Data, at location: String) throws(InputError) {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: Self.infinities.positive, negativeInfinity: Self.infinities.negative,
      nan: Self.infinities.nan)
    if let architecture = try? decoder.decode(Architecture.self, from: json) {
      self = architecture
      return
    }
    let draft = try? decoder.decode(Draft.self, from: json)
    guard let node = draft?.nodes.first(where: { !$0.isRead }) else {
      throw InputError(
        "the file's architecture cannot be read", at: location,
        remedy: "write the file again, or name a network with `model`")
    }
    let names = Layer.CodingKeys.allCases.map(\.rawValue)
    guard let unknown = node.operators.first(where: { !names.contains($0) }) else {
      throw InputError(
        "the architecture is damaged: its operator cannot be read", at: "\(location), node '\(node.name)'",
        remedy: "write the file again")
    }
    throw InputError(
      "there is no operator '\(unknown)' in Quench", at: "\(location), node '\(node.name)'",
      expected: names.joined(separator: ", "), remedy: "build the network of these")
  }

  /// What ``init(json:at:)`` reads, the same text for the same graph.
  public var json: Data {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: Self.infinities.positive, negativeInfinity: Self.infinities.negative,
        nan: Self.infinities.nan)
      return try encoder.encode(self)
    }
  }

  /// How files write what is no finite number: imported programs fill masks with it.
  private static let infinities = (positive: "inf", negative: "-inf", nan: "nan")

  /// What can be told of a graph that cannot be read.
  private struct Draft: Decodable {
    struct Node: Decodable {
      var name: String
      /// One, in a file that is right.
      var operators: [String]
      var isRead: Bool

      private enum Keys: CodingKey { case name, layer }
      private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
      }

      init(from decoder: any Decoder) throws {
        let content = try decoder.container(keyedBy: Keys.self)
        name = (try? content.decode(String.self, forKey: .name)) ?? ""
        operators =
          (try? content.nestedContainer(keyedBy: AnyKey.self, forKey: .layer).allKeys.map(\.stringValue)) ?? []
        isRead = (try? Architecture.Node(from: decoder)) != nil
      }
    }

    var nodes: [Node]
  }
}

extension Architecture {
  /// What a network of this architecture calls its tensors, ``Network/state``'s names, but for batch norms'
  /// `num_batches_tracked`, which files may lack.
  public var tensorNames: [String] {
    nodes.flatMap { node in
      if let graph = node.layer.graph { return graph.held.map(\.name) }
      return
        (node.layer.parameters.map(\.name) + node.layer.buffers.map(\.name).filter { $0 != "num_batches_tracked" })
        .map(node.tensorName)
    }
  }

  /// The shapes of the tensors of ``tensorNames``, each under its name.
  public var tensorShapes: [(name: String, shape: [Int])] {
    nodes.flatMap { node in
      if let graph = node.layer.graph { return graph.held.map { ($0.name, $0.shape) } }
      let kept = node.layer.buffers.filter { $0.name != "num_batches_tracked" }.map { ($0.name, $0.shape) }
      return (node.layer.parameters.map { ($0.name, $0.shape) } + kept).map { (node.tensorName($0.0), $0.1) }
    }
  }

  /// Further names of tensors, by the first, as an imported program has them for tied weights.
  var otherNames: [String: [String]] {
    let held = nodes.compactMap(\.layer.graph).flatMap(\.held).filter { !$0.otherNames.isEmpty }
    return Dictionary(held.map { ($0.name, $0.otherNames) }) { first, _ in first }
  }
}

extension Layer {
  var graph: OperatorGraph? { if case .imported(let graph) = self { graph } else { nil } }
}
