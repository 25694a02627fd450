import Dispatch
import Foundation
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Synchronization

/// A model that answers on one thread of its own, several requests at once: while it works on one batch, the requests
/// that arrive gather into the next.
public final class ModelThread: Sendable {
  /// What the thread runs. It is made on the thread and never leaves it.
  public struct Model {
    public let description: InferenceModel
    /// Each output by its name, with as many rows as there are images, `[N, C, H, W]`. A model that works long asks
    /// now and then whether anybody still waits, and throws `CancellationError` where nobody does.
    public typealias Answer = (_ images: Tensor, _ isAwaited: () -> Bool) throws -> [(name: String, tensor: Tensor)]
    public let answer: Answer

    public init(_ description: InferenceModel, answer: @escaping Answer) {
      self.description = description
      self.answer = answer
    }
  }

  /// Too many images wait; the client may try again later.
  public struct Busy: Error {}

  /// The model could not answer: no fault of the request.
  public struct Failure: Error {
    public let cause: any Error
  }

  public let description: InferenceModel
  private let queue: RequestQueue
  /// The most images that may wait.
  let queueLimit: Int

  /// Loads the model and waits until that is done.
  /// - Parameters:
  ///   - queueLimit: The most images that may wait.
  ///   - queueBytes: The most bytes of them, if it is more than one batch has.
  ///   - metrics: Takes the sizes of batches.
  ///   - make: Loads the model, on its thread.
  /// - Throws: What `make` throws.
  public init(
    queueLimit: Int = 4096, queueBytes: Int = 1 << 29, metrics: ServerMetrics,
    make: @escaping @Sendable () throws -> Model
  ) throws {
    let queue = RequestQueue()
    let loaded = DispatchSemaphore(value: 0)
    let result = Loading()
    Thread.detachNewThread {
      do {
        let model = try make()
        result.value.withLock { $0 = .success(model.description) }
        loaded.signal()
        while let batch = queue.next(atMost: model.description.largestBatch) {
          metrics.batch(images: batch.reduce(0) { $0 + $1.count })
          let seconds = ContinuousClock().measure { Self.answer(batch, model, queue) } / .seconds(1)
          metrics.compute(seconds: seconds)
        }
      } catch {
        result.value.withLock { $0 = .failure(error) }
        loaded.signal()
      }
    }
    loaded.wait()
    guard let description = try result.value.withLock({ $0 })?.get() else {
      throw InputError("the model was not loaded")
    }
    self.description = description
    self.queue = queue
    let imageBytes = description.inputShape.reduce(4, *)
    self.queueLimit = min(queueLimit, max(description.largestBatch, queueBytes / max(imageBytes, 1)))
  }

  /// What the thread tells its maker.
  private final class Loading: Sendable {
    let value = Mutex<Result<InferenceModel, any Error>?>(nil)
  }

  /// The outputs for `count` images, float32 pixels.
  /// - Throws: ``Busy`` if too many wait, ``Failure`` if the model cannot answer, `CancellationError` as soon as the
  ///   task is cancelled.
  public func answer(_ pixels: Data, count: Int) async throws -> [InferenceTensor] {
    try await queue.answer(pixels, count: count, limit: queueLimit)
  }

  /// Images that wait for the model to be free.
  var waiting: Int { queue.images }

  /// Takes no more requests, answers what waits, and ends the thread.
  public func close() { queue.close() }

  private static func answer(_ batch: [RequestQueue.Request], _ model: Model, _ queue: RequestQueue) {
    let counts = batch.map(\.count)
    do {
      let pixels = batch.reduce(into: Data()) { $0 += $1.pixels }
      let shape = [counts.reduce(0, +)] + model.description.inputShape
      let images = pixels.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: .float32) }
      let outputs = try withoutGradient { try model.answer(images) { queue.awaits(batch) } }.map { name, tensor in
        tensor.split(sizes: counts).map { InferenceTensor($0.contiguous(), named: name) }
      }
      for (index, request) in batch.enumerated() {
        queue.reply(to: request, .success(outputs.map { $0[index] }))
      }
    } catch {
      for request in batch { queue.reply(to: request, .failure(Failure(cause: error))) }
    }
  }
}

/// Requests on their way to a model's thread, and whoever waits for their answers.
private final class RequestQueue: Sendable {
  struct Request: Sendable {
    let number: Int
    let pixels: Data
    let count: Int
  }

  private typealias Reply = CheckedContinuation<[InferenceTensor], any Error>

  private struct State {
    var requests: [Request] = []
    /// By the request's number; whoever takes one out resumes it.
    var replies: [Int: Reply] = [:]
    var images = 0
    var lastNumber = 0
    var isClosed = false
  }

  private let state = Mutex(State())
  /// Signalled once for each request, and when the queue closes.
  private let wake = DispatchSemaphore(value: 0)

  var images: Int { state.withLock { $0.images } }

  func answer(_ pixels: Data, count: Int, limit: Int) async throws -> [InferenceTensor] {
    let number = state.withLock { state in
      state.lastNumber += 1
      return state.lastNumber
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { reply in
        let refusal = state.withLock { state -> (any Error)? in
          guard !Task.isCancelled else { return CancellationError() }
          guard !state.isClosed, state.images + count <= limit else { return ModelThread.Busy() }
          state.requests.append(Request(number: number, pixels: pixels, count: count))
          state.images += count
          state.replies[number] = reply
          return nil
        }
        if let refusal { reply.resume(throwing: refusal) } else { wake.signal() }
      }
    } onCancel: {
      let reply = state.withLock { state in
        if let index = state.requests.firstIndex(where: { $0.number == number }) {
          state.images -= state.requests.remove(at: index).count
        }
        return state.replies.removeValue(forKey: number)
      }
      reply?.resume(throwing: CancellationError())
    }
  }

  func reply(to request: Request, _ result: Result<[InferenceTensor], any Error>) {
    state.withLock { $0.replies.removeValue(forKey: request.number) }?.resume(with: result)
  }

  /// Whether the answer to one of them at least is waited for.
  func awaits(_ batch: [Request]) -> Bool {
    state.withLock { state in batch.contains { state.replies[$0.number] != nil } }
  }

  func close() {
    state.withLock { $0.isClosed = true }
    wake.signal()
  }

  /// Waits for requests and takes those that came first, up to `most` images; nil once the queue is closed and empty.
  func next(atMost most: Int) -> [Request]? {
    while true {
      wake.wait()
      let (batch, isLast) = state.withLock { state in
        var images = 0
        let batch = Array(
          state.requests.prefix { request in
            images += request.count
            return images == request.count || images <= most
          })
        state.requests.removeFirst(batch.count)
        state.images -= batch.reduce(0) { $0 + $1.count }
        return (batch, state.isClosed && state.requests.isEmpty)
      }
      // The thread must come back for the end, whose signal it may have used up already.
      if isLast { wake.signal() }
      if !batch.isEmpty { return batch }
      if isLast { return nil }
    }
  }
}
