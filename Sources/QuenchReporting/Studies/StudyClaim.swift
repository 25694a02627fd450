import Foundation
import QuenchSupport
import Synchronization

/// The right to do one run of a study, which one worker has at a time, on whichever machine.
///
/// The n-th holder of a run made the file `.claim-n` in its folder, which file systems grant to one process alone, also over
/// a network. It touches the file as long as it lives; a file that was not touched for the time of a lease, by the file
/// system's own clock, is of a holder that is gone: whoever makes `.claim-(n+1)` comes in its place and removes it, which tells
/// a holder that was only asleep.
public final class StudyClaim: Sendable {
  /// Seconds without a sign of life after which a holder counts as gone.
  public static let usualLease = 120.0

  private static let prefix = ".claim-"

  private let file: URL
  private let descriptor: Int32
  private let isReleased = Atomic(false)

  /// Claims the run in `folder`; nil where another worker holds it.
  /// - Parameters:
  ///   - folder: The run's, which exists.
  ///   - lease: Seconds without a sign of life after which a holder counts as gone.
  ///   - didLose: Called, from another thread, when another worker took the run over because this one gave no sign.
  /// - Throws: `InputError` if the folder cannot be read or written.
  public init?(
    _ folder: URL, lease: Double = usualLease, didLose: @escaping @Sendable () -> Void = {}
  ) throws(InputError) {
    let last = try Self.last(in: folder)
    if let last, try last.age(in: folder) < lease { return nil }
    let number = (last?.number ?? 0) + 1
    file = folder.appending(path: "\(Self.prefix)\(number)")
    descriptor = open(file.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      guard errno != EEXIST else { return nil }
      throw InputError.writing(file, POSIXError(.init(rawValue: errno) ?? .EIO))
    }
    var text = "process \(getpid()) on \(ProcessInfo.processInfo.hostName) since \(Date.now.formatted(.iso8601))"
    _ = text.withUTF8 { write(descriptor, $0.baseAddress, $0.count) }
    if let last { unlink(last.file.path) }
    keep(lease, didLose)
  }

  deinit {
    release()
    if descriptor >= 0 { close(descriptor) }
  }

  /// Gives the run back, if it was not lost.
  public func release() {
    // An initializer that lost the race for the file comes by here too, without one.
    guard descriptor >= 0, !isReleased.exchange(true, ordering: .relaxed), isThere else { return }
    unlink(file.path)
  }

  /// Who holds the run in `folder`; nil where nobody does.
  /// - Throws: `InputError` if the folder cannot be read or written.
  static func holder(of folder: URL, lease: Double) throws(InputError) -> String? {
    guard let last = try last(in: folder), try last.age(in: folder) < lease else { return nil }
    let text = (try? InputFile.read(last.file, limit: 4096)) ?? Data()
    return text.isEmpty ? "another worker" : String(decoding: text, as: UTF8.self)
  }

  private func keep(_ lease: Double, _ didLose: @escaping @Sendable () -> Void) {
    Thread.detachNewThread { [weak self] in
      var next = ContinuousClock.now
      while let claim = self, !claim.isReleased.load(ordering: .relaxed) {
        if .now >= next {
          guard claim.isTouched() else { return didLose() }
          next = .now + .seconds(lease / 6)
        }
        Thread.sleep(forTimeInterval: min(0.2, lease / 6))
      }
    }
  }

  /// Whether the file has its name still.
  private var isThere: Bool {
    var file = stat()
    return fstat(descriptor, &file) == 0 && file.st_nlink > 0
  }

  /// Gives a sign of life.
  /// - Returns: Whether this worker holds the run still, or gave it back.
  private func isTouched() -> Bool {
    futimens(descriptor, nil) == 0 && isThere || isReleased.load(ordering: .relaxed)
  }

  private struct Last {
    var number: Int
    var file: URL

    /// Seconds since the file was touched, by the clock of the file system that holds it. One that has gone meanwhile is
    /// old.
    func age(in folder: URL) throws(InputError) -> Double {
      var touched = stat()
      guard stat(file.path, &touched) == 0 else { return .infinity }
      let probe = folder.appending(path: ".now-\(UUID().uuidString)")
      let descriptor = open(probe.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw InputError.writing(probe, POSIXError(.init(rawValue: errno) ?? .EIO)) }
      var now = stat()
      fstat(descriptor, &now)
      close(descriptor)
      unlink(probe.path)
      return now.modified - touched.modified
    }
  }

  private static func last(in folder: URL) throws(InputError) -> Last? {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path) } catch {
      throw InputError.reading(folder, error)
    }
    let numbers = names.compactMap { $0.hasPrefix(prefix) ? Int($0.dropFirst(prefix.count)) : nil }
    return numbers.max().map { Last(number: $0, file: folder.appending(path: "\(prefix)\($0)")) }
  }
}

extension stat {
  /// Seconds since 1970.
  fileprivate var modified: Double {
    #if canImport(Darwin)
      let time = st_mtimespec
    #else
      let time = st_mtim
    #endif
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
