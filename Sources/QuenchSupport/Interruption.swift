import Foundation
import Synchronization

/// The user's wish to leave, by SIGINT or SIGTERM. The first signal asks for a checkpoint; a second one ends the
/// process.
public enum Interruption {
  private static let requested = Atomic(false)

  /// From now on signals are noted instead of ending the process. For a program's start.
  public static func watch() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        signal(number, SIG_DFL)
        Interruption.requested.store(true, ordering: .relaxed)
      }
    }
  }

  /// Asks for a checkpoint and the end, as a signal does.
  public static func request() { requested.store(true, ordering: .relaxed) }

  public static var isRequested: Bool { requested.load(ordering: .relaxed) }
}

/// A run was left early, with a checkpoint to continue from.
public struct Interrupted: Error, CustomStringConvertible {
  /// Where the checkpoint lies.
  public let folder: URL?

  public init(folder: URL?) { self.folder = folder }

  public var description: String {
    "interrupted" + (folder.map { "; continue with the same command and --resume (folder \($0.path))" } ?? "")
  }
}
