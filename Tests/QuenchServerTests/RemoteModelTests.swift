import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Reporting
import Smoothing
import Support
import Synchronization
import TestSupport
import Testing
import Torch

@testable import QuenchServer

@Suite("A remote model") struct RemoteModelTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// An endpoint that counts the images that it was asked about, and fails where it is told to.
  private final class Endpoint: Sendable {
    private let state = Mutex((requests: 0, images: 0))
    /// What to do with the n-th request, from 1 on, where it is not to be answered.
    private let fault: @Sendable (Int) -> Fault?
    private let version: @Sendable (Int) -> String

    enum Fault {
      case status(HTTPResponse.Status, pause: String?)
      /// No answer in so many seconds.
      case silence(Int)
      case fewerClasses
    }

    init(
      fault: @escaping @Sendable (Int) -> Fault? = { _ in nil },
      version: @escaping @Sendable (Int) -> String = { _ in "7" }
    ) {
      self.version = version
      self.fault = fault
    }

    var images: Int { state.withLock { $0.images } }
    var requests: Int { state.withLock { $0.requests } }

    func application() -> some ApplicationProtocol {
      let router = Router(context: BasicRequestContext.self)
      router.get("v2") { _, _ in #"{"name": "flaky", "extensions": ["binary_tensor_data"]}"# }
      router.get("v2/models/box") { _, _ in
        #"{"name": "box", "versions": ["7"], "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 2, 2]}], "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]}"#
      }
      router.get("v2/models/picture") { _, _ in #"{"name": "picture", "inputs": [], "outputs": []}"# }
      router.post("v2/models/box/infer") { request, _ in try await self.infer(request) }
      return Application(router: router)
    }

    private func infer(_ request: Request) async throws -> Response {
      let length = HTTPField.Name("Inference-Header-Content-Length").flatMap { request.headers[$0] }
      let body = Data(try await request.body.collect(upTo: 1 << 20).readableBytesView)
      let message = try InferenceMessage(body, headerLength: length.flatMap { Int($0) }, .request)
      let number = state.withLock { state in
        state.requests += 1
        state.images += message.tensors[0].shape[0]
        return state.requests
      }
      let mean = message.tensors[0].tensor.mean([1, 2, 3])
      switch fault(number) {
      case .status(let status, let pause):
        var headers = HTTPFields()
        if let pause { headers[.retryAfter] = pause }
        return Response(
          status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: #"{"error": "no"}"#)))
      case .silence(let seconds): try await Task.sleep(for: .seconds(seconds))
      case .fewerClasses: return Self.answer(Tensor.stacked([mean], 1), "7")
      case nil: break
      }
      return Self.answer(Tensor.stacked([mean, 1 - mean], 1), version(number))
    }

    private static func answer(_ outputs: Tensor, _ version: String) -> Response {
      let answer = InferenceMessage(tensors: [InferenceTensor(outputs, named: "y")], modelVersion: version)
        .encoded(.response) { _ in false }
      return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
    }
  }

  /// The model behind `endpoint`, and a metered black box that asks it and does not wait long.
  private func ask<Outcome: Sendable>(
    _ endpoint: Endpoint, timeout: Double = 30, tries: Int = 4, concurrency: Int = 1, budget: Int? = nil,
    _ work: @escaping @Sendable (MeteredBlackBox, QueryLedger) throws -> Outcome
  ) async throws -> Outcome {
    try await endpoint.application().test(.live) { client in
      let url = "http://localhost:\(try #require(client.port))/v2/models/box"
      let model = try await RemoteModel(url, timeout: timeout)
      #expect(model.classes == 2 && model.version == "box:7")
      // A black box waits for its answers: on a thread of its own.
      return try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
          continuation.resume(
            with: Result {
              let box = RemoteBlackBox(model, feedback: .logits, concurrency: concurrency)
              let ledger = try QueryLedger(
                at: folder / "\(UUID().uuidString).sqlite", model: box.version, budget: budget)
              var patience = MeteredBlackBox.Patience()
              (patience.tries, patience.firstPause, patience.longestPause) = (tries, 0.001, 0.01)
              return try work(
                MeteredBlackBox(box, ledger: ledger, batchSize: 4, patience: patience), ledger)
            })
        }
      }
    }
  }

  private static let pixels = Tensor.uniform([40, 1, 2, 2], using: Generator(seed: 3)).data()

  private static func images() -> Tensor {
    pixels.withUnsafeBytes { Tensor(bytes: $0, shape: [40, 1, 2, 2], dtype: .float32) }
  }

  private static func isRight(_ answers: Tensor) -> Bool {
    let mean = images().mean([1, 2, 3])
    return answers.isClose(to: Tensor.stacked([mean, 1 - mean], 1), relative: 1e-5, absolute: 1e-6)
  }

  private static func problem(_ work: () throws -> Void) -> String {
    do { try work() } catch { return "\(error)" }
    return ""
  }

  @Test(
    "Errors, full queues and timeouts are met by the same images again; the ledger's count is the server's",
    arguments: [1, 3])
  func retries(concurrency: Int) async throws {
    let endpoint = Endpoint { number in
      switch number % 7 {
      case 2: .status(.internalServerError, pause: nil)
      case 4: .status(.tooManyRequests, pause: "0.001")
      case 6: .silence(25)
      default: nil
      }
    }
    // Long enough for a busy machine's answers, and shorter than the silence.
    let (total, retries) = try await ask(endpoint, timeout: 20, tries: 8, concurrency: concurrency) {
      metered, ledger in
      #expect(Self.isRight(try metered.answer(Self.images(), for: .perturbation)))
      return (try ledger.total, try ledger.counts[.retry] ?? 0)
    }
    #expect(total == endpoint.images && total == 40 + retries && retries > 8)
  }

  @Test("The budget stops it before a request is sent that it does not allow, retries included")
  func budget() async throws {
    let endpoint = Endpoint { $0 == 2 ? .status(.serviceUnavailable, pause: nil) : nil }
    let (problem, total) = try await ask(endpoint, budget: 19) { metered, ledger in
      (Self.problem { _ = try metered.answer(Self.images(), for: .perturbation) }, try ledger.total)
    }
    #expect(total == 16)
    #expect(problem.contains("the query budget is spent (expected at most 19 images in all, found 16 asked for)"))
    #expect(endpoint.images == 16)
  }

  @Test("An endpoint that only fails is given up with its last words, and what it answered is kept")
  func givesUp() async throws {
    let endpoint = Endpoint { $0 > 2 ? .status(.internalServerError, pause: nil) : nil }
    let (problem, cached) = try await ask(endpoint) { metered, ledger in
      let problem = Self.problem { _ = try metered.answer(Self.images(), for: .perturbation) }
      _ = try metered.answer(Self.images()[0..<8], for: .perturbation)
      return (problem, try ledger.cached[.perturbation])
    }
    #expect(cached == 8)
    #expect(problem.contains("stays out of reach: 500 no (found 4 tries)"), "\(problem)")
    #expect(endpoint.images == 8 + 4 * 4)
  }

  @Test("An endpoint that becomes another version, or answers another class count, is refused and not asked again")
  func changes() async throws {
    for (endpoint, words) in [
      (Endpoint(version: { $0 > 1 ? "8" : "7" }), "has become another version (expected 7, found 8)"),
      (Endpoint { _ in .fewerClasses }, "another number of images or classes (expected [4, 2], found [[4, 1]])"),
      (Endpoint { _ in .status(.badRequest, pause: nil) }, "refuses the request: 400 no")
    ] {
      let problem = try await ask(endpoint) { metered, _ in
        Self.problem { _ = try metered.answer(Self.images(), for: .base) }
      }
      #expect(problem.contains(words), "\(problem)")
      #expect(endpoint.requests <= 2)
    }
  }

  @Test("What is no classifier, no model or not there is told when it is first asked")
  func beginning() async throws {
    try await Endpoint().application().test(.live) { test in
      let host = "http://localhost:\(try #require(test.port))"
      for (path, words) in [
        ("/v2/models/none", "refuses the request: 404"), ("/v2/models/picture", "does not describe a classifier"),
        ("/box", "no model of the Open Inference Protocol")
      ] {
        await #expect { _ = try await RemoteModel(host + path, timeout: 5) } throws: {
          "\($0)".contains(words)
        }
      }
    }
    await #expect {
      _ = try await RemoteModel("http://localhost:9/v2/models/box", timeout: 5)
    } throws: {
      "\($0)".contains("the endpoint is out of reach")
    }
  }

  @Test("Requests that never left are not counted")
  func unsent() async throws {
    let model = try await Endpoint().application().test(.live) { client in
      try await RemoteModel(
        "http://localhost:\(try #require(client.port))/v2/models/box", timeout: 60)
    }
    var failures: [TemporaryFailure] = []
    // Each of the two requests that opened the model may leave a connection behind, whose end a request may not
    // have seen yet when it takes it.
    for _ in 0...2 where failures.last?.wasSent ?? true {
      let failure = await #expect(throws: TemporaryFailure.self) {
        _ = try await model.answer(Data(count: 16), shape: [1, 1, 2, 2])
      }
      failures.append(try #require(failure))
    }
    #expect(failures.last?.wasSent == false, "\(failures)")
  }
}
