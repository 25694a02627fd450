import Foundation
import Support

/// A secret that a request carries as `Authorization: Bearer TOKEN` (RFC 6750).
public struct BearerToken: Hashable, Sendable {
  private let value: String

  /// Reads it from a file, where neither the list of processes nor a run's record shows it.
  /// - Throws: `InputError` unless the file holds one line of visible ASCII characters.
  public init(contentsOf path: String) throws(InputError) {
    let text: String
    do { text = try String(contentsOf: URL(filePath: path), encoding: .utf8) } catch {
      throw InputError("the token cannot be read: \(error.localizedDescription)", at: path)
    }
    value = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard !value.isEmpty, value.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw InputError("this is no token", at: path, expected: "one line of letters, digits and signs")
    }
  }

  /// The header's value.
  var header: String { "Bearer \(value)" }

  /// Whether a header's value carries this token; as slow for a near miss as for a far one.
  func admits(_ header: String?) -> Bool {
    let (expected, found) = (Array(self.header.utf8), Array((header ?? "").utf8))
    guard expected.count == found.count else { return false }
    return zip(expected, found).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
