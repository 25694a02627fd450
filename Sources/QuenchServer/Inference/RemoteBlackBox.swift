import Dispatch
import Foundation
import Smoothing
import Support
import Synchronization
import Torch

/// A ``RemoteModel`` as a black box, for a thread that may wait.
final class RemoteBlackBox: BlackBox {
  let feedback: Feedback
  let concurrency: Int
  private let model: RemoteModel

  var classes: Int { model.classes }
  var version: String { model.version }
  var largestBatch: Int? { model.largestBatch }

  init(_ model: RemoteModel, feedback: Feedback, concurrency: Int) {
    self.model = model
    self.feedback = feedback
    self.concurrency = concurrency
  }

  func answer(_ images: Tensor) throws -> Tensor { try answers(to: [images])[0].get() }

  func answers(to requests: [Tensor]) -> [Result<Tensor, any Error>] {
    let messages = requests.map { (pixels: $0.to(.float32).data(), shape: $0.shape) }
    let answers = Answers()
    let done = DispatchSemaphore(value: 0)
    Task { [model] in
      await withTaskGroup { group in
        for (index, message) in messages.enumerated() {
          group.addTask {
            let answer: Result<Data, any Error>
            do { answer = .success(try await model.answer(message.pixels, shape: message.shape)) } catch {
              answer = .failure(error)
            }
            answers.byRequest.withLock { $0[index] = answer }
          }
        }
      }
      done.signal()
    }
    done.wait()
    let results = answers.byRequest.withLock { $0 }
    return requests.indices.map { index in
      Result {
        guard let data = try results[index]?.get() else { throw InputError("a request got no answer") }
        let shape = [requests[index].size(0), classes]
        return data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: .float32) }.to(requests[index].device)
      }
    }
  }

  private final class Answers: Sendable {
    let byRequest = Mutex<[Int: Result<Data, any Error>]>([:])
  }
}
