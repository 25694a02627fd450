import Foundation

/// A file from outside, opened to be read: one of bytes, or a pipe or device that gives its bytes once.
public final class InputFile: Sendable {
  public let url: URL
  /// How long the file is; nil for a pipe or a device, which cannot say.
  public let count: Int?
  /// Whether it gives its bytes once: a pipe, a terminal, a socket.
  public let isStream: Bool
  private let descriptor: Int32

  /// Opens the file at `url`.
  /// - Throws: ``InputError`` if it cannot be opened or is a folder.
  public init(_ url: URL) throws(InputError) {
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let isMissing = errno == ENOENT
      throw InputError.reading(
        url, isMissing ? CocoaError(.fileReadNoSuchFile) : POSIXError(.init(rawValue: errno) ?? .EIO))
    }
    self.url = url
    self.descriptor = descriptor
    var status = stat()
    let kind = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
    // Files that the system makes up, such as those in /proc, say 0 and have content all the same.
    count = kind == S_IFREG && status.st_size > 0 ? Int(status.st_size) : nil
    isStream = kind != S_IFREG
    guard kind != S_IFDIR else { throw InputError("this is a folder", at: url.path, expected: "a file") }
  }

  deinit { close(descriptor) }

  /// The content of the file at `url`: all of it, or an error.
  /// - Parameters:
  ///   - url: A file, or a pipe, which is read to its end.
  ///   - limit: The most bytes that are taken. A longer file is refused before it is read.
  /// - Throws: ``InputError`` that names the file if it cannot be read, is a folder or is longer.
  public static func read(_ url: URL, limit: Int = 1 << 30) throws(InputError) -> Data {
    try InputFile(url).read(limit: limit)
  }

  /// What is left of the content, at most `limit` bytes.
  /// - Throws: ``InputError`` that names the file if it cannot be read or is longer.
  public func read(limit: Int = 1 << 30) throws(InputError) -> Data {
    if let count, count > limit { throw tooLong(limit, found: "\(count)") }
    var content = Data()
    while content.count <= limit {
      let block = try block(of: min(max((count ?? 0) - content.count, 1 << 16), limit + 1 - content.count))
      guard !block.isEmpty else { return content }
      if content.isEmpty { content = block } else { content += block }
    }
    throw tooLong(limit, found: "more")
  }

  /// The bytes at `range` of a file of bytes.
  /// - Throws: ``InputError`` if the file ends before, as one does that was cut while it was read.
  public func read(_ range: Range<Int>) throws(InputError) -> Data {
    var content = Data(count: range.count)
    var done = 0
    while done < range.count {
      let taken = content.withUnsafeMutableBytes { bytes in
        pread(descriptor, bytes.baseAddress?.advanced(by: done), range.count - done, off_t(range.lowerBound + done))
      }
      if taken < 0, errno == EINTR { continue }
      guard taken >= 0 else { throw InputError.reading(url, POSIXError(.init(rawValue: errno) ?? .EIO)) }
      guard taken > 0 else {
        throw InputError(
          "the file became shorter while it was read", at: url.path,
          expected: count.map { "\($0) bytes" }, found: "\(range.lowerBound + done)",
          remedy: "wait until it is written, then try again")
      }
      done += taken
    }
    return content
  }

  /// The next bytes, at most `size`; none at the end.
  private func block(of size: Int) throws(InputError) -> Data {
    var content = Data(count: size)
    while true {
      let taken = content.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, size) }
      if taken < 0, errno == EINTR { continue }
      guard taken >= 0 else { throw InputError.reading(url, POSIXError(.init(rawValue: errno) ?? .EIO)) }
      return taken == size ? content : content.prefix(taken)
    }
  }

  private func tooLong(_ limit: Int, found: String) -> InputError {
    InputError("the file is too long", at: url.path, expected: "at most \(limit) bytes", found: found)
  }
}

/// Bytes that are read piece by piece: those of a file, or of data in memory.
///
/// A file is never mapped: one that shrinks meanwhile is an error, not a signal that ends the process.
public struct ByteSource: Sendable {
  private enum Storage {
    case memory(Data)
    case file(InputFile)
  }

  /// What the bytes are, for errors: usually the file's path.
  public let name: String
  public let count: Int
  private let storage: Storage

  /// Bytes in memory, which `name` stands for in errors.
  public init(_ data: Data, name: String) {
    (storage, count, self.name) = (.memory(data), data.count, name)
  }

  /// The bytes of the file at `url`. A pipe's are read here, to the end.
  /// - Throws: ``InputError`` if it cannot be read or is a folder.
  public init(contentsOf url: URL) throws(InputError) {
    let file = try InputFile(url)
    name = url.path
    if let count = file.count {
      (storage, self.count) = (.file(file), count)
    } else {
      let data = try file.read(limit: 4 << 30)
      (storage, count) = (.memory(data), data.count)
    }
  }

  /// The bytes at `range`.
  /// - Throws: ``InputError`` if they end before.
  public func read(_ range: Range<Int>) throws(InputError) -> Data {
    guard range.lowerBound >= 0, range.upperBound <= count else {
      throw InputError(
        "the data end too early", at: "\(name), byte \(range.lowerBound)", expected: "\(range.count) more bytes",
        found: "\(max(0, count - range.lowerBound))", remedy: "the file is truncated: fetch or write it again")
    }
    switch storage {
    case .memory(let data):
      return data.subdata(in: data.startIndex + range.lowerBound..<data.startIndex + range.upperBound)
    case .file(let file): return try file.read(range)
    }
  }

  /// SHA-256 of all bytes, those at `blank` taken as the character 0.
  /// - Throws: ``InputError`` if the file ends before.
  public func sha256(blanking blank: Range<Int> = 0..<0) throws(InputError) -> String {
    let hasher = Fingerprint.Hasher()
    for start in stride(from: 0, to: count, by: 1 << 20) {
      let range = start..<min(start + 1 << 20, count)
      var block = try read(range)
      for position in blank.clamped(to: range) {
        block[block.startIndex + position - start] = UInt8(ascii: "0")
      }
      hasher.update(block)
    }
    return hasher.finish()
  }
}

extension Data {
  /// What `body` makes of the bytes, which are valid only while it runs; its type of error is kept.
  public func parse<T>(_ body: (UnsafeRawBufferPointer) throws(InputError) -> T) throws(InputError) -> T {
    try withUnsafeBytes { bytes in
      Result { () throws(InputError) -> T in try body(bytes) }
    }.get()
  }
}
