import Foundation
import QuenchSupport

extension Architecture {
  /// Reads an architecture as a file tells it, in JSON.
  /// - Parameters:
  ///   - json: What ``json`` gives, or what Quench 0.1 wrote.
  ///   - location: Where it is from, for errors: usually the file's path.
  /// - Throws: `InputError` that names the first node which is not known, or is damaged.
  public init(json: Data, at location: String) throws(InputError) {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: Self.infinities.positive, negativeInfinity: Self.infinities.negative,
      nan: Self.infinities.nan)
    if let architecture = try? decoder.decode(Architecture.self, from: json) {
      self = architecture
      return
    }
    if let layers = try? decoder.decode(LayerList.self, from: json) {
      self = try layers.architecture(at: location)
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

  /// What can be told of layers that cannot be read.
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
        isRead = (try? LayerList.Node(from: decoder)) != nil
      }
    }

    var nodes: [Node]
  }
}
