import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Synchronization
import TestSupport
import Testing

@testable import QuenchServer

@Suite("A remote model") struct RemoteModelTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// An endpoint that counts the images that it was asked about, and fails where it is told to.
  private final class Endpoint: Sendable {
    private let state = Mutex((requests: 0, images: 0, refused: 0))
    /// What to do with the n-th request, from 1 on, where it is not to be answered.
    private let fault: @Sendable (Int) -> Fault?
    private let version: @Sendable (Int) -> String

    enum Fault {
      case status(HTTPResponse.Status, pause: String?)
      /// No answer in so many seconds.
      case silence(Int)
      case fewerClasses
      /// A body of these words.
      case words(String)
    }
    /// The most images in a request, and whether a refusal names it.
    private let largest: Int
    private let namesLimit: Bool

    init(
      fault: @escaping @Sendable (Int) -> Fault? = { _ in nil },
      version: @escaping @Sendable (Int) -> String = { _ in "7" }, largest: Int = .max, namesLimit: Bool = true
    ) {
      (self.largest, self.namesLimit) = (largest, namesLimit)
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
        if message.tensors[0].shape[0] > largest { state.refused += 1 }
        if message.tensors[0].shape[0] <= largest { state.images += message.tensors[0].shape[0] }
        return state.requests
      }
      if message.tensors[0].shape[0] > largest {
        return Self.refusal(
          namesLimit ? .badRequest : .contentTooLarge,
          namesLimit ? "inference request batch-size must be <= \(largest) for 'box'" : "payload")
      }
      let mean = message.tensors[0].tensor.mean([1, 2, 3])
      switch fault(number) {
      case .status(let status, let pause):
        var headers = HTTPFields()
        if let pause { headers[.retryAfter] = pause }
        return Self.refusal(status, "no", headers)
      case .silence(let seconds): try await Task.sleep(for: .seconds(seconds))
      case .words(let text): return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
      case .fewerClasses: return Self.answer(Tensor.stacked([mean], 1), "7")
      case nil: break
      }
      return Self.answer(Tensor.stacked([mean, 1 - mean], 1), version(number))
    }

    private static func refusal(
      _ status: HTTPResponse.Status, _ text: String, _ headers: HTTPFields = [:]
    ) -> Response {
      Response(
        status: status, headers: headers,
        body: ResponseBody(byteBuffer: ByteBuffer(string: #"{"error": "\#(text)"}"#)))
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
              let box = RemoteBlackBox(model, concurrency: concurrency)
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

  @Test(
    "A limit of images that a refusal names, or is too large for, is learned; what was refused is not counted",
    arguments: [true, false])
  func limits(namesLimit: Bool) async throws {
    let endpoint = Endpoint(largest: 3, namesLimit: namesLimit)
    let (total, size) = try await ask(endpoint, concurrency: 2) { metered, ledger in
      #expect(Self.isRight(try metered.answer(Self.images(), for: .perturbation)))
      return (try ledger.total, metered.batchSize)
    }
    #expect(total == 40 && endpoint.images == 40 && size == (namesLimit ? 3 : 2))
  }

  @Test("Words for numbers that are none are read as NaN, asked for once more and handed over")
  func nonNumbers() async throws {
    let body = #"{"model_version": "7", "outputs": [{"name": "y", "datatype": "FP32", "shape": [4, 2], "data": "#
    let endpoint = Endpoint { number in
      number == 1 ? .words(body + "[NaN, 1, 2, 3, 4, 5, 6, 7]}]}") : nil
    }
    let retries = try await ask(endpoint) { metered, ledger in
      #expect(Self.isRight(try metered.answer(Self.images(), for: .perturbation)))
      return try ledger.counts[.retry]
    }
    #expect(retries == 4)
    let always = Endpoint { _ in .words(body + "[[null, 1], [2, -Infinity], [4, 5], [6, 7]]}]}") }
    let isFinite = try await ask(always) { metered, _ in
      try metered.answer(Self.images()[0..<4], for: .perturbation).isFinite().array(Bool.self)
    }
    #expect(isFinite == [false, true, true, false, true, true, true, true])
  }

  @Test("408 and 425 pass, 501 does not")
  func statuses() async throws {
    let endpoint = Endpoint { [.requestTimeout, .tooEarly][safe: $0 - 1].map { .status($0, pause: nil) } }
    _ = try await ask(endpoint) { metered, _ in try metered.answer(Self.images(), for: .base).count }
    #expect(endpoint.requests == 12)
    let never = Endpoint { _ in .status(.notImplemented, pause: nil) }
    let problem = try await ask(never) { metered, _ in
      Self.problem { _ = try metered.answer(Self.images(), for: .base) }
    }
    #expect(problem.contains("refuses the request: 501 no") && never.requests == 1)
  }

  @Test("A pause is read as seconds and as a date")
  func pauses() {
    let now = Date(timeIntervalSince1970: 784_111_777)  // RFC 9110's own example, section 5.6.7
    for text in ["Sun, 06 Nov 1994 08:59:37 GMT", "Sunday, 06-Nov-94 08:59:37 GMT", "Sun Nov  6 08:59:37 1994"] {
      #expect(RetryAfter.seconds(text, now: now) == 600, "\(text)")
    }
    #expect(RetryAfter.seconds("120", now: now) == 120 && RetryAfter.seconds("soon", now: now) == nil)
    #expect(RetryAfter.seconds("Sun, 06 Nov 1994 08:00:00 GMT", now: now) == 0)
  }

  @Test("What refusals name as the most images is read")
  func refusals() {
    for (code, text, limit) in [
      (400, "[request id: <id_unknown>] inference request batch-size must be <= 8 for 'box'", 8),
      (400, "the request has too many images (expected at most 16, found 32); send it in parts", 16),
      (400, "Batch of size 64 cannot be processed; we accept no more than 8 instances per call", 8),
      (400, "Got invalid dimensions for input: x. Got: 32 Expected: 1", nil), (422, "only one image is taken", nil),
      (422, "maximum batch size of 4 exceeded", 4), (400, "batch of 64 exceeds limit 32", 32), (413, "", nil)
    ] as [(Int, String, Int?)] {
      let refusal = BatchRefusal(code: code, text: text)
      #expect(refusal != nil && refusal?.limit == limit, "\(text)")
    }
    #expect(BatchRefusal(code: 400, text: "pixels must lie in [0, 1]") == nil)
    #expect(BatchRefusal(code: 503, text: "batch queue full") == nil)
  }

  @Test("Requests that never left are not counted, by name or by address", arguments: ["localhost", "127.0.0.1"])
  func unsent(host: String) async throws {
    let model = try await Endpoint().application().test(.live) { client in
      try await RemoteModel(
        "http://\(host):\(try #require(client.port))/v2/models/box", timeout: 60)
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
    #expect(failures.last?.problem == "connection refused")
  }
}

extension Array {
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
