import Dispatch
import Foundation
import Smoothing
import Support
import Synchronization
import Torch

/// A ``RemoteModel`` as a black box, for a thread that may wait.
final class RemoteBlackBox: BlackBox {
  let concurrency: Int
  private let model: RemoteModel

  var feedback: Feedback { model.feedback }
  var classes: Int { model.classes }
  var version: String { model.version }
  var largestBatch: Int? { model.largestBatch }

  init(_ model: RemoteModel, concurrency: Int) {
    self.model = model
    self.concurrency = concurrency
  }

  func answer(_ images: Tensor) throws -> Tensor { try send(images)() }

  func send(_ images: Tensor) -> PendingAnswer {
    let (pixels, shape) = (images.to(.float32).data(), images.shape)
    let (answerShape, dtype) = ([shape[0]] + answerShape, feedback == .labels ? DType.int64 : .float32)
    let letter = Letter()
    Task { [model] in
      let answer: Result<Data, any Error>
      do { answer = .success(try await model.answer(pixels, shape: shape)) } catch { answer = .failure(error) }
      letter.put(answer)
    }
    return {
      let data = try letter.take()
      return data.withUnsafeBytes { Tensor(bytes: $0, shape: answerShape, dtype: dtype) }
        .to(images.device)
    }
  }

  /// An answer on its way from a task to a thread that waits.
  private final class Letter: Sendable {
    private let answer = Mutex<Result<Data, any Error>?>(nil)
    private let arrival = DispatchSemaphore(value: 0)

    func put(_ result: Result<Data, any Error>) {
      answer.withLock { $0 = result }
      arrival.signal()
    }

    func take() throws -> Data {
      arrival.wait()
      guard let result = answer.withLock({ $0 }) else { throw InputError("a request got no answer") }
      return try result.get()
    }
  }
}
