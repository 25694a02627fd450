import Foundation
import QuenchSupport

/// The time of a session while a process follows it: goes on by a clock that nobody can set, so that a computer's clock
/// that jumps does not end the session.
public struct SessionClock {
  /// Differences of less than this many minutes are no jumps: clocks are mended by small steps all the time.
  static let tolerance = 1.0

  private let log: AcquisitionLog
  private let monotonic: () -> Double
  private let wall: () -> Date
  /// Minutes of the session when the monotonic clock was at `origin`.
  private var start: Double
  private var origin: Double

  /// - Parameters:
  ///   - log: The session's.
  ///   - wall: The computer's clock.
  ///   - monotonic: Minutes by a clock that only goes on, also while the computer sleeps.
  public init(
    _ log: AcquisitionLog, wall: @escaping () -> Date = { Date() },
    monotonic: @escaping () -> Double = SessionClock.bootMinutes
  ) throws(InputError) {
    (self.log, self.wall, self.monotonic) = (log, wall, monotonic)
    (start, origin) = (try log.minutes(at: wall()), monotonic())
  }

  /// Minutes since an unknown moment.
  public static func bootMinutes() -> Double {
    var time = timespec()
    #if os(Linux)
      clock_gettime(CLOCK_BOOTTIME, &time)
    #else
      clock_gettime(CLOCK_MONOTONIC, &time)
    #endif
    return (Double(time.tv_sec) + Double(time.tv_nsec) / 1e9) / 60
  }

  /// Minutes since the session began.
  public var minutes: Double { start + monotonic() - origin }

  /// Notes a jump of the computer's clock in the log, for processes that have that clock alone.
  /// - Returns: The minutes that it jumped by, forward above 0, and the note's number; nil if it did not.
  public mutating func noteJump() throws(InputError) -> (minutes: Double, note: Int)? {
    let ahead = try log.minutes(at: wall()) - minutes
    guard abs(ahead) >= Self.tolerance else { return nil }
    return (ahead, try log.setClock(ahead: ahead, at: minutes, source: "live"))
  }

  /// Begins anew from the log, after somebody took a note about the clock back or made one.
  public mutating func reset() throws(InputError) {
    (start, origin) = (try log.minutes(at: wall()), monotonic())
  }
}
