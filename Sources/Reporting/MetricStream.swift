import Foundation
import Support

/// Appends rows of metrics to a file, one JSON object a line, each handed to the system at once.
///
/// A row that holds NaN or infinity keeps its key, with the value `null`.
public final class MetricStream {
  private let url: URL
  private let handle: FileHandle

  /// Starts the file at `url` anew, or continues it after `step`.
  ///
  /// To continue, the rows up to the last one whose `key` is at most `step` stay; all that follows, such as rows
  /// written after the checkpoint that a resumed run starts from and a line torn by a kill, is cut off.
  /// - Throws: `InputError` if the file cannot be written, or if what is to stay is not one JSON object a line.
  public init(at url: URL, after step: Int? = nil, key: String = "step") throws(InputError) {
    self.url = url
    var kept = 0
    if let step, FileManager.default.fileExists(atPath: url.path) {
      kept = try MetricStream.rows(of: url).last { ($0.record[key]?.integer ?? .max) <= step }?.end ?? 0
    }
    let descriptor = open(url.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw InputError.writing(url, POSIXError(.init(rawValue: errno) ?? .EIO)) }
    handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    do { try handle.truncate(atOffset: UInt64(kept)) } catch { throw InputError.writing(url, error) }
  }

  /// Appends one row.
  /// - Throws: `InputError` that names the file, for instance if the disk is full.
  public func append(_ row: Record) throws(InputError) {
    do { try handle.write(contentsOf: Data((Value.object(row).json() + "\n").utf8)) } catch {
      throw InputError.writing(url, error)
    }
  }

  /// The rows in the file at `url`. A last line without an end, left by a kill, is skipped.
  /// - Throws: `InputError` that names the line which is no JSON object.
  public static func read(_ url: URL) throws(InputError) -> [Record] {
    try rows(of: url).map(\.record)
  }

  /// The complete rows and the byte offset behind each.
  private static func rows(of url: URL) throws(InputError) -> [(record: Record, end: Int)] {
    let data: Data
    do { data = try Data(contentsOf: url) } catch { throw InputError.reading(url, error) }
    var rows: [(Record, Int)] = []
    var start = data.startIndex
    while let end = data[start...].firstIndex(of: UInt8(ascii: "\n")) {
      let name = "\(url.path), line \(rows.count + 1)"
      guard let record = try Value(json: Data(data[start..<end]), name: name).record else {
        throw InputError("a JSON object is expected", at: name)
      }
      start = end + 1
      rows.append((record, start))
    }
    return rows
  }
}
