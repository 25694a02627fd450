import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The states that a run can go on from: the last and the one before it, each in a file with a checksum.
public struct Checkpoints: Sendable {
  /// A state and what was noted beside it.
  public struct Content {
    public let state: StateDictionary
    public let metadata: [String: String]
    /// The file, for errors.
    public let url: URL
  }

  public let folder: URL
  public var last: URL { folder.appending(path: "last.safetensors") }
  public var previous: URL { folder.appending(path: "previous.safetensors") }

  public init(in folder: RunFolder) { self.folder = folder.checkpoints }

  /// Writes a state as the last; what was the last becomes the one before.
  /// - Throws: `InputError` if it cannot be written; what was there stays then.
  public func write(_ state: StateDictionary, metadata: [String: String]) throws(InputError) {
    let next = folder.appending(path: "next.safetensors")
    try Safetensors.write(state, metadata: metadata, hasChecksum: true, to: next)
    // The old file keeps its name until the new one takes it, so that there is a last one at any time.
    unlink(previous.path)
    if link(last.path, previous.path) != 0, errno != ENOENT { rename(last.path, previous.path) }
    guard rename(next.path, last.path) == 0 else {
      throw InputError.writing(last, POSIXError(.init(rawValue: errno) ?? .EIO))
    }
    AtomicFile.synchronizeFolder(of: last)
  }

  /// The last state, or the one before where that is damaged; nil where none was written yet.
  /// - Parameter warn: Told if it is not the last, and why.
  /// - Throws: `InputError` if there are states and all are damaged, or if the run had diverged.
  public func read(warn: (String) -> Void) throws(InputError) -> Content? {
    guard let content = try intact(warn: warn) else { return nil }
    for (name, tensor) in content.state where tensor.dtype.isFloatingPoint && tensor.isNaN().any() {
      throw InputError(
        "the checkpoint holds NaN: the run diverged before it was written",
        at: "\(content.url.path), tensor '\(name)'",
        remedy: "start a new run in another folder, with a lower learning rate")
    }
    return content
  }

  private func intact(warn: (String) -> Void) throws(InputError) -> Content? {
    var failure: InputError?
    for url in [last, previous] where FileManager.default.fileExists(atPath: url.path) {
      do {
        let file = try Safetensors(contentsOf: url)
        try file.verifyChecksum()
        let content = Content(state: try file.stateDictionary(), metadata: file.metadata, url: url)
        if url == previous {
          warn(
            "note: \(failure.map { "\($0)" } ?? "\(last.path) is missing"); going on from the checkpoint before it")
        }
        return content
      } catch { failure = failure ?? error }
    }
    guard var failure else { return nil }
    failure.remedy = "there is no other checkpoint: start the run anew in another folder"
    throw failure
  }
}
