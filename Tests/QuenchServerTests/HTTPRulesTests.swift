import AsyncHTTPClient
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

@Suite("The server and HTTP") struct HTTPRulesTests {
  private static let post = "POST \(Box.infer) HTTP/1.1\r\nHost: x\r\n"

  @Test(
    "A connection ends where HTTP says so, and what is no HTTP is told in the error object",
    arguments: [
      ("GET /v2/health/live HTTP/1.0\r\n\r\n", 200, "\"live\":true"),
      ("GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", 200, "\"live\":true"),
      ("GET /v2/health/live HTTP/1.1\r\n\r\n", 400, "no Host header"),
      ("GET /v2/health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "several Host headers"),
      (post + "Transfer-Encoding: gzip\r\n\r\nabc", 400, "not valid HTTP"),
      (post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", 400, "not valid HTTP"),
      (post + "Content-Length: -5\r\n\r\n", 400, "not valid HTTP"),
      ("\u{1}garbage\r\n\r\n", 400, "not valid HTTP"),
      (post + "Content-Length: 2147483648\r\n\r\n{", 413, "at most 1048576 bytes")
    ]) func endings(request: String, status: Int, words: String) async throws
  {
    try await Box.server(Box.thread()).application().test(.live) { client in
      let wire = try Wire(port: try #require(client.port))
      try wire.send(request)
      let answer = await wire.answerToTheEnd()
      #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
      #expect(answer.lowercased().contains("\r\nconnection: close\r\n") && answer.contains(words), "\(answer)")
    }
  }

  @Test("A client of HTTP/1.0 may keep its connection")
  func keepAlive() async throws {
    try await Box.server(Box.thread()).application().test(.live) { client in
      let wire = try Wire(port: try #require(client.port))
      for _ in 0..<2 {
        try wire.send("GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let answer = await wire.answer(until: "}")
        #expect(answer.lowercased().contains("\r\nconnection: keep-alive\r\n"), "\(answer)")
      }
    }
  }

  @Test("HEAD is answered by the head that GET has, also of an error")
  func head() async throws {
    try await Box.server(Box.thread()).application().test(.live) { client in
      for (path, status, length) in [("/v2/health/live", "200 OK", 13), ("/nowhere", "404 Not Found", 21)] {
        let wire = try Wire(port: try #require(client.port))
        try wire.send("HEAD \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        let answer = await wire.answerToTheEnd()
        #expect(answer.hasPrefix("HTTP/1.1 \(status)\r\n") && answer.hasSuffix("\r\n\r\n"), "\(answer)")
        #expect(answer.lowercased().contains("\r\ncontent-length: \(length)\r\n"), "\(answer)")
      }
    }
  }

  @Test("A path that is asked by another method names those that it has")
  func methods() async throws {
    try await Box.server(Box.thread()).application().test(.router) { client in
      for (method, path, allowed) in [
        (HTTPRequest.Method.get, Box.infer, "POST"), (.delete, Box.infer, "POST"), (.post, "/v2", "GET, HEAD"),
        (.put, "/v2/models/box/config", "GET, HEAD"), (.get, "/v2/repository/index", "POST")
      ] {
        let response = try await client.execute(uri: path, method: method)
        #expect(response.status == .methodNotAllowed && response.headers[.allow] == allowed)
        #expect(try Box.record(response)["error"]?.string?.contains(allowed) == true)
      }
    }
  }

  @Test("Bodies coded by gzip and deflate are unpacked within the limit; other codings are refused")
  func codings() async throws {
    let json = Data(Box.json.utf8)
    try await Box.server(Box.thread(), body: 4096).application().test(.router) { client in
      for (coding, body, status, words) in [
        ("gzip", Self.gzip(json), 200, "logits"), ("deflate", Self.zlib(json), 200, "logits"),
        ("GZIP", Self.gzip(json), 200, "logits"), ("identity", json, 200, "logits"),
        ("gzip", Self.zlib(json + Data(count: 5000)).prefix(3000), 400, "too early"),
        ("deflate", Self.bomb, 413, "at most 4096 bytes"),
        ("gzip", json, 400, "gzip"), ("br", json, 415, "gzip or deflate, not 'br'")
      ] as [(String, Data, Int, String)] {
        let response = try await client.execute(
          uri: Box.infer, method: .post, headers: [.contentEncoding: coding], body: ByteBuffer(bytes: body))
        let text = String(buffer: response.body)
        #expect(response.status.code == status, "\(coding): \(text)")
        #expect(words.split(separator: "|").contains { text.contains($0) }, "\(coding): \(text)")
        #expect(response.headers[.acceptEncoding] == (status == 415 ? "gzip, deflate" : nil))
      }
    }
    #expect(try Gzip.inflate(Self.zlib(Data(count: 4096)), name: "body", limit: 4096)?.count == 4096)
    #expect(try Gzip.inflate(Self.zlib(Data(count: 4097)), name: "bomb", limit: 4096) == nil)
  }

  /// 5000 zeros, by Python's `zlib.compress`.
  private static let bomb =
    Data(base64Encoded: "eJztwTEBAAAAwqD1T20KP6AAAAAAgLcBE4gAAQ==") ?? Data()

  /// `data` in a zlib stream, stored as they are.
  private static func zlib(_ data: Data) -> Data {
    let sums = data.reduce((a: 1, b: 0)) { sums, byte in
      let a = (sums.a + Int(byte)) % 65521
      return (a, (sums.b + a) % 65521)
    }
    return Data([0x78, 0x01]) + stored(data) + bigEndian(sums.b << 16 | sums.a)
  }

  private static func gzip(_ data: Data) -> Data {
    var crc = UInt32.max
    for byte in data {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    let end = Data(bigEndian(Int(~crc)).reversed()) + Data(bigEndian(data.count).reversed())
    return Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]) + stored(data) + end
  }

  /// One block of deflate (RFC 1951, section 3.2.4).
  private static func stored(_ data: Data) -> Data {
    let length = [UInt8(data.count & 0xFF), UInt8(data.count >> 8)]
    return Data([1] + length + length.map { ~$0 }) + data
  }

  private static func bigEndian(_ number: Int) -> Data {
    Data((0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) })
  }

  @Test("The token's scheme may be written in any case, and each token of a file is admitted at its own rate")
  func tokens() async throws {
    let folder = try TemporaryFolder()
    try Data("one\n\ntwo\n".utf8).write(to: folder / "tokens")
    let tokens = try BearerToken.all(contentsOf: (folder / "tokens").path)
    var limits = InferenceServer.Limits()
    limits.requestsAMinute = 1
    let start = ContinuousClock.now
    let server = try InferenceServer(
      Box.thread(), metrics: ServerMetrics(), limits: limits, tokens: tokens, now: { start })
    try await server.application().test(.router) { client in
      for (header, status) in [
        ("bearer one", 200), ("BEARER one", 429), ("Bearer two", 200), ("Bearer three", 401), ("Bearer  two", 429)
      ] {
        let response = try await client.execute(uri: "/v2", method: .get, headers: [.authorization: header])
        #expect(response.status.code == status, "\(header)")
        if status == 429 {
          #expect(response.headers[.retryAfter].flatMap { Int($0) }.map { (1...60) ~= $0 } == true)
        }
        if status == 401 { #expect(response.headers[.wwwAuthenticate] == "Bearer") }
      }
      #expect(try await client.execute(uri: "/v2/health/live", method: .get).status == .ok)
    }
  }

  @Test("A rate lets a minute's requests through at once, and then one whenever it comes due")
  func rate() {
    let start = ContinuousClock.now
    let clock = ManualClock(start)
    let rate = RequestRate(requestsAMinute: 3) { clock.now }
    #expect((0..<3).allSatisfy { _ in rate.take(from: "a") == nil })
    #expect(rate.take(from: "a") == 20 && rate.take(from: "b") == nil)
    clock.now = start + .seconds(15)
    #expect(rate.take(from: "a") == 5)
    clock.now = start + .seconds(20)
    #expect(rate.take(from: "a") == nil && rate.take(from: "a") == 20)
  }

  @Test("Clients that look at a model's configuration, statistics and repository find them")
  func tritonPaths() async throws {
    let metrics = ServerMetrics()
    try await Box.server(Box.thread(metrics), metrics).application().test(.router) { client in
      let config = try Box.record(try await client.execute(uri: "/v2/models/box/config", method: .get))
      #expect(config["max_batch_size"] == 8)
      #expect(config["input"] == [["name": "input", "data_type": "TYPE_FP32", "dims": [1, 2, 2]]])
      let index = try await client.execute(uri: "/v2/repository/index", method: .post)
      #expect(
        try Value(json: Data(buffer: index.body), name: "index")
          == [["name": "box", "version": "7", "state": "READY", "reason": ""]])
      for body in [Box.json, Box.json, "{"] {
        _ = try await client.execute(uri: Box.infer, method: .post, body: ByteBuffer(string: body))
      }
      for path in ["/v2/models/box/stats", "/v2/models/box/versions/7/stats", "/v2/models/stats"] {
        let stats = try Box.record(try await client.execute(uri: path, method: .get))["model_stats"]?.array?[0]
          .record
        #expect(stats?["inference_count"] == 2 && stats?["execution_count"] == 2)
        let kinds = try #require(stats?["inference_stats"]?.record)
        #expect(kinds["success"]?.record?["count"] == 2 && kinds["fail"]?.record?["count"] == 1)
        #expect(kinds["success"]?.record?["ns"]?.integer ?? 0 > 0)
      }
    }
  }
}

@Suite("The server's certificate") struct ServerCertificateTests {
  private static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl", "/opt/homebrew/bin/openssl"]
    .first(where: FileManager.default.isExecutableFile)
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A certificate for `names` and its key.
  private func certificate(_ name: String, for names: String, password: String? = nil) throws -> ServerCertificate {
    let files = ServerCertificate(
      chain: (folder / "\(name).pem").path, key: (folder / "\(name).key").path)
    let process = Process()
    process.executableURL = URL(filePath: try #require(Self.openssl))
    process.arguments =
      ["req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=test", "-keyout", files.key, "-out"]
      + [files.chain, "-addext", "subjectAltName=\(names)"]
      + (password.map { ["-passout", "pass:\($0)"] } ?? ["-nodes"])
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return files
  }

  @Test(
    "serves a client that trusts it and asks for a name in it", .enabled(if: openssl != nil, "there is no openssl"))
  func trusted() async throws {
    let files = try certificate("good", for: "DNS:localhost,IP:127.0.0.1,IP:::1")
    #expect(try files.finding(onHost: "127.0.0.1") == nil && files.finding(onHost: "::1") == nil)
    #expect(
      try files.finding(onHost: "0.0.0.0")
        == "the certificate is for localhost, 127.0.0.1, ::1: clients must ask for that, not for 0.0.0.0")
    let application = try Box.server(Box.thread()).application(certificate: files)
    try await application.test(.live) { client in
      var configuration = HTTPClient.Configuration()
      configuration.tlsConfiguration = .makeClientConfiguration()
      configuration.tlsConfiguration?.trustRoots = .file(files.chain)
      let https = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
      let port = try #require(client.port)
      for host in ["localhost", "127.0.0.1"] {
        let response = try await https.get(url: "https://\(host):\(port)/v2/health/live").get()
        #expect(response.status == .ok)
      }
      try await https.shutdown()
    }
  }

  @Test("that cannot be used is told by what is wrong with it", .enabled(if: openssl != nil, "there is no openssl"))
  func mistakes() throws {
    let one = try certificate("one", for: "DNS:one")
    let two = try certificate("two", for: "DNS:two")
    let encrypted = try certificate("encrypted", for: "DNS:three", password: "secret")
    for (files, words) in [
      (ServerCertificate(chain: one.chain, key: two.key), "the key is not that of the certificate"),
      (encrypted, "the private key is encrypted; decrypt it: openssl pkey"),
      (ServerCertificate(chain: one.chain, key: one.chain), "the private key cannot be read"),
      (ServerCertificate(chain: one.chain + "x", key: one.key), "the certificate cannot be read")
    ] {
      #expect { _ = try files.configuration() } throws: { "\($0)".contains(words) }
    }
  }
}

/// A clock that a test sets.
private final class ManualClock: Sendable {
  private let instant: Mutex<ContinuousClock.Instant>

  init(_ now: ContinuousClock.Instant) { instant = Mutex(now) }

  var now: ContinuousClock.Instant {
    get { instant.withLock { $0 } }
    set { instant.withLock { $0 = newValue } }
  }
}
