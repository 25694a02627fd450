import Dispatch
import Foundation
import Hummingbird
import HummingbirdTesting
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchServer

/// A small model and a server of it, for tests of what surrounds them.
enum Box {
  /// A model that answers the mean pixel and one less it.
  /// - Parameter gate: What it waits for before each batch.
  static func thread(
    _ metrics: ServerMetrics = ServerMetrics(), queueLimit: Int = 4096, queueBytes: Int = 1 << 29,
    gate: DispatchSemaphore? = nil, fails: Bool = false
  ) throws -> ModelThread {
    try ModelThread(queueLimit: queueLimit, queueBytes: queueBytes, metrics: metrics) {
      let model = InferenceModel(
        name: "box", version: "7", inputShape: [1, 2, 2],
        outputs: [.init(name: "logits", datatype: .float32, shape: [2])], largestBatch: 8)
      return ModelThread.Model(model) { images, _ in
        gate?.wait()
        if fails { throw InputError("the weights are gone") }
        let mean = images.mean([1, 2, 3])
        return [("logits", Tensor.stacked([mean, 1 - mean], 1))]
      }
    }
  }

  static func server(
    _ thread: ModelThread, _ metrics: ServerMetrics = ServerMetrics(), body: Int = 1 << 20, seconds: Double = 30,
    change: (inout InferenceServer.Limits) -> Void = { _ in }
  ) -> InferenceServer {
    var limits = InferenceServer.Limits()
    (limits.body, limits.seconds) = (body, seconds)
    change(&limits)
    return InferenceServer(thread, metrics: metrics, limits: limits)
  }

  static let infer = "/v2/models/box/infer"
  static let json =
    #"{"id": "a", "inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [0, 0.5, 0.5, 1]}]}"#

  static func record(_ response: TestResponse) throws -> Record {
    try #require(try Value(json: Data(buffer: response.body), name: "answer").record)
  }
}

/// Waits until something holds; a test that waits in vain fails.
func eventually(_ what: Comment, _ holds: () -> Bool) async throws {
  let deadline = ContinuousClock.now + .seconds(120)
  while !holds() {
    try #require(ContinuousClock.now < deadline, what)
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// A connection to a server that is written to and read from byte by byte.
final class Wire: Sendable {
  private let socket: Int32

  init(port: Int) throws {
    #if canImport(Glibc)
      socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      socket = Darwin.socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
  }

  deinit { close(socket) }

  /// Sends no more, and still reads.
  func endSending() { shutdown(socket, Int32(SHUT_WR)) }

  func send(_ text: String) throws {
    let bytes = Array(text.utf8)
    try #require(write(socket, bytes, bytes.count) == bytes.count)
  }

  /// What comes until `end` is among it, or the other side closes. Read on a thread of its own.
  func answer(until end: Character) async -> String {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !text.contains(end) {
          let count = read(self.socket, &buffer, buffer.count)
          guard count > 0 else { break }
          text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        continuation.resume(returning: text)
      }
    }
  }

  /// What comes until the other side closes.
  func answerToTheEnd() async -> String { await answer(until: "\u{0}") }
}
