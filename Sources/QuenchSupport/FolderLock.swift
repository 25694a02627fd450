import Foundation

/// The right to write a folder or a file, which one process has at a time and loses with its end, however it ends.
///
/// The lock is advisory (`flock` on a hidden file that says who holds it): it keeps out only those who ask for it as
/// well. It is given up, and its file removed, when the last reference goes. File systems that know no locks give
/// everyone the right.
public final class FolderLock: Sendable {
  /// The name of the file that locks a folder; it stays behind when its process is killed.
  public static let fileName = ".lock"

  private let file: URL
  private let descriptor: Int32

  /// Locks the folder at `folder`, which must exist.
  /// - Parameters:
  ///   - folder: What this process is about to write to.
  ///   - command: What others are told that this process does.
  ///   - patience: How long the lock is waited for: a holder that is being killed is gone in a moment.
  /// - Throws: ``InputError`` that names the holder if another process, or another lock of this one, holds it.
  public convenience init(
    folder: URL, for command: [String] = CommandLine.arguments, patience: Duration = .zero
  ) throws(InputError) {
    try self.init(folder.appending(path: Self.fileName), on: folder, command, patience)
  }

  /// Locks the file at `file`, which need not exist, by a hidden file beside it.
  /// - Parameters:
  ///   - file: What this process is about to write.
  ///   - command: What others are told that this process does.
  /// - Throws: ``InputError`` that names the holder if another process, or another lock of this one, holds it.
  public convenience init(file: URL, for command: [String] = CommandLine.arguments) throws(InputError) {
    let lock = file.deletingLastPathComponent().appending(path: ".\(file.lastPathComponent).lock")
    try self.init(lock, on: file, command, .zero)
  }

  private init(
    _ file: URL, on subject: URL, _ command: [String], _ patience: Duration
  ) throws(InputError) {
    self.file = file
    let deadline = ContinuousClock.now + patience
    while true {
      let descriptor = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw InputError.writing(file, POSIXError(.init(rawValue: errno) ?? .EIO)) }
      if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
        let holder = Self.text(descriptor)
        close(descriptor)
        if .now < deadline {
          usleep(10_000)
          continue
        }
        throw InputError(
          "another process is writing here", at: subject.path, found: holder.isEmpty ? nil : holder,
          remedy: "wait until it has ended, or end it")
      }
      // Between opening and locking the holder may have given the lock up and removed its file.
      guard Self.isSameFile(descriptor, file) else {
        close(descriptor)
        continue
      }
      self.descriptor = descriptor
      break
    }
    Self.write(Self.holder(command), descriptor)
  }

  deinit {
    if Self.isSameFile(descriptor, file) { unlink(file.path) }  // the folder may have been moved away meanwhile
    close(descriptor)
  }

  /// `process 4242 on box since 2026-03-01T12:00:00Z: quench train --resume`
  private static func holder(_ command: [String]) -> String {
    let words = ([URL(filePath: command.first ?? "").lastPathComponent] + command.dropFirst()).joined(
      separator: " ")
    let since = Date.now.formatted(.iso8601)
    return "process \(getpid()) on \(ProcessInfo.processInfo.hostName) since \(since): \(words.prefix(200))"
  }

  private static func write(_ text: String, _ descriptor: Int32) {
    _ = ftruncate(descriptor, 0)
    var text = text
    _ = text.withUTF8 { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }

  private static func text(_ descriptor: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).trimmingCharacters(
      in: .whitespacesAndNewlines)
  }

  private static func isSameFile(_ descriptor: Int32, _ file: URL) -> Bool {
    var (opened, named) = (stat(), stat())
    return fstat(descriptor, &opened) == 0 && stat(file.path, &named) == 0 && opened.st_ino == named.st_ino
      && opened.st_dev == named.st_dev
  }
}
