import Foundation
import QuenchSupport

/// Appends rows of metrics to a file, one JSON object a line, each handed to the system at once.
///
/// A row that holds NaN or infinity keeps its key, with the value `null`.
public final class MetricStream {
  private let url: URL
  private let handle: FileHandle

  /// Starts the file at `url` anew, or continues it after `step`.
  ///
  /// To continue, the lines up to the last row whose `key` is at most `step` stay; all that follows, such as rows
  /// written after the checkpoint that a resumed run starts from and a line torn by a kill, is cut off.
  /// - Parameters:
  ///   - url: The file.
  ///   - step: What the run goes on from; nil for a new run.
  ///   - key: What rows are counted by.
  ///   - warn: Told of damaged lines among those that stay.
  /// - Throws: `InputError` if the file cannot be read or written.
  public init(
    at url: URL, after step: Int? = nil, key: String = "step", warn: (String) -> Void = { _ in }
  ) throws(InputError) {
    self.url = url
    var kept = 0
    if let step, FileManager.default.fileExists(atPath: url.path) {
      let lines = try MetricStream.lines(of: url)
      let last = lines.lastIndex { ($0.record?[key]?.integer ?? .max) <= step }
      if let last {
        kept = lines[last].end
        MetricStream.warn(of: lines[...last], in: url, warn)
      }
    }
    // Appending, a second writer could at worst add lines of its own, never write into this one's.
    let descriptor = open(url.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
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

  /// Sees to it that the rows outlive a loss of power, as what counts on them is about to.
  /// - Throws: `InputError` that names the file.
  public func synchronize() throws(InputError) {
    do { try handle.synchronize() } catch { throw InputError.writing(url, error) }
  }

  /// The rows in the file at `url`. A last line without an end, left by a kill, is passed over, and so are damaged
  /// lines.
  /// - Parameters:
  ///   - url: The file.
  ///   - warn: Told of damaged lines.
  /// - Throws: `InputError` if the file cannot be read.
  public static func read(_ url: URL, warn: (String) -> Void = { _ in }) throws(InputError) -> [Record] {
    let lines = try lines(of: url)
    MetricStream.warn(of: lines[...], in: url, warn)
    return lines.compactMap(\.record)
  }

  /// A complete line: its row, nil if it is damaged, and the byte offset behind it.
  private typealias Line = (record: Record?, end: Int)

  private static func lines(of url: URL) throws(InputError) -> [Line] {
    let data = try InputFile.read(url)
    var lines: [Line] = []
    var start = data.startIndex
    while let end = data[start...].firstIndex(of: UInt8(ascii: "\n")) {
      let value = try? Value(json: Data(data[start..<end]), name: url.path)
      start = end + 1
      lines.append((value?.record, start))
    }
    return lines
  }

  private static func warn(of lines: ArraySlice<Line>, in url: URL, _ warn: (String) -> Void) {
    let damaged = lines.indices.filter { lines[$0].record == nil }
    guard let first = damaged.first else { return }
    warn(
      damaged.count == 1
        ? "\(url.path): line \(first + 1) is damaged and passed over"
        : "\(url.path): \(damaged.count) lines are damaged and passed over, the first of them line \(first + 1)")
  }
}
