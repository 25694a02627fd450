import Foundation
import QuenchSupport

/// When each image of a session was taken, as text, a line an image: `name,YYYY-MM-DD HH:MM:SS`.
public struct TimestampFile: Sendable {
  public struct Entry: Hashable, Sendable {
    public var image: String
    /// Seconds since 1970 of the clock on the wall, which may jump when summer time begins or ends.
    public var seconds: Int
  }

  /// In the order of the file.
  public var entries: [Entry]

  /// - Throws: `InputError` that names the file and the line.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(parsing: try InputError.read(url), name: url.path)
  }

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: The file, for errors.
  /// - Throws: `InputError` that names the line that is no name and time, or if there are none.
  public init(parsing data: Data, name: String) throws(InputError) {
    let file = try DelimitedFile(parsing: data, name: name)
    entries = []
    for row in file.rows {
      guard row.fields.count == 2, !row.fields[0].isEmpty, let seconds = Self.seconds(row.fields[1][...]) else {
        throw InputError(
          "this is no time stamp", at: file.location(row), expected: "name,YYYY-MM-DD HH:MM:SS",
          found: "'\(row.fields.joined(separator: ",").prefix(80))'")
      }
      entries.append(Entry(image: row.fields[0], seconds: seconds))
    }
    guard !entries.isEmpty else {
      throw InputError("the file holds no time stamps", at: name, expected: "lines name,YYYY-MM-DD HH:MM:SS")
    }
  }

  private static let format = Date.ISO8601FormatStyle(timeZone: .gmt)
    .year().month().day().dateTimeSeparator(.space).time(includingFractionalSeconds: false)

  /// Seconds since 1970 of `2021-03-02 11:51:50`; nil if the text is no time that there is.
  static func seconds(_ text: Substring) -> Int? {
    let text = text.trimmingCharacters(in: .whitespaces)
    guard text.utf8.count == 19, let date = try? Date(text, strategy: format), date.formatted(format) == text else {
      return nil
    }
    return Int(date.timeIntervalSince1970)
  }

  /// The text of `2021-03-02 11:51:50` for seconds since 1970.
  static func text(_ seconds: Int) -> String { Date(timeIntervalSince1970: Double(seconds)).formatted(format) }

  /// The stamps as text, in order.
  public static func text(of entries: [Entry]) -> String {
    entries.map { "\($0.image),\(text($0.seconds))\n" }.joined()
  }
}
