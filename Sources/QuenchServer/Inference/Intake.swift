import Foundation
import Hummingbird
import NIOCore
import Support
import Synchronization
import Torch
import Vision

/// Takes in the bodies of requests, within bounds: bytes of one, bytes of all large ones together, and how many large
/// ones are unpacked and parsed at a time, away from the threads that answer.
final class Intake: Sendable {
  /// The most bytes of a body, also of one that is unpacked.
  let limit: Int
  /// Bytes of large bodies that may lie in memory at a time.
  private let capacity: Int
  private let held = Mutex(0)
  private let workers = OperationQueue()

  /// Of a body's bytes these count for nothing: so many fit every connection, and no large body locks small ones out.
  private static let free = 1 << 20
  /// What is parsed at once, where the request is answered.
  private static let light = 1 << 16

  /// - Parameters:
  ///   - limit: Bytes of a body.
  ///   - capacity: Bytes of all large ones that may lie in memory at a time.
  init(limit: Int, capacity: Int? = nil) {
    self.limit = limit
    self.capacity = capacity ?? max(4 * limit, 256 << 20)
    workers.maxConcurrentOperationCount = max(1, ProcessInfo.processInfo.activeProcessorCount / 4)
  }

  /// A body's bytes, and their place among those that may lie in memory.
  struct Body: Sendable {
    fileprivate(set) var bytes = ByteBuffer()
    fileprivate var place: Place
    var isCompressed = false
  }

  /// - Throws: `HTTPError` if the body is too large, too much lies in memory, or it is coded in another way than by gzip
  ///   or deflate.
  func body(of request: Request) async throws -> Body {
    var body = Body(place: Place(in: self))
    switch request.headers[.contentEncoding]?.lowercased() {
    case nil, "identity": break
    case "gzip", "x-gzip", "deflate": body.isCompressed = true
    case let coding?:
      throw HTTPError(
        .unsupportedMediaType, headers: [.acceptEncoding: "gzip, deflate"],
        message: "a body may be coded by gzip or deflate, not '\(coding.prefix(64))'")
    }
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge }
    for try await var chunk in request.body {
      guard body.bytes.readableBytes + chunk.readableBytes <= limit else { throw tooLarge }
      body.bytes.writeBuffer(&chunk)
      try body.place.take(body.bytes.readableBytes - Self.free)
    }
    return body
  }

  /// What `parse` makes of a body: of a large one on a thread for such, when its turn comes.
  /// - Throws: What `parse` throws, and `CancellationError` as soon as the task is cancelled.
  func parsed<Outcome: Sendable>(
    _ body: Body, _ parse: @escaping @Sendable (Data) throws -> Outcome
  ) async throws -> Outcome {
    let unpackedAndParsed = { @Sendable [limit] in
      let data = Data(body.bytes.readableBytesView)
      return try parse(body.isCompressed ? Gzip.inflate(data, name: "body", limit: limit) : data)
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
    private let bytes = Mutex(0)

    init(in intake: Intake) { self.intake = intake }

    /// Has a body of `count` bytes counted as such.
    func take(_ count: Int) throws {
      try bytes.withLock { bytes in
        guard count > bytes else { return }
        try intake.held.withLock { held in
          guard held + count - bytes <= intake.capacity else {
            throw HTTPError(
              .serviceUnavailable, headers: [.retryAfter: "1"], message: "too many large requests arrive at once")
          }
          held += count - bytes
        }
        bytes = count
      }
    }

    deinit {
      let count = bytes.withLock { $0 }
      guard count > 0 else { return }
      let isLast = intake.held.withLock { held in
        held -= count
        return held == 0
      }
      if isLast { intake.workers.addOperation { LibTorch.releaseFreedMemory() } }
    }
  }
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
