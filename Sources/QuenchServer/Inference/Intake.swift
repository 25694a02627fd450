import Foundation
import Hummingbird
import NIOCore
import QuenchSupport
import QuenchTorch
import QuenchVision
import Synchronization

/// Takes in the bodies of requests, within bounds: bytes of one, bytes of all large ones together, and how many large
/// ones are unpacked and parsed at a time, away from the threads that answer.
///
/// Where large bodies leave no room for another, the slowest of those that take long to arrive ends, so that nobody locks
/// others out by sending slowly.
final class Intake: Sendable {
  /// The most bytes of a body, also of one that is unpacked.
  let limit: Int
  /// Bytes of large bodies that may lie in memory at a time.
  private let capacity: Int
  private let room = Mutex(Room())
  private let workers = OperationQueue()
  private let now: @Sendable () -> ContinuousClock.Instant

  /// What lies in memory.
  private struct Room {
    /// Bytes that large bodies hold.
    var held = 0
    var bodies: [ObjectIdentifier: Holding] = [:]
  }

  private struct Holding {
    let since: ContinuousClock.Instant
    /// Finishes where the body is to end.
    let end: AsyncStream<Void>.Continuation
    var bytes = 0
    /// Whether more of it is to come.
    var isArriving = true
  }

  /// How long a large body may take to arrive before it has to make room for others.
  private static let patience = Duration.seconds(2)

  /// Of a body's bytes these count for nothing: so many fit every connection, and no large body locks small ones out.
  private static let free = 1 << 20
  /// What is parsed at once, where the request is answered.
  private static let light = 1 << 16

  /// - Parameters:
  ///   - limit: Bytes of a body.
  ///   - capacity: Bytes of all large ones that may lie in memory at a time.
  ///   - now: The clock by which they are slow.
  init(
    limit: Int, capacity: Int? = nil, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    self.limit = limit
    self.now = now
    self.capacity = capacity ?? max(4 * limit, 256 << 20)
    workers.maxConcurrentOperationCount = max(1, ProcessInfo.processInfo.activeProcessorCount / 4)
  }

  /// Bytes of large bodies that lie in memory.
  var bytesHeld: Int { room.withLock { $0.held } }

  /// A body's bytes, and their place among those that may lie in memory.
  struct Body: Sendable {
    fileprivate(set) var bytes = ByteBuffer()
    fileprivate var place: Place
    var isCompressed = false
  }

  /// - Throws: `HTTPError` if the body is too large, too much lies in memory, it had to make room for others, or it is
  ///   coded in another way than by gzip or deflate.
  func body(of request: Request) async throws -> Body {
    let isCompressed: Bool
    switch request.headers[.contentEncoding]?.lowercased() {
    case nil, "identity": isCompressed = false
    case "gzip", "x-gzip", "deflate": isCompressed = true
    case let coding?:
      throw HTTPError(
        .unsupportedMediaType, headers: [.acceptEncoding: "gzip, deflate"],
        message: "a body may be coded by gzip or deflate, not '\(coding.prefix(64))'")
    }
    let length = request.headers[.contentLength].flatMap { Int($0) }
    if let length, length > limit { throw tooLarge }
    let (ends, end) = AsyncStream<Void>.makeStream()
    let body = Body(place: Place(in: self, end), isCompressed: isCompressed)
    guard length ?? .max > Self.free else { return try await read(request, into: body) }
    return try await withThrowingTaskGroup(of: Body.self) { group in
      group.addTask { try await self.read(request, into: body) }
      group.addTask {
        for await _ in ends {}
        throw Self.tooSlow
      }
      defer { group.cancelAll() }
      guard let body = try await group.next() else { throw CancellationError() }
      return body
    }
  }

  private func read(_ request: Request, into empty: Body) async throws -> Body {
    var body = empty
    for try await var chunk in request.body {
      guard body.bytes.readableBytes + chunk.readableBytes <= limit else { throw tooLarge }
      body.bytes.writeBuffer(&chunk)
      try body.place.take(body.bytes.readableBytes - Self.free)
    }
    body.place.isComplete()
    return body
  }

  /// What `parse` makes of a body: of a large one on a thread for such, when its turn comes.
  /// - Throws: What `parse` throws, and `CancellationError` as soon as the task is cancelled.
  func parsed<Outcome: Sendable>(
    _ body: Body, _ parse: @escaping @Sendable (Data) throws -> Outcome
  ) async throws -> Outcome {
    let unpackedAndParsed = { @Sendable [limit, tooLarge] in
      let data = Data(body.bytes.readableBytesView)
      guard body.isCompressed else { return try parse(data) }
      guard let unpacked = try Gzip.inflate(data, name: "body", limit: limit) else { throw tooLarge }
      return try parse(unpacked)
    }
    guard body.isCompressed || body.bytes.readableBytes > Self.light else { return try unpackedAndParsed() }
    let reply = Reply<Outcome>()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        reply.await(continuation)
        workers.addOperation { if reply.isAwaited { reply.give(Result { try unpackedAndParsed() }) } }
      }
    } onCancel: {
      reply.give(.failure(CancellationError()))
    }
  }

  private var tooLarge: HTTPError {
    HTTPError(.contentTooLarge, message: "a request may have at most \(limit) bytes")
  }

  /// The bytes of one body among those that may lie in memory; given back when nobody holds it any more.
  fileprivate final class Place: Sendable {
    private let intake: Intake

    init(in intake: Intake, _ end: AsyncStream<Void>.Continuation) {
      self.intake = intake
      let holding = Holding(since: intake.now(), end: end)
      intake.room.withLock { $0.bodies[ObjectIdentifier(self)] = holding }
    }

    /// Has a body of `count` bytes counted as such.
    func take(_ count: Int) throws {
      guard count > 0 else { return }
      try intake.take(count, for: ObjectIdentifier(self))
    }

    /// It is all there, and ends for nobody.
    func isComplete() { intake.room.withLock { $0.bodies[ObjectIdentifier(self)]?.isArriving = false } }

    deinit {
      let isLast = intake.room.withLock { room in
        let bytes = room.bodies.removeValue(forKey: ObjectIdentifier(self))?.bytes ?? 0
        room.held -= bytes
        return bytes > 0 && room.held == 0
      }
      if isLast { intake.workers.addOperation { LibTorch.releaseFreedMemory() } }
    }
  }

  /// Counts a body as one of `count` bytes, for which the slowest of those that take long may have to end.
  private func take(_ count: Int, for place: ObjectIdentifier) throws {
    let now = now()
    try room.withLock { room in
      guard let more = room.bodies[place].map({ count - $0.bytes }) else { throw Self.tooSlow }
      func rate(_ holding: Holding) -> Double {
        Double(holding.bytes) / ((now - holding.since) / .seconds(1))
      }
      while room.held + more > capacity {
        let slow = room.bodies.filter { key, body in
          key != place && body.isArriving && body.bytes > 0 && now - body.since > Self.patience
        }
        guard let slowest = slow.min(by: { rate($0.value) < rate($1.value) }) else {
          throw HTTPError(
            .serviceUnavailable, headers: [.retryAfter: "1"], message: "too many large requests arrive at once")
        }
        room.bodies[slowest.key] = nil
        room.held -= slowest.value.bytes
        slowest.value.end.finish()
      }
      room.held += more
      room.bodies[place]?.bytes = count
    }
  }

  private static let tooSlow = HTTPError(
    .requestTimeout, message: "the request arrives too slowly while others wait for its room in memory")
}

/// An answer that comes once, before or after somebody waits for it.
private final class Reply<Outcome: Sendable>: Sendable {
  private enum State {
    case open(CheckedContinuation<Outcome, any Error>?)
    case given(Result<Outcome, any Error>?)
  }

  private let state = Mutex(State.open(nil))

  var isAwaited: Bool { state.withLock { if case .open = $0 { true } else { false } } }

  func await(_ continuation: CheckedContinuation<Outcome, any Error>) {
    let result = state.withLock { state -> Result<Outcome, any Error>? in
      guard case .given(let result) = state else {
        state = .open(continuation)
        return nil
      }
      return result
    }
    if let result { continuation.resume(with: result) }
  }

  func give(_ result: Result<Outcome, any Error>) {
    let continuation = state.withLock { state -> CheckedContinuation<Outcome, any Error>? in
      guard case .open(let continuation) = state else { return nil }
      state = .given(continuation == nil ? result : nil)
      return continuation
    }
    continuation?.resume(with: result)
  }
}
