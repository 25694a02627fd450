/// Something from outside (a file, a flag, a network answer, a user's model) is not as it must be.
///
/// One line tells the whole story: what is wrong, where, what was expected, what was found and what to do. It is one
/// line whatever the input holds, of which it repeats at most 200 characters.
public struct InputError: Error, Hashable, Sendable {
  /// What is wrong, as a clause without a full stop: `"the header is truncated"`.
  public var problem: String
  /// The file, flag, key or byte offset that it was found at.
  public var location: String?
  public var expected: String?
  public var found: String?
  /// What the user can do about it, as an imperative: `"download the file again"`.
  public var remedy: String?

  public init(
    _ problem: String, at location: String? = nil, expected: String? = nil, found: String? = nil,
    remedy: String? = nil
  ) {
    self.problem = problem.excerpt(400)
    self.location = location?.excerpt(200, keepingEnd: true)
    self.expected = expected?.excerpt(1000)
    self.found = found?.excerpt(200)
    self.remedy = remedy?.excerpt(1000)
  }
}

/// Checks the value of a setting.
/// - Parameters:
///   - holds: Whether the value is in its range.
///   - key: The setting's name in a configuration, such as `learning-rate`.
///   - expected: What it must be, such as `above 0`.
///   - found: The value.
/// - Throws: `InputError` unless `holds`.
public func requireSetting(
  _ holds: Bool, _ key: String, _ expected: String, _ found: some CustomStringConvertible
) throws(InputError) {
  guard holds else { throw InputError("out of range", at: key, expected: expected, found: "\(found)") }
}

extension InputError: CustomStringConvertible {
  public var description: String {
    var line = location.map { "\($0): " } ?? ""
    line += problem
    switch (expected, found) {
    case (let expected?, let found?): line += " (expected \(expected), found \(found))"
    case (let expected?, nil): line += " (expected \(expected))"
    case (nil, let found?): line += " (found \(found))"
    case (nil, nil): break
    }
    return remedy.map { "\(line); \($0)" } ?? line
  }
}

extension String {
  /// The text on one line, control characters escaped, with an ellipsis for what is beyond `limit` characters.
  /// - Parameters:
  ///   - limit: The most characters of the text.
  ///   - keepingEnd: Whether the middle is left out, not the end.
  public func excerpt(_ limit: Int, keepingEnd: Bool = false) -> String {
    // Characters have no longest length: one letter may carry a thousand accents.
    let scalars = unicodeScalars
    var text = String.UnicodeScalarView()
    let isLonger =
      scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex)
      .map { $0 != scalars.endIndex } ?? false
    if !isLonger {
      text = scalars
    } else if keepingEnd {
      text.append(contentsOf: scalars.prefix(limit / 2))
      text.append("…")
      text.append(contentsOf: scalars.suffix(limit - limit / 2))
    } else {
      text.append(contentsOf: scalars.prefix(limit))
      text.append("…")
    }
    var line = ""
    for scalar in text {
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator: line += scalar.escaped(asASCII: true)
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line
  }
}
