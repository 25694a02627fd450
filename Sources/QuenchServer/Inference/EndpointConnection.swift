import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import Synchronization

/// What sends requests to an endpoint and says in a sentence what became of them; it closes its connections when nobody
/// holds it any more.
final class EndpointConnection: Sendable {
  private let client: HTTPClient
  private let token: BearerToken?
  private let timeout: TimeAmount

  /// - Parameters:
  ///   - timeout: Seconds in which a request must be answered, of which at most ten for connecting.
  ///   - token: What every request carries.
  ///   - authorities: A PEM file of certificates that are trusted besides the system's.
  /// - Throws: `InputError` if the file holds none.
  init(timeout: Double, token: BearerToken?, authorities: String?) throws(InputError) {
    self.token = token
    self.timeout = .milliseconds(Int64(timeout * 1000))
    var configuration = HTTPClient.Configuration()
    configuration.timeout.connect = .milliseconds(Int64(min(timeout, 10) * 900))
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.redirectConfiguration = .disallow  // followed here, where it is known what may be sent where
    var tls = TLSConfiguration.makeClientConfiguration()
    // As OpenSSL and what is built on it have it.
    if let file = ProcessInfo.processInfo.environment["SSL_CERT_FILE"], !file.isEmpty {
      tls.trustRoots = .certificates(try Self.certificates(file, at: "SSL_CERT_FILE"))
    }
    if let authorities {
      tls.additionalTrustRoots = [.certificates(try Self.certificates(authorities, at: "ca-file"))]
    }
    configuration.tlsConfiguration = tls
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  deinit { client.shutdown { _ in } }

  private static func certificates(_ file: String, at location: String) throws(InputError) -> [NIOSSLCertificate] {
    do { return try NIOSSLCertificate.fromPEMFile(file) } catch {
      throw InputError(
        "the certificates cannot be read", at: location, expected: "a file of certificates in PEM form",
        found: "'\(file)'")
    }
  }

  /// An endpoint's answer.
  struct Answer {
    var body: Data
    /// Of the JSON, where raw tensors follow it.
    var headerLength: Int?
  }

  /// What the endpoint says at `url`; nil where it has nothing there.
  /// - Throws: `InputError` if it cannot be reached or refuses.
  func get(_ url: String) async throws -> Record? {
    do {
      return try Value(json: await send(HTTPClientRequest(url: url)).body, name: url).record
    } catch let failure as TemporaryFailure {
      throw InputError("the endpoint is out of reach: \(failure)", at: url, remedy: "see that it runs")
    }
  }

  /// Why what is at `url` could not answer now; nil: it answers.
  func problem(at url: String) async -> String? {
    do {
      _ = try await send(HTTPClientRequest(url: url), within: min(timeout, .seconds(2)))
      return nil
    } catch { return "\(error)" }
  }

  /// Sends a request with a body.
  /// - Throws: `TemporaryFailure` where the same may be answered later, `TooManyImages` where less may be, `InputError`
  ///   where it is refused or the endpoint cannot be trusted.
  func post(_ body: Data, headerLength: Int?, to url: String) async throws -> Answer {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(
      name: "Content-Type", value: headerLength == nil ? "application/json" : "application/octet-stream")
    if let headerLength {
      request.headers.add(name: "Inference-Header-Content-Length", value: "\(headerLength)")
    }
    let sent = SentBody(ByteBuffer(bytes: body))
    request.body = .stream(sent, length: .known(Int64(body.count)))
    do { return try await send(request) } catch var failure as TemporaryFailure {
      // Nobody counts what never left: no byte of it was asked for, whatever the reason was.
      failure.wasSent = sent.hasBegun
      throw failure
    }
  }

  /// - Parameter redirects: How often the endpoint may still send it elsewhere.
  private func send(
    _ request: HTTPClientRequest, within timeout: TimeAmount? = nil, redirects: Int = 5
  ) async throws -> Answer {
    let timeout = timeout ?? self.timeout
    var request = request
    if let token { request.headers.replaceOrAdd(name: "Authorization", value: token.header) }
    let response: HTTPClientResponse
    let body: Data
    do {
      response = try await client.execute(request, timeout: timeout)
      body = Data(try await response.body.collect(upTo: 256 << 20).readableBytesView)
    } catch {
      let problem = ConnectionProblem(error, seconds: Double(timeout.nanoseconds) / 1e9)
      guard let remedy = problem.remedy else { throw TemporaryFailure(problem.text) }
      throw InputError(problem.text, at: request.url, remedy: remedy)
    }
    if let redirect = Redirect(response, of: request) {
      request.url = try redirect.target(left: redirects)
      return try await send(request, within: timeout, redirects: redirects - 1)
    }
    guard (200..<300).contains(response.status.code) else { throw Self.refusal(response, body, request.url) }
    return Answer(
      body: body,
      headerLength: response.headers.first(name: "Inference-Header-Content-Length").flatMap { Int($0) })
  }

  /// What an answer that is none means.
  private static func refusal(_ response: HTTPClientResponse, _ body: Data, _ url: String) -> any Error {
    let code = Int(response.status.code)
    let record = (try? Value(json: body, name: "answer"))?.record
    let text = record?["error"]?.string ?? record?["detail"]?.string ?? record?["message"]?.string
    let problem = "\(code) \(text.map { String($0.prefix(200)) } ?? response.status.reasonPhrase)"
    if let limit = BatchRefusal(code: code, text: text ?? "") {
      return TooManyImages(problem, limit: limit.limit)
    }
    // 501 and 505 do not pass.
    if [408, 425, 429].contains(code) || code >= 500 && ![501, 505].contains(code) {
      return TemporaryFailure(
        problem, pause: response.headers.first(name: "Retry-After").flatMap { RetryAfter.seconds($0, now: Date()) })
    }
    return InputError(
      "the endpoint refuses the request: \(problem)", at: url,
      remedy: [401, 403].contains(code) ? "name the file that holds its token" : nil)
  }

  /// A body that knows whether any of it was asked for: that is, whether there was a connection to send it on.
  private final class SentBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    private let buffer: ByteBuffer
    private let begun = Atomic(false)

    init(_ buffer: ByteBuffer) { self.buffer = buffer }

    var hasBegun: Bool { begun.load(ordering: .acquiring) }

    func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    struct Iterator: AsyncIteratorProtocol {
      let body: SentBody
      var isDone = false

      mutating func next() async -> ByteBuffer? {
        guard !isDone else { return nil }
        isDone = true
        body.begun.store(true, ordering: .releasing)
        return body.buffer
      }
    }
  }
}
