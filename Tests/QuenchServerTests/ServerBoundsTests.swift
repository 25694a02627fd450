import Dispatch
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision
import Synchronization
import TestSupport
import Testing

@testable import QuenchServer

@Suite("What a client may take of the server") struct ServerBoundsTests {
  private func request(bytes: Int) -> Request {
    Request(
      head: HTTPRequest(method: .post, scheme: "http", authority: "x", path: Box.infer),
      body: RequestBody(buffer: ByteBuffer(repeating: 0x20, count: bytes)))
  }

  @Test("While a large body is parsed, small ones are, and who gives up does not wait for it")
  func parsing() async throws {
    let intake = Intake(limit: 1 << 20)
    let large = try await intake.body(of: request(bytes: 1 << 17))
    let small = try await intake.body(of: request(bytes: 100))
    let (began, gate) = (ServerMetrics(), DispatchSemaphore(value: 0))
    // As many as are parsed at a time, and one that waits for its turn.
    let count = max(1, ProcessInfo.processInfo.activeProcessorCount / 4)
    let parsing = (0..<count).map { _ in
      Task {
        try await intake.parsed(large) { data in
          began.batch(images: 1)
          gate.wait()
          return data.count
        }
      }
    }
    try await eventually("they are parsed") { began.images == count }
    let waiting = Task { try await intake.parsed(large) { $0.count } }
    #expect(try await intake.parsed(small) { $0.count } == 100)
    waiting.cancel()
    parsing[0].cancel()
    for task in [waiting, parsing[0]] {
      await #expect(throws: CancellationError.self) { _ = try await task.value }
    }
    for _ in parsing { gate.signal() }
    for task in parsing.dropFirst() { #expect(try await task.value == 1 << 17) }
  }

  @Test("Large bodies share a part of the memory, and give it back; small ones find room all the same")
  func memory() async throws {
    let intake = Intake(limit: 4 << 20, capacity: 5 << 20)
    func size(_ bytes: Int) async throws -> Int {
      try await intake.body(of: request(bytes: bytes)).bytes.readableBytes
    }
    do {
      let first = try await intake.body(of: request(bytes: 4 << 20))
      let error = await #expect(throws: HTTPError.self) { _ = try await size(4 << 20) }
      #expect(error?.status == .serviceUnavailable && error?.headers[.retryAfter] == "1")
      #expect(try await size(1 << 20) == 1 << 20)
      #expect(first.bytes.readableBytes == 4 << 20)
    }
    #expect(try await size(4 << 20) == 4 << 20)
    let error = await #expect(throws: HTTPError.self) { _ = try await size(4 << 20 + 1) }
    #expect(error?.status == .contentTooLarge)
  }

  @Test("Large bodies that arrive slowly make room for others, the slowest first, and are told so")
  func slowBodies() async throws {
    let clock = Mutex(ContinuousClock.now)
    let intake = Intake(limit: 4 << 20, capacity: 6 << 20) { clock.withLock { $0 } }
    func request(_ pieces: AsyncStream<ByteBuffer>) -> Request {
      Request(
        head: HTTPRequest(method: .post, scheme: "http", authority: "x", path: Box.infer),
        body: RequestBody(asyncSequence: pieces))
    }
    func begin(_ bytes: Int) async throws -> Task<Int, any Error> {
      let (pieces, send) = AsyncStream<ByteBuffer>.makeStream()
      let before = intake.bytesHeld
      let task = Task { try await intake.body(of: request(pieces)).bytes.readableBytes }
      send.yield(ByteBuffer(repeating: 0x20, count: bytes))
      try await eventually("its bytes are counted") { intake.bytesHeld == before + bytes - 1 << 20 }
      return task
    }
    // Bytes up to a mebibyte count for nothing.
    let (slow, slower) = (try await begin(4 << 20), try await begin(3 << 20))
    let early = await #expect(throws: HTTPError.self) {
      _ = try await intake.body(of: self.request(bytes: 3 << 20))
    }
    #expect(early?.status == .serviceUnavailable)
    clock.withLock { $0 += .seconds(3) }
    #expect(try await intake.body(of: self.request(bytes: 3 << 20)).bytes.readableBytes == 3 << 20)
    let error = await #expect(throws: HTTPError.self) { _ = try await slower.value }
    #expect(error?.status == .requestTimeout && error?.body?.contains("arrives too slowly") == true)
    #expect(intake.bytesHeld == 3 << 20)
    slow.cancel()
    _ = await slow.result
  }

  @Test("A request of the most images that the model takes is within the default limit, as JSON and as raw FP64")
  func defaultLimit() async throws {
    var limits = InferenceServer.Limits()
    limits.body = nil
    let pixels = InferenceTensor(
      (Tensor.uniform([8, 1, 2, 2], using: Generator(seed: 1)) * 1e-5).to(.float64), named: "input")
    try await InferenceServer(Box.thread(), metrics: ServerMetrics(), limits: limits).application().test(.router) {
      client in
      let name = try #require(HTTPField.Name("Inference-Header-Content-Length"))
      for isBinary in [false, true] {
        let message = InferenceMessage(tensors: [pixels]).encoded(.request) { _ in isBinary }
        let response = try await client.execute(
          uri: Box.infer, method: .post, headers: message.headerLength.map { [name: "\($0)"] } ?? [:],
          body: ByteBuffer(bytes: message.body))
        #expect(response.status == .ok)
      }
    }
  }

  @Test("Who goes away while the model works is counted as that, and nobody works on for them")
  func hangUps() async throws {
    let metrics = ServerMetrics()
    let gate = DispatchSemaphore(value: 0)
    let thread = try Box.thread(metrics, gate: gate)
    try await Box.server(thread, metrics, seconds: 1000).application().test(.live) { client in
      let request = "POST \(Box.infer) HTTP/1.1\r\nHost: x\r\nContent-Length: \(Box.json.utf8.count)\r\n\r\n"
      let port = try #require(client.port)
      var wires = [try Wire(port: port)]
      try wires[0].send(request + Box.json)
      try await eventually("the model works") { metrics.images == 1 }
      wires.append(try Wire(port: port))
      try wires[1].send(request + Box.json)
      try await eventually("the second waits") { thread.waiting == 1 }
      wires.append(try Wire(port: port))
      try wires[2].send(request + "{")
      wires = []
      try await eventually("all are counted") { metrics.text.contains("quench_requests_total{code=\"499\"} 3\n") }
      #expect(thread.waiting == 0)
      gate.signal()
    }
  }

  @Test("A server that stops waits for half a request no longer than its grace", .timeLimit(.minutes(3)))
  func stopping() async throws {
    let server = try Box.server(Box.thread(), seconds: 10_000) { limits in
      (limits.idleSeconds, limits.graceSeconds) = (10_000, 0.2)
    }
    let wire = try await server.application().test(.live) { client in
      let wire = try Wire(port: try #require(client.port))
      try wire.send("POST \(Box.infer) HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
      // The server has it once it answered another.
      #expect(try await client.execute(uri: "/v2/health/live", method: .get).status == .ok)
      return wire
    }
    _ = await wire.answerToTheEnd()
  }

  @Test(
    "Connections over the limit wait for one that ends, or that keeps the server waiting",
    arguments: ["GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v2", nil])
  func connections(before: String?) async throws {
    let metrics = ServerMetrics()
    let server = try Box.server(Box.thread(), metrics) { ($0.connections, $0.graceSeconds) = (1, 0) }
    let (urls, url) = AsyncStream<String>.makeStream()
    // Not by the framework's test server, which leaves the limit out.
    let application = try server.application { url.yield($0) }
    try await withThrowingTaskGroup { group in
      group.addTask { try? await application.run() }
      let port = try #require(await urls.first { _ in true }.flatMap { URL(string: $0)?.port })
      let first = try Wire(port: port)
      if let before { try first.send(before) }
      let second = try Wire(port: port)
      try second.send("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(await second.answer(until: "}").hasPrefix("HTTP/1.1 200 OK"))
      let ended = await first.answerToTheEnd()
      #expect(ended.hasPrefix("HTTP/1.1 200 OK") == (before?.hasSuffix("\r\n\r\n") == true))
      group.cancelAll()
      try await group.waitForAll()
    }
    #expect(OpenFiles.connections(wanted: 1 << 40) < 1 << 40 && OpenFiles.connections(wanted: 1) == 1)
  }

  @Test("A server is ready as long as what stands behind it is, and alive without")
  func readiness() async throws {
    let server = try InferenceServer(Box.thread(), metrics: ServerMetrics(), readiness: { "it sleeps" })
    try await server.application().test(.router) { client in
      for path in ["/v2/health/ready", "/v2/models/box/ready"] {
        let response = try await client.execute(uri: path, method: .get)
        #expect(response.status == .serviceUnavailable)
        let record = try Box.record(response)
        #expect(record["ready"] == false && record["error"] == "it sleeps")
      }
      let index = try await client.execute(uri: "/v2/repository/index", method: .post) { String(buffer: $0.body) }
      #expect(index.contains("UNAVAILABLE") && index.contains("it sleeps"))
      #expect(try await client.execute(uri: "/v2/health/live", method: .get).status == .ok)
    }
  }

  @Test(
    "A defence's server asks the model behind it by the ledger, not again for the same image, and tells its end")
  func defended() async throws {
    let folder = try TemporaryFolder()
    try Defense(denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 2, 2], seed: 1, device: .cpu)).write(
      to: folder.url)
    var shield = ServedModel.Shield(
      folder: folder.url.path, certify: try Certify(fixed: 100, sigma: 0.1, selection: 10))
    shield.ledger = folder / "ledger.sqlite"
    shield.budget = 250
    let metrics = ServerMetrics()
    let served = try await Box.server(Box.thread(metrics), metrics).application().test(.live) { [shield] client in
      let model = try await RemoteModel("http://localhost:\(try #require(client.port))/v2/models/box", timeout: 30)
      var served = ServedModel(
        name: "safe", source: .endpoint(model, concurrency: 2), shield: shield, batchSize: 8)
      served.patience.tries = 1
      #expect(await served.problem() == nil)
      let thread = try await Self.loaded(served)
      let (black, white) = (Tensor.zeros([1, 1, 2, 2]).data(), Tensor.ones([1, 1, 2, 2]).data())
      let first = try await thread.answer(black, count: 1)
      #expect(metrics.images == 110)
      #expect(try await thread.answer(black, count: 1) == first && metrics.images == 110)
      #expect(try await thread.answer(white, count: 1)[0].shape == [1, 2] && metrics.images == 220)
      let other = Tensor.full([1, 1, 2, 2], 0.5).data()
      let error = await #expect(throws: ModelThread.Failure.self) { _ = try await thread.answer(other, count: 1) }
      #expect("\(error.map { "\($0.cause)" } ?? "")".contains("the query budget is spent"))
      return served
    }
    let problem = await served.problem()
    #expect(problem != nil)
    #expect(try QueryLedger(at: folder / "ledger.sqlite", model: "box:7", budget: nil).total >= 220)
  }

  /// Loads a model from a thread that may wait.
  private static func loaded(_ served: ServedModel) async throws -> ModelThread {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try ModelThread(metrics: ServerMetrics()) { try served.load() } })
      }
    }
  }

  @Test("Kept answers make room for later ones")
  func cache() {
    let cache = AnswerCache<Int>(limit: 2)
    for (index, name) in ["a", "b", "a", "c"].enumerated() { cache[name] = index }
    #expect(cache["a"] == nil && cache["b"] == 1 && cache["c"] == 3)
    let none = AnswerCache<Int>(limit: 0)
    none["a"] = 1
    #expect(none["a"] == nil)
  }
}
