import Dispatch
import Foundation
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Synchronization

/// A ``RemoteModel`` as a black box, for a thread that may wait.
public final class RemoteBlackBox: BlackBox {
  public let concurrency: Int
  private let model: RemoteModel

  public var feedback: Feedback { model.feedback }
  public var classes: Int { model.classes }
  public var version: String { model.version }
  public var largestBatch: Int? { model.largestBatch }

  /// - Parameters:
  ///   - model: What answers.
  ///   - concurrency: Requests at once.
  public init(_ model: RemoteModel, concurrency: Int) {
    self.model = model
    self.concurrency = concurrency
  }

  /// Asks an endpoint what it is, and waits for the answer.
  /// - Parameters:
  ///   - images: The shape `[C, H, W]` of the images that it will be asked about.
  ///   - model: Connects to it.
  ///   - concurrency: Requests at once.
  /// - Throws: `InputError` if it takes no such images, and what `model` throws.
  public convenience init(
    images: [Int], concurrency: Int, model: @escaping @Sendable () async throws -> RemoteModel
  ) throws {
    let letter = Letter<RemoteModel>()
    Task { await letter.put { try await model() } }
    let model = try letter.take()
    try model.check(images: images)
    self.init(model, concurrency: concurrency)
  }

  public func answer(_ images: Tensor) throws -> Tensor { try send(images)() }

  public func send(_ images: Tensor) -> PendingAnswer {
    let (pixels, shape) = (images.to(.float32).data(), images.shape)
    let (answerShape, dtype) = ([shape[0]] + answerShape, feedback == .labels ? DType.int64 : .float32)
    let letter = Letter<Data>()
    Task { [model] in await letter.put { try await model.answer(pixels, shape: shape) } }
    return {
      let data = try letter.take()
      return data.withUnsafeBytes { Tensor(bytes: $0, shape: answerShape, dtype: dtype) }
        .to(images.device)
    }
  }

  /// What is on its way from a task to a thread that waits.
  private final class Letter<Content: Sendable>: Sendable {
    private let result = Mutex<Result<Content, any Error>?>(nil)
    private let arrival = DispatchSemaphore(value: 0)

    func put(_ content: @Sendable () async throws -> Content) async {
      let outcome: Result<Content, any Error>
      do { outcome = .success(try await content()) } catch { outcome = .failure(error) }
      result.withLock { $0 = outcome }
      arrival.signal()
    }

    func take() throws -> Content {
      arrival.wait()
      guard let outcome = result.withLock({ $0 }) else { throw InputError("a request got no answer") }
      return try outcome.get()
    }
  }
}
