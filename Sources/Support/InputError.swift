/// Something from outside (a file, a flag, a network answer, a user's model) is not as it must be.
///
/// One line tells the whole story: what is wrong, where, what was expected, what was found and what to do.
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
    self.problem = problem
    self.location = location
    self.expected = expected
    self.found = found
    self.remedy = remedy
  }
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
