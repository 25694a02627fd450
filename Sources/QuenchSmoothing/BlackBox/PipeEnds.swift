import Foundation
import QuenchSupport
import QuenchVision

/// Waits for a pipe, no longer than it may, and not once the user asked to leave.
struct PipeDeadline {
  /// The other side did nothing for so many seconds.
  struct Passed: Error { var seconds: Double }

  /// Seconds that an answer which is on its way may still take once the user asked to leave.
  private static let grace = 2.0

  private let start = ContinuousClock.now
  /// Nil: for ever.
  private let seconds: Double?
  private var interruption: ContinuousClock.Instant?

  init(seconds: Double?) { self.seconds = seconds }

  /// Waits until the pipe can be read or written.
  /// - Parameter event: `POLLIN` or `POLLOUT`.
  /// - Throws: ``Passed``; `Interrupted`.
  mutating func wait(for event: Int32, on handle: FileHandle) throws {
    while true {
      var poll = pollfd(fd: handle.fileDescriptor, events: Int16(event), revents: 0)
      if Foundation.poll(&poll, 1, 200) > 0 { return }
      let now = ContinuousClock.now
      if let seconds, (now - start) / .seconds(1) > seconds { throw Passed(seconds: seconds) }
      guard Interruption.isRequested else { continue }
      let asked = interruption ?? now
      interruption = asked
      if (now - asked) / .seconds(1) > Self.grace { throw Interrupted(folder: nil) }
    }
  }
}

/// Reads lines and runs of bytes from a pipe.
struct PipeReader: Sendable {
  let handle: FileHandle
  /// In which a line or a run of bytes must be there; nil: any time.
  var seconds: Double?

  /// The next line, without its end; nil where there is none.
  func line() throws -> Data? {
    var line = Data()
    var deadline = PipeDeadline(seconds: seconds)
    while let byte = try part(1, &deadline) {
      if byte[byte.startIndex] == UInt8(ascii: "\n") { return line }
      line += byte
      guard line.count < 1 << 16 else { return line }
    }
    return nil
  }

  /// The next `count` bytes; nil where there are fewer.
  func bytes(_ count: Int) throws -> Data? {
    var data = Data()
    var deadline = PipeDeadline(seconds: seconds)
    while data.count < count, let part = try part(count - data.count, &deadline) { data += part }
    return data.count == count ? data : nil
  }

  private func part(_ most: Int, _ deadline: inout PipeDeadline) throws -> Data? {
    try deadline.wait(for: Int32(POLLIN), on: handle)
    var buffer = [UInt8](repeating: 0, count: min(most, 1 << 20))
    let count = Foundation.read(handle.fileDescriptor, &buffer, buffer.count)
    return count > 0 ? Data(buffer.prefix(count)) : nil
  }
}

/// Writes to a pipe whose other side may not read.
struct PipeWriter {
  private let handle: FileHandle
  private let seconds: Double?

  /// - Parameter seconds: In which a message must be taken; nil: any time.
  init(_ handle: FileHandle, seconds: Double?) {
    self.handle = handle
    self.seconds = seconds
    let flags = fcntl(handle.fileDescriptor, F_GETFL)
    _ = fcntl(handle.fileDescriptor, F_SETFL, flags | O_NONBLOCK)
  }

  /// - Returns: False if nobody reads any more.
  func write(_ message: Data) throws -> Bool {
    var (rest, deadline) = (message[...], PipeDeadline(seconds: seconds))
    while !rest.isEmpty {
      try deadline.wait(for: Int32(POLLOUT), on: handle)
      let count = rest.withUnsafeBytes { Foundation.write(handle.fileDescriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EAGAIN && errno != EINTR { return false }
    }
    return true
  }
}
