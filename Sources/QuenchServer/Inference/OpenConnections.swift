import Hummingbird
import HummingbirdCore
import NIOCore
import Synchronization

/// The connections of a server, up to a limit. Where there is no more room, those end that keep the server waiting, so
/// that nobody locks others out by holding some.
final class OpenConnections: AvailableConnectionsDelegate {
  /// What a connection waits for its client to do.
  enum Awaited {
    /// To ask something.
    case request
    /// To send the rest of a request.
    case body

    /// How long where there is no more room.
    fileprivate var patience: TimeAmount {
      switch self {
      case .request: .seconds(2)
      case .body: .seconds(10)
      }
    }
  }

  private struct State {
    var count = 0
    /// Those that wait for their clients, with when that has lasted too long.
    var waiting: [ObjectIdentifier: (end: NIODeadline, channel: any Channel)] = [:]
  }

  private let limit: Int
  private let state = Mutex(State())

  init(limit: Int) { self.limit = limit }

  func connectionOpened() { state.withLock { $0.count += 1 } }

  func connectionClosed() { state.withLock { $0.count -= 1 } }

  func isAcceptingNewConnections() -> Bool { state.withLock { $0.count < limit } }

  /// - Parameter awaited: Nil: the client waits for the server, or is gone.
  func note(_ channel: any Channel, awaits awaited: Awaited?) {
    state.withLock { $0.waiting[ObjectIdentifier(channel)] = awaited.map { (.now() + $0.patience, channel) } }
  }

  /// Ends the connections that waited too long, if there is no more room. To be called every second.
  func makeRoom() {
    let ended = state.withLock { state in
      state.count < limit ? [] : state.waiting.values.filter { $0.end <= .now() }.map(\.channel)
    }
    for channel in ended { channel.close(promise: nil) }
  }
}
