import Foundation
import HTTPTypes
import Hummingbird
import Synchronization

/// Who may ask, and how often. Questions for the server's health are always answered.
struct Admission: RouterMiddleware {
  /// What requests must carry one of; empty: nothing.
  let tokens: [BearerToken]
  /// For each token, and where there is none for each client's address; nil: no limit.
  let rate: RequestRate?

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard !request.uri.path.hasPrefix("/v2/health/") else { return try await next(request, context) }
    let token = tokens.firstIndex { $0.admits(request.headers[.authorization]) }
    guard token != nil || tokens.isEmpty else {
      throw HTTPError(
        .unauthorized, headers: [.wwwAuthenticate: "Bearer"],
        message: "the request must carry the server's token: Authorization: Bearer TOKEN")
    }
    if let rate, let wait = rate.take(from: token.map { "token \($0)" } ?? Connection.current?.address ?? "") {
      throw HTTPError(
        .tooManyRequests, headers: [.retryAfter: "\(Int(wait.rounded(.up)))"],
        message: "more than \(rate.requestsAMinute) requests a minute")
    }
    return try await next(request, context)
  }
}

/// A number of requests a minute for each of who asks, which may come at once (a token bucket).
final class RequestRate: Sendable {
  let requestsAMinute: Int
  private let now: @Sendable () -> ContinuousClock.Instant
  /// When the requests taken so far would be over, at the steady rate.
  private let busyUntil = Mutex<[String: ContinuousClock.Instant]>([:])

  init(requestsAMinute: Int, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
    self.requestsAMinute = requestsAMinute
    self.now = now
  }

  /// Takes a request from `asker`'s share.
  /// - Returns: Nil if there is one; otherwise the seconds until there is.
  func take(from asker: String) -> Double? {
    let (now, share) = (now(), Duration.seconds(60) / requestsAMinute)
    return busyUntil.withLock { busyUntil in
      if busyUntil.count > 10_000 { busyUntil = busyUntil.filter { $0.value > now } }
      let over = max(busyUntil[asker] ?? now, now) + share
      guard over <= now + .seconds(60) else { return (over - now - .seconds(60)) / .seconds(1) }
      busyUntil[asker] = over
      return nil
    }
  }
}
