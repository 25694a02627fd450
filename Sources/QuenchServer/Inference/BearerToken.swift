import Foundation
import QuenchSupport

/// A secret that a request carries as `Authorization: Bearer TOKEN` (RFC 6750).
public struct BearerToken: Hashable, Sendable {
  private let value: String

  /// Reads it from a file, where neither the list of processes nor a run's record shows it.
  /// - Throws: `InputError` unless the file holds one line of visible ASCII characters.
  public init(contentsOf path: String) throws(InputError) {
    let tokens = try Self.all(contentsOf: path)
    guard tokens.count == 1 else {
      throw InputError("this is no token", at: path, expected: "one line", found: "\(tokens.count)")
    }
    self = tokens[0]
  }

  /// Reads several from a file, one a line; empty lines are left out.
  /// - Throws: `InputError` unless there is one at least, and all are visible ASCII characters.
  public static func all(contentsOf path: String) throws(InputError) -> [BearerToken] {
    let text = String(decoding: try InputFile.read(URL(filePath: path), limit: 1 << 20), as: UTF8.self)
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { !$0.isEmpty }
    guard !lines.isEmpty, lines.allSatisfy({ $0.utf8.allSatisfy { (0x21...0x7e).contains($0) } }) else {
      throw InputError("this is no token", at: path, expected: "a line of letters, digits and signs")
    }
    return lines.map { BearerToken(value: $0) }
  }

  private init(value: String) { self.value = value }

  /// The header's value.
  var header: String { "Bearer \(value)" }

  /// Whether a header's value carries this token; as slow for a near miss as for a far one. The scheme's name may be
  /// written in any case (RFC 9110, section 11.1).
  func admits(_ header: String?) -> Bool {
    let parts = (header ?? "").split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return false }
    let (expected, found) = (Array(value.utf8), Array(parts[1].trimmingCharacters(in: .whitespaces).utf8))
    guard expected.count == found.count else { return false }
    return zip(expected, found).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
