import Foundation

/// Files that appear whole or not at all: written under a temporary name, synced, then renamed, and the folder synced.
public enum AtomicFile {
  /// Writes `data` to `url`, replacing what is there.
  /// - Throws: ``InputError`` that names the file if the folder is missing, the disk is full or writing is refused.
  public static func write(_ data: Data, to url: URL) throws(InputError) {
    try write(to: url) { handle in try handle.write(contentsOf: data) }
  }

  /// Gives `body` a handle on a temporary file beside `url` and renames it to `url` when `body` returns.
  /// When anything fails the temporary file is removed and what was at `url` stays.
  public static func write(to url: URL, _ body: (FileHandle) throws -> Void) throws(InputError) {
    let temporary = url.deletingLastPathComponent()
      .appendingPathComponent(".\(url.lastPathComponent).\(UUID().uuidString).tmp")
    do {
      let descriptor = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
      flock(descriptor, LOCK_EX | LOCK_NB)  // what tells this file from one that a killed process left
      let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
      do {
        try body(handle)
        try handle.synchronize()
        try handle.close()
      } catch {
        try? handle.close()
        throw error
      }
      guard rename(temporary.path, url.path) == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    } catch {
      unlink(temporary.path)
      throw InputError.writing(url, error)
    }
    synchronizeFolder(of: url)
  }

  /// Sees to it that the name at `url` outlives a loss of power. File systems that cannot are left as they are.
  public static func synchronizeFolder(of url: URL) {
    let descriptor = open(url.deletingLastPathComponent().path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// Removes the temporary files of `folder` that processes left which were killed while they wrote; those that are
  /// being written stay.
  public static func sweep(_ folder: URL) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] where isTemporary(name) {
      let path = folder.appending(path: name).path
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
      close(descriptor)
    }
  }

  /// Whether a file of this name is one that is being written, or was when its process was killed.
  public static func isTemporary(_ name: String) -> Bool {
    name.wholeMatch(of: /\..+\.[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\.tmp/) != nil
  }
}

extension InputError {
  /// The error for a file at `url` that could not be written for the reason `error`.
  public static func writing(_ url: URL, _ error: any Error) -> InputError {
    if let error = error as? InputError { return error }
    return InputError(
      "cannot write the file: \(reason(of: error))", at: url.path,
      remedy: "check that the folder exists, may be written and has space left")
  }

  /// The error for a file at `url` that could not be read for the reason `error`.
  public static func reading(_ url: URL, _ error: any Error) -> InputError {
    if let error = error as? InputError { return error }
    return InputError("cannot read the file: \(reason(of: error))", at: url.path)
  }

  /// The operating system's own words where there are any.
  private static func reason(of error: any Error) -> String {
    if let error = error as? POSIXError { return String(cString: strerror(error.code.rawValue)) }
    let error = error as NSError
    if let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError, underlying.domain == NSPOSIXErrorDomain {
      return String(cString: strerror(Int32(underlying.code)))
    }
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(error.code))) }
    switch CocoaError.Code(rawValue: error.code) {
    case .fileReadNoSuchFile, .fileNoSuchFile: return "no such file"
    case .fileReadNoPermission, .fileWriteNoPermission: return "permission denied"
    case .fileWriteOutOfSpace: return "no space left on device"
    default: return error.localizedDescription
    }
  }
}
