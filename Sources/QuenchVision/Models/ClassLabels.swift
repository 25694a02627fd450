import Foundation
import QuenchSupport

/// The names of classes, one a line, as files beside data sets and networks list them.
public struct ClassLabels: Hashable, Sendable {
  /// In label order.
  public let names: [String]

  /// - Throws: `InputError` if the file cannot be read, is no text, or a line is empty.
  public init(contentsOf url: URL) throws(InputError) {
    guard let text = String(data: try InputFile.read(url, limit: 1 << 24), encoding: .utf8) else {
      throw InputError("the labels are no text", at: url.path, expected: "UTF-8, a label on each line")
    }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
      $0.trimmingCharacters(in: .whitespaces.union(["\r"]))
    }
    while lines.last?.isEmpty == true { lines.removeLast() }
    guard !lines.isEmpty else { throw InputError("the file holds no labels", at: url.path) }
    if let empty = lines.firstIndex(of: "") {
      throw InputError("a label is empty", at: "\(url.path), line \(empty + 1)")
    }
    names = lines
  }
}
