import QuenchSupport

/// Figures under names that only a run knows, in order: a summary has them as `budgets.120.good_mean`.
///
/// A name of figures may hold dots; one of a ``ByName`` within may not, since a summary's keys are flat.
public struct ByName<Element: Codable & Sendable>: Codable, Sendable {
  public private(set) var names: [String] = []
  private var elements: [String: Element] = [:]

  public init() {}

  /// Reads or sets what has a name. A new one goes to the end; setting `nil` removes it.
  public subscript(name: String) -> Element? {
    get { elements[name] }
    set {
      let isNew = elements[name] == nil
      elements[name] = newValue
      if newValue == nil { names.removeAll { $0 == name } } else if isNew { names.append(name) }
    }
  }

  public func encode(to encoder: any Encoder) throws {
    guard let encoder = encoder as? ValueEncoder else {
      throw EncodingError.invalidValue(
        self, .init(codingPath: encoder.codingPath, debugDescription: "these are figures of a summary"))
    }
    let figures = try names.reduce(into: Record()) { figures, name in
      guard let element = elements[name] else { return }
      let value = try Value(encoding: element, style: .figures)
      figures[name] = value.record.map { .object($0.withoutNulls) } ?? value
    }
    encoder.node.content = .plain(.object(figures))
  }

  public init(from decoder: any Decoder) throws {
    guard let place = (decoder as? ValueDecoder)?.place, let record = place.value.record else {
      throw DecodingError.typeMismatch(
        Self.self, .init(codingPath: decoder.codingPath, debugDescription: "no figures by name"))
    }
    place.askForAll()
    var parts: [(name: String, figures: Record)] = []
    for (key, value) in record.flattened {
      let isNested = Element.self is any NamedElements.Type
      guard let dot = isNested ? key.firstIndex(of: ".") : key.lastIndex(of: ".") else { continue }
      let (name, figure) = (String(key[..<dot]), String(key[key.index(after: dot)...]))
      if let index = parts.firstIndex(where: { $0.name == name }) {
        parts[index].figures[figure] = value
      } else {
        parts.append((name, [figure: value]))
      }
    }
    for part in parts {
      self[part.name] = try Value.object(part.figures)
        .decode(style: .figures, name: part.name, allowsOtherKeys: true)
    }
  }
}

private protocol NamedElements {}
extension ByName: NamedElements {}
