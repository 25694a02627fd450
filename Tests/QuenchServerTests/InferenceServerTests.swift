import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchServer

@Suite("The inference server") struct InferenceServerTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("It tells that it is alive, what it is and what it serves")
  func metadata() async throws {
    let app = try Box.server(Box.thread()).application()
    try await app.test(.router) { client in
      for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/box/ready", "/v2/models/box/versions/7/ready"]
      {
        #expect(try await client.execute(uri: path, method: .get).status == .ok)
      }
      let server = try Box.record(try await client.execute(uri: "/v2", method: .get))
      #expect(
        server["extensions"] == ["binary_tensor_data", "classification", "model_configuration", "statistics"])
      let model = try Box.record(try await client.execute(uri: "/v2/models/box", method: .get))
      #expect(model["name"] == "box" && model["versions"] == ["7"])
    }
  }

  @Test("JSON and binary requests get the same numbers, in the form they ask for")
  func inference() async throws {
    let app = try Box.server(Box.thread()).application()
    try await app.test(.router) { client in
      let answer = try await client.execute(uri: Box.infer, method: .post, body: ByteBuffer(string: Box.json))
      let message = try InferenceMessage(Data(buffer: answer.body), headerLength: nil, .response)
      #expect(message.tensors[0].tensor.array(Float.self) == [0.5, 0.5] && message.id == "a")

      let pixels = Tensor([0, 0.5, 0.5, 0.2] as [Float], shape: [1, 1, 2, 2])
      let request = InferenceMessage(tensors: [InferenceTensor(pixels, named: "input")], wantsBinary: true)
        .encoded(.request) { _ in true }
      let name = try #require(HTTPField.Name("Inference-Header-Content-Length"))
      let binary = try await client.execute(
        uri: Box.infer, method: .post, headers: [name: "\(request.headerLength ?? 0)"],
        body: ByteBuffer(bytes: request.body))
      let length = try #require(binary.headers[name].flatMap { Int($0) })
      let tensors = try InferenceMessage(Data(buffer: binary.body), headerLength: length, .response).tensors
      let mean = pixels.mean().item()
      #expect(tensors[0].shape == [1, 2])
      #expect(zip(tensors[0].tensor.array(Double.self), [mean, 1 - mean]).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test(
    "What is wrong with a request is told in the protocol's error object",
    arguments: [
      ("/v2/models/other/infer", Box.json, 404, "unknown model 'other'"),
      ("/v2/models/box/versions/8/infer", Box.json, 404, "version '8'"),
      ("/v2/models/box/infer", "{", 400, "not valid JSON"),
      ("/v2/models/box/infer", Box.json.replacing("[1,1,2,2]", with: "[1,4]"), 400, "do not fit|another shape"),
      ("/v2/models/box/infer", "{\"x\": " + String(repeating: "[", count: 200), 400, "nested over 100 levels"),
      ("/v2/models/box/infer", String(repeating: " ", count: 5000), 413, "at most 4096 bytes"),
      ("/nowhere", "", 404, "")
    ]) func mistakes(path: String, body: String, status: Int, words: String) async throws
  {
    let app = try Box.server(Box.thread(), body: 4096).application()
    try await app.test(.router) { client in
      let response = try await client.execute(uri: path, method: .post, body: ByteBuffer(string: body))
      #expect(response.status.code == status)
      let error = try #require(try Box.record(response)["error"]?.string)
      #expect(words.split(separator: "|").contains { error.contains($0) } || words.isEmpty, "\(error)")
    }
  }

  @Test("With a token nobody gets in without it, but to ask for the server's health")
  func admission() async throws {
    let token = try BearerToken(contentsOf: file(holding: "se-cret\n"))
    let app = try InferenceServer(Box.thread(), metrics: ServerMetrics(), tokens: [token]).application()
    try await app.test(.router) { client in
      #expect(try await client.execute(uri: "/v2/health/live", method: .get).status == .ok)
      for header in [nil, "Bearer se-creT", "Bearer se-cret2", "se-cret", "Basic se-cret"] {
        var headers = HTTPFields()
        headers[.authorization] = header
        for path in ["/metrics", "/v2", "/v2/models/box"] {
          let refused = try await client.execute(uri: path, method: .get, headers: headers)
          #expect(refused.status == .unauthorized)
          #expect(try Box.record(refused)["error"]?.string?.contains("token") == true)
        }
        let inference = try await client.execute(
          uri: Box.infer, method: .post, headers: headers, body: ByteBuffer(string: Box.json))
        #expect(inference.status == .unauthorized)
      }
      let admitted = try await client.execute(
        uri: Box.infer, method: .post, headers: [.authorization: "Bearer se-cret"],
        body: ByteBuffer(string: Box.json))
      #expect(admitted.status == .ok)
    }
  }

  @Test("A remote model carries the token that it is given, and says what is missing without")
  func remoteToken() async throws {
    let token = try BearerToken(contentsOf: file(holding: "secret"))
    let app = try InferenceServer(Box.thread(), metrics: ServerMetrics(), tokens: [token]).application()
    try await app.test(.live) { client in
      let url = "http://localhost:\(try #require(client.port))/v2/models/box"
      let pixels = Tensor([0, 0.5, 0.5, 0.2] as [Float], shape: [1, 1, 2, 2]).data()
      let model = try await RemoteModel(url, timeout: 30, token: token)
      #expect(try await model.answer(pixels, shape: [1, 1, 2, 2]).count == 8)
      let error = await #expect(throws: InputError.self) { try await RemoteModel(url, timeout: 30) }
      #expect(error?.problem.contains("401") == true && error?.remedy?.contains("token") == true)
    }
  }

  @Test("A token is one line of visible characters", arguments: ["", " \n", "two words", "a\nb", "ü"])
  func noToken(text: String) throws {
    let token = try file(holding: text)
    #expect(throws: InputError.self) { try BearerToken(contentsOf: token) }
    #expect(throws: InputError.self) { try BearerToken(contentsOf: token + ".missing") }
  }

  private func file(holding text: String) throws -> String {
    let file = folder / "token"
    try Data(text.utf8).write(to: file)
    return file.path
  }

  @Test("A request that claims two gigabytes is refused at once")
  func hugeRequest() async throws {
    let app = try Box.server(Box.thread(), body: 1 << 20).application()
    try await app.test(.live) { client in
      let huge = try Wire(port: try #require(client.port))
      try huge.send("POST \(Box.infer) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483648\r\n\r\n{")
      let answer = await huge.answer(until: "}")
      #expect(answer.contains("413 ") && answer.contains("at most 1048576 bytes"), "\(answer)")
    }
  }

  @Test("A model that fails, a full queue and a slow model are told apart, and the server stays")
  func failures() async throws {
    let gate = DispatchSemaphore(value: 0)
    defer { for _ in 0..<2 { gate.signal() } }
    for (thread, seconds, status, words) in [
      (try Box.thread(fails: true), 30.0, HTTPResponse.Status.badGateway, "the weights are gone"),
      (try Box.thread(queueLimit: 0), 30, .serviceUnavailable, "too many requests wait"),
      (try Box.thread(gate: gate), 0.05, .gatewayTimeout, "did not answer within 0.05 s")
    ] {
      let app = try Box.server(thread, seconds: seconds).application()
      try await app.test(.router) { client in
        for _ in 0..<2 {
          let response = try await client.execute(
            uri: Box.infer, method: .post, body: ByteBuffer(string: Box.json))
          #expect(response.status == status)
          #expect(try Box.record(response)["error"]?.string?.contains(words) == true)
        }
        #expect(try await client.execute(uri: "/v2/health/live", method: .get).status == .ok)
      }
    }
  }

  @Test("Requests that arrive while the model works are answered together, each with its own numbers")
  func batching() async throws {
    let metrics = ServerMetrics()
    let gate = DispatchSemaphore(value: 0)
    let thread = try Box.thread(metrics, gate: gate)
    let answers = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for index in 0..<24 {
        let pixels = Tensor.full([1, 1, 2, 2], Double(index) / 24).data()
        group.addTask {
          let outputs = try await thread.answer(pixels, count: 1)
          return (index, outputs[0].data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) })
        }
      }
      // The first batch is on its way when the others are there.
      try await eventually("all are there") { thread.waiting + metrics.images == 24 }
      for _ in 0..<24 { gate.signal() }
      return try await group.reduce(into: [Int: [Float]]()) { $0[$1.0] = $1.1 }
    }
    for index in 0..<24 { #expect(abs((answers[index]?[0] ?? -1) - Float(index) / 24) < 1e-6) }
    #expect(metrics.images == 24 && (3...5).contains(metrics.batches))
  }

  @Test("Images wait in a bounded part of the memory, and one batch may always wait")
  func queueBytes() async throws {
    for (bytes, limit) in [(0, 8), (16 * 10, 10), (1 << 20, 4096)] {
      let thread = try Box.thread(queueBytes: bytes)
      #expect(thread.queueLimit == limit)
    }
  }

  @Test("A request that is given up makes room, and the others are answered")
  func cancellation() async throws {
    let metrics = ServerMetrics()
    let gate = DispatchSemaphore(value: 0)
    let thread = try Box.thread(metrics, queueLimit: 2, gate: gate)
    let pixels = Tensor.zeros([2, 1, 2, 2]).data()
    let working = Task { try await thread.answer(pixels, count: 2) }
    try await eventually("the first is worked on") { metrics.images == 2 }
    let waiting = Task { try await thread.answer(pixels, count: 2) }
    try await eventually("the second waits") { thread.waiting == 2 }
    await #expect(throws: ModelThread.Busy.self) { _ = try await thread.answer(pixels, count: 1) }
    waiting.cancel()
    await #expect(throws: CancellationError.self) { _ = try await waiting.value }
    let next = Task { try await thread.answer(pixels, count: 2) }
    for _ in 0..<2 { gate.signal() }
    #expect(try await working.value[0].shape == [2, 2])
    #expect(try await next.value[0].shape == [2, 2] && metrics.images == 4)
  }

  @Test("A model at work is told when nobody waits any more") func abandoned() async throws {
    let metrics = ServerMetrics()
    let thread = try ModelThread(metrics: metrics) {
      let model = InferenceModel(
        name: "box", version: "7", inputShape: [1, 2, 2],
        outputs: [.init(name: "sum", datatype: .float32, shape: [])], largestBatch: 8)
      return ModelThread.Model(model) { images, isAwaited in
        while images.max().item() == 1 {
          guard isAwaited() else { throw CancellationError() }
          Thread.sleep(forTimeInterval: 0.001)
        }
        return [("sum", images.sum([1, 2, 3]))]
      }
    }
    let endless = Task { try await thread.answer(Tensor.ones([1, 1, 2, 2]).data(), count: 1) }
    try await eventually("it is worked on") { metrics.images == 1 }
    endless.cancel()
    await #expect(throws: CancellationError.self) { _ = try await endless.value }
    #expect(try await thread.answer(Tensor.zeros([1, 1, 2, 2]).data(), count: 1)[0].shape == [1])
  }

  @Test("A closed model answers what waits and takes no more")
  func closing() async throws {
    let gate = DispatchSemaphore(value: 0)
    let thread = try Box.thread(gate: gate)
    let pixels = Tensor.zeros([8, 1, 2, 2]).data()
    let requests = (0..<3).map { _ in Task { try await thread.answer(pixels, count: 8) } }
    try await eventually("two wait") { thread.waiting == 16 }
    thread.close()
    await #expect(throws: ModelThread.Busy.self) { _ = try await thread.answer(pixels, count: 8) }
    for _ in requests { gate.signal() }
    for request in requests { #expect(try await request.value[0].shape == [8, 2]) }
  }

  @Test("A client that sends its request too slowly is told so, and others are answered")
  func slowClient() async throws {
    let app = try Box.server(Box.thread(), seconds: 0.2).application()
    try await app.test(.live) { client in
      let port = try #require(client.port)
      let slow = try Wire(port: port)
      try slow.send(
        "POST \(Box.infer) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(Box.json.utf8.count)\r\n\r\n{")
      let answer = await slow.answer(until: "}")
      #expect(answer.contains("408 Request Timeout") && answer.contains("did not arrive within 0.2 s"), "\(answer)")
      // Of its health, for which there is no time limit: this machine may be slow too.
      let other = try Wire(port: port)
      try other.send("GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let reply = await other.answer(until: "}")
      #expect(reply.contains("HTTP/1.1 200 OK"), "\(reply)")
    }
  }

  @Test("The metrics count requests by their outcome")
  func counts() async throws {
    let metrics = ServerMetrics()
    let app = try Box.server(Box.thread(metrics), metrics).application()
    try await app.test(.router) { client in
      for body in [Box.json, Box.json, "{"] {
        _ = try await client.execute(uri: Box.infer, method: .post, body: ByteBuffer(string: body))
      }
      let text = try await client.execute(uri: "/metrics", method: .get) { String(buffer: $0.body) }
      #expect(text.contains("quench_requests_total{code=\"200\"} 2"))
      #expect(text.contains("quench_requests_total{code=\"400\"} 1"))
      #expect(text.contains("quench_request_seconds_count 3"))
    }
  }

  @Test("A served network answers as it does in this process")
  func network() async throws {
    let file = folder / "model.safetensors"
    try ModelFile(Network(.smallCNN(input: [1, 8, 8], classes: 4), seed: 3)).write(to: file)
    let served = ServedModel(name: "box", source: .weights(file.path), batchSize: 16)
    let thread = try ModelThread(metrics: ServerMetrics()) { try served.load() }
    let images = Tensor.uniform([3, 1, 8, 8], using: Generator(seed: 1))
    let expected = try InferencePlan(ModelFile(contentsOf: file).network, dtype: .float32)(images)
    let answer = try await thread.answer(images.data(), count: 3)
    #expect(answer[0].tensor.isClose(to: expected, relative: 1e-4, absolute: 1e-5))
  }

  @Test("A defended model answers the class that noisy copies agree on, with the radius that so many votes show")
  func defended() async throws {
    let network = Network(.smallCNN(input: [1, 8, 8], classes: 4), seed: 3)
    try ModelFile(network).write(to: folder / "box.safetensors")
    // A fresh denoiser changes nothing.
    try Defense(denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 8, 8], seed: 1, device: .cpu)).write(
      to: folder.url)
    let certify = try Certify(fixed: 100, sigma: 1e-4, selection: 10)
    let served = ServedModel(
      name: "safe", source: .weights((folder / "box.safetensors").path),
      shield: .init(folder: folder.url.path, certify: certify), batchSize: 16)
    let thread = try ModelThread(metrics: ServerMetrics()) { try served.load() }
    #expect(thread.description.outputs.map(\.name) == ["votes", "label", "radius", "abstained"])
    let images = Tensor.uniform([3, 1, 8, 8], using: Generator(seed: 1))
    let labels = withoutGradient { network(images).argmax(1) }
    let answer = try await thread.answer(images.data(), count: 3)
    #expect(answer.map(\.shape) == [[3, 4], [3], [3], [3]])
    #expect(answer[0].tensor.isEqual(to: labels.oneHot(classes: 4).to(.float32)))
    #expect(answer[1].tensor.isEqual(to: labels))
    let radii = answer[2].tensor.array(Double.self)
    #expect(radii.allSatisfy { $0 < certify.largestRadius && $0 > 0.999999 * certify.largestRadius })
    #expect(answer[3].tensor.array(Bool.self) == [false, false, false])
  }
}
