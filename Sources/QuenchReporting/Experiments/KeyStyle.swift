/// How the words of a Swift name are joined into the key of a file.
public enum KeyStyle: Character, Sendable {
  /// `learning-rate`: settings, as the flags have it.
  case settings = "-"
  /// `test_accuracy`: figures.
  case figures = "_"

  /// The key of a Swift name.
  /// - Parameters:
  ///   - name: In camel case.
  ///   - prefix: The key of the ``PrefixedGroup`` that the name is of, or empty.
  public func key(_ name: String, prefix: String = "") -> String {
    if !prefix.isEmpty, name == "value" { return prefix }
    return name.reduce(into: prefix) { key, letter in
      if !key.isEmpty, letter.isUppercase || key.count == prefix.count { key.append(rawValue) }
      key += letter.lowercased()
    }
  }
}

/// Settings or figures that belong together in Swift, and whose keys stand among those of the value that holds them:
/// a file has `epochs: 10`, not `recipe: {epochs: 10}`.
public protocol InlineGroup: Codable {}

/// A figure of several parts whose keys begin with that of the whole, and of which one part, `value`, has the whole's
/// own key: `accuracy`, `accuracy_low`, `accuracy_high`.
public protocol PrefixedGroup: Codable {}
