#if os(Linux)
  import Foundation

  /// A file system in memory that is soon full.
  ///
  /// It is reached through a descriptor of this process and has no name, so that it goes with the process, however that
  /// ends.
  public final class SmallDisk: Sendable {
    /// Its folder, for as long as this lives; other processes see it too.
    public let url: URL
    private let descriptor: Int32

    /// Whether one can be made here: it takes root, and not every container lets it.
    public static let isPossible = (try? SmallDisk(kilobytes: 64)) != nil

    public init(kilobytes: Int) throws {
      let folder = try TemporaryFolder()
      try SmallDisk.command("mount", "-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", folder.url.path)
      descriptor = open(folder.url.path, O_RDONLY | O_CLOEXEC)
      try SmallDisk.command("umount", "--lazy", folder.url.path)
      url = URL(filePath: "/proc/\(getpid())/fd/\(descriptor)", directoryHint: .isDirectory)
    }

    deinit { close(descriptor) }

    private static func command(_ words: String...) throws {
      let process = Process()
      process.executableURL = URL(filePath: "/usr/bin/env")
      process.arguments = words
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      guard process.terminationStatus == 0 else { throw POSIXError(.EPERM) }
    }
  }
#endif
