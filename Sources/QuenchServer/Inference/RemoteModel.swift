import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import Reporting
import Smoothing
import Support

/// A model behind an endpoint that speaks the Open Inference Protocol, as KServe, Triton, TorchServe and MLServer do.
public struct RemoteModel: Sendable {
  private let connections: Connections
  private let base: String
  private let timeout: TimeAmount
  private let input: String
  private let output: String
  private let isBinary: Bool
  private let modelVersion: String?
  /// The model's name and version, which must not change while it is asked.
  public let version: String
  /// The last side of its first output, `[N, classes]`.
  public let classes: Int
  /// What its metadata name as `max_batch_size`.
  public let largestBatch: Int?

  /// Asks the endpoint what it is.
  /// - Parameters:
  ///   - url: `http://host:port/v2/models/NAME`, with or without `/versions/VERSION`.
  ///   - timeout: Seconds in which a request must be answered.
  ///   - token: What every request carries, where the endpoint asks for it.
  /// - Throws: `InputError` if it cannot be reached, or has not one input and an output `[N, classes]`.
  public init(_ url: String, timeout: Double, token: BearerToken? = nil) async throws {
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    guard let models = base.range(of: "/v2/models/") else {
      throw InputError(
        "this is no model of the Open Inference Protocol", at: url, expected: "http://host:port/v2/models/NAME")
    }
    connections = Connections(timeout: timeout, token: token)
    self.base = base
    self.timeout = .milliseconds(Int64(timeout * 1000))
    let metadata = try await Self.get(base, connections, self.timeout)
    guard let metadata, let inputs = metadata["inputs"]?.array, inputs.count == 1,
      let input = inputs[0].record?["name"]?.string,
      let output = metadata["outputs"]?.array?.first?.record, let name = output["name"]?.string,
      let shape = output["shape"]?.array, shape.count == 2, let classes = shape[1].integer, classes > 0
    else {
      throw InputError(
        "the endpoint does not describe a classifier", at: base,
        expected: "one input, and a first output of shape [-1, classes]")
    }
    self.input = input
    self.output = name
    self.classes = classes
    largestBatch = metadata["parameters"]?.record?["max_batch_size"]?.integer
    modelVersion = metadata["versions"]?.array?.last?.string
    let modelName = metadata["name"]?.string ?? String(base[models.upperBound...])
    version = modelVersion.map { "\(modelName):\($0)" } ?? modelName
    let server = try await Self.get(base[..<models.lowerBound] + "/v2", connections, self.timeout)
    isBinary = server?["extensions"]?.array?.contains("binary_tensor_data") ?? false
  }

  /// The first output for float32 pixels of shape `[N, C, H, W]`: `[N, classes]`, float32 bytes.
  /// - Throws: `TemporaryFailure` where the endpoint may answer later, `InputError` where it refuses the request,
  ///   answers what it must not, or has become another version.
  public func answer(_ pixels: Data, shape: [Int]) async throws -> Data {
    var message = InferenceMessage(
      tensors: [InferenceTensor(name: input, shape: shape, datatype: .float32, data: pixels)])
    message.requested = [.init(name: output, isBinary: isBinary ? true : nil)]
    let encoded = message.encoded(.request) { _ in isBinary }
    var request = HTTPClientRequest(url: base + "/infer")
    request.method = .POST
    request.headers.add(
      name: "Content-Type", value: encoded.headerLength == nil ? "application/json" : "application/octet-stream")
    if let length = encoded.headerLength {
      request.headers.add(name: "Inference-Header-Content-Length", value: "\(length)")
    }
    request.body = .bytes(ByteBuffer(bytes: encoded.body))
    let (body, length) = try await Self.send(request, connections, timeout)
    let answer = try InferenceMessage(body, headerLength: length, .response)
    if let found = answer.modelVersion, let expected = modelVersion, found != expected {
      throw InputError(
        "the endpoint has become another version", at: base, expected: expected, found: found,
        remedy: "ask one version: \(base)/versions/\(expected)")
    }
    guard let tensor = answer.tensors.first(where: { $0.name == output }), tensor.shape == [shape[0], classes]
    else {
      throw InputError(
        "the endpoint answers another number of images or classes", at: base, expected: "\([shape[0], classes])",
        found: "\(answer.tensors.map(\.shape))")
    }
    guard let numbers = tensor.floats else {
      throw InputError("the endpoint answers whole numbers", at: base, expected: "logits or probabilities")
    }
    return numbers.withUnsafeBytes { Data($0) }
  }

  /// Why the endpoint could not answer now; nil: it says that it is ready.
  public func problem() async -> String? {
    do {
      _ = try await Self.send(HTTPClientRequest(url: base + "/ready"), connections, min(timeout, .seconds(2)))
      return nil
    } catch { return "\(error)" }
  }

  /// What an endpoint says of itself at `url`.
  private static func get(_ url: String, _ connections: Connections, _ timeout: TimeAmount) async throws -> Record?
  {
    do {
      return try Value(json: await send(HTTPClientRequest(url: url), connections, timeout).body, name: url).record
    } catch let failure as TemporaryFailure {
      throw InputError("the endpoint is out of reach: \(failure)", at: url, remedy: "see that it runs")
    }
  }

  private static func send(
    _ request: HTTPClientRequest, _ connections: Connections, _ timeout: TimeAmount
  ) async throws -> (body: Data, headerLength: Int?) {
    var request = request
    if let token = connections.token { request.headers.add(name: "Authorization", value: token.header) }
    let response: HTTPClientResponse
    let body: Data
    do {
      response = try await connections.client.execute(request, timeout: timeout)
      body = Data(try await response.body.collect(upTo: 256 << 20).readableBytesView)
    } catch { throw TemporaryFailure("\(error)", wasSent: !isUnconnected(error)) }
    let code = Int(response.status.code)
    if (200..<300).contains(code) {
      return (body, response.headers.first(name: "Inference-Header-Content-Length").flatMap { Int($0) })
    }
    let text = (try? Value(json: body, name: "answer"))?.record?["error"]?.string
    let problem = "\(code) \(text ?? response.status.reasonPhrase)"
    guard code == 429 || code >= 500 else {
      throw InputError(
        "the endpoint refuses the request: \(problem)", at: request.url,
        remedy: [401, 403].contains(code) ? "name the file that holds its token" : nil)
    }
    throw TemporaryFailure(problem, pause: response.headers.first(name: "Retry-After").flatMap { Double($0) })
  }

  /// Whether nothing can have been sent, because there was no connection.
  private static func isUnconnected(_ error: any Error) -> Bool {
    error is NIOConnectionError
      || [.connectTimeout, .getConnectionFromPoolTimeout].contains { $0 == error as? HTTPClientError }
  }
}

/// What sends requests; it closes its connections when nobody holds it any more.
private final class Connections: Sendable {
  let client: HTTPClient
  let token: BearerToken?

  /// - Parameter timeout: Seconds, of which at most ten for connecting: then it is known that nothing was sent.
  init(timeout: Double, token: BearerToken?) {
    self.token = token
    var configuration = HTTPClient.Configuration()
    configuration.timeout.connect = .milliseconds(Int64(min(timeout, 10) * 900))
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  deinit { client.shutdown { _ in } }
}
