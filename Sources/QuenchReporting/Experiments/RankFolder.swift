import Foundation
import QuenchSupport

/// Where a rank does its part of a run: rank 0 in the run's folder, each of the others in one of its own that is gone when
/// nobody holds it any more. So what experiments write stays where rank 0 wrote it, and no rank needs to see the disk of
/// another: what is there already, where a run goes on, rank 0 hands round.
public final class RankFolder {
  public let url: URL
  private let isTemporary: Bool

  /// - Parameters:
  ///   - ranks: Those that do the run.
  ///   - resumes: Whether the run goes on from what is there.
  ///   - url: The run's folder; only rank 0 asks.
  /// - Throws: What `url` throws; `InputError` if a file cannot be read or written.
  public init(_ ranks: any Ranks, resumes: Bool, of url: () throws -> URL) throws {
    isTemporary = ranks.rank != 0
    self.url =
      try isTemporary
      ? FileManager.default.temporaryDirectory.appending(
        path: "quench-rank-\(UUID().uuidString)", directoryHint: .isDirectory) : url()
    if resumes, ranks.size > 1 { try handRound(ranks) }
  }

  deinit { if isTemporary { try? FileManager.default.removeItem(at: url) } }

  private func handRound(_ ranks: any Ranks) throws(InputError) {
    let names = isTemporary ? [] : files
    let listed = ranks.broadcast(Data(names.joined(separator: "\n").utf8))
    for name in String(decoding: listed, as: UTF8.self).split(separator: "\n").map(String.init) {
      let file = url.appending(path: name)
      let data = ranks.broadcast(isTemporary ? Data() : try InputFile.read(file))
      guard isTemporary else { continue }
      do {
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: file)
      } catch { throw InputError.writing(file, error) }
    }
  }

  /// The paths of the run's files within its folder, but for those that only a reader of the run wants.
  private var files: [String] {
    let all = (try? FileManager.default.subpathsOfDirectory(atPath: url.path)) ?? []
    return all.sorted().filter { path in
      let name = path.split(separator: "/").last.map(String.init) ?? path
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: url.appending(path: path).path, isDirectory: &isFolder)
        && !isFolder.boolValue && name != FolderLock.fileName && name != "report.html"
        && !AtomicFile.isTemporary(name) && !path.contains("tensorboard/")
    }
  }
}
