import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import Reporting
import Smoothing
import Support

/// The paths of the Open Inference Protocol, and `/metrics`.
struct InferenceRoutes: Sendable {
  let model: ModelThread
  let metrics: ServerMetrics
  let limits: InferenceServer.Limits
  let token: BearerToken?
  let logger: Logger

  private static let jsonLength = "Inference-Header-Content-Length"

  func router() -> Router<BasicRequestContext> {
    let router = Router(context: BasicRequestContext.self)
    router.add(middleware: Answering(metrics: metrics, logger: logger))
    if let token { router.add(middleware: Admission(token: token)) }
    router.get("v2/health/live") { _, _ in Self.json(["live": true]) }
    router.get("v2/health/ready") { _, _ in Self.json(["ready": true]) }
    router.get("v2") { _, _ in
      Self.json(["name": "quench", "version": .string(Release.version), "extensions": ["binary_tensor_data"]])
    }
    router.get("metrics") { _, _ in Self.response(metrics.text, type: "text/plain; version=0.0.4") }
    for path in ["v2/models/:model", "v2/models/:model/versions/:version"] {
      router.get(RouterPath(path)) { _, context in
        try check(context)
        return Self.json(model.description.metadata)
      }
      router.get(RouterPath("\(path)/ready")) { _, context in
        try check(context)
        return Self.json(["name": .string(model.description.name), "ready": true])
      }
      router.post(RouterPath("\(path)/infer")) { request, context in
        try check(context)
        return try await infer(request)
      }
    }
    return router
  }

  private func check(_ context: BasicRequestContext) throws {
    let (name, version) = (context.parameters.get("model"), context.parameters.get("version"))
    let served = model.description
    guard name == served.name, version ?? served.version == served.version else {
      throw HTTPError(
        .notFound,
        message: "unknown model '\(name?.prefix(64) ?? "")'" + (version.map { " version '\($0.prefix(64))'" } ?? "")
          + "; this server has '\(served.name)' version '\(served.version)'")
    }
  }

  private func infer(_ request: Request) async throws -> Response {
    let bytes = try await within(
      .requestTimeout, "the request did not arrive within \(limits.seconds) s",
      { try await body(of: request) })
    let header = HTTPField.Name(Self.jsonLength).flatMap { request.headers[$0] }
    let length = header.flatMap { Int($0) }
    guard header == nil || length != nil else {
      throw InputError(
        "the header is no whole number", at: Self.jsonLength, found: header.map { "'\($0.prefix(64))'" })
    }
    let message = try InferenceMessage(bytes, headerLength: length, .request)
    let (pixels, count) = try model.description.pixels(of: message)
    let outputs = try await within(
      .gatewayTimeout, "the model did not answer within \(limits.seconds) s",
      { try await model.answer(pixels, count: count) })
    let encoded = model.description.response(to: message, outputs)
    var headers = HTTPFields()
    headers[.contentType] = encoded.headerLength == nil ? "application/json" : "application/octet-stream"
    if let length = encoded.headerLength, let name = HTTPField.Name(Self.jsonLength) { headers[name] = "\(length)" }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: encoded.body)))
  }

  private func body(of request: Request) async throws -> Data {
    let tooLarge = HTTPError(.contentTooLarge, message: "a request may have at most \(limits.body) bytes")
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limits.body { throw tooLarge }
    do {
      return Data(try await request.body.collect(upTo: limits.body).readableBytesView)
    } catch is NIOTooManyBytesError {
      throw tooLarge
    }
  }

  /// What `work` gives, or an error with `status` once the time is up.
  private func within<Outcome: Sendable>(
    _ status: HTTPResponse.Status, _ message: String, _ work: @escaping @Sendable () async throws -> Outcome
  ) async throws -> Outcome {
    try await withThrowingTaskGroup(of: Outcome.self) { [limits] group in
      group.addTask { try await work() }
      group.addTask {
        // Not `Task.sleep`, whose timer stays until it fires, cancelled or not.
        let timer: Scheduled<Outcome> = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(
          in: .milliseconds(Int64(limits.seconds * 1000)), { throw HTTPError(status, message: message) })
        return try await withTaskCancellationHandler {
          try await timer.futureResult.get()
        } onCancel: {
          timer.cancel()
        }
      }
      defer { group.cancelAll() }
      guard let outcome = try await group.next() else { throw CancellationError() }
      return outcome
    }
  }

  private static func json(_ record: Record, status: HTTPResponse.Status = .ok) -> Response {
    response(Value.object(record).json(), type: "application/json", status: status)
  }

  private static func response(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
    var headers = HTTPFields()
    headers[.contentType] = type
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  /// Lets nobody in without the token, but to ask for the server's health.
  private struct Admission: RouterMiddleware {
    let token: BearerToken

    func handle(
      _ request: Request, context: BasicRequestContext,
      next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
      guard request.uri.path.hasPrefix("/v2/health/") || token.admits(request.headers[.authorization]) else {
        throw HTTPError(
          .unauthorized, headers: [.wwwAuthenticate: "Bearer"],
          message: "the request must carry the server's token: Authorization: Bearer TOKEN")
      }
      return try await next(request, context)
    }
  }

  /// Turns whatever goes wrong into the protocol's error object, `{"error": "..."}`, counts requests and logs them.
  private struct Answering: RouterMiddleware {
    let metrics: ServerMetrics
    let logger: Logger

    func handle(
      _ request: Request, context: BasicRequestContext,
      next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
      let start = ContinuousClock.now
      var problem: String?
      let response: Response
      do { response = try await next(request, context) } catch {
        let (status, text) = Self.explain(error)
        problem = text
        response = InferenceRoutes.json(["error": .string(text)], status: status)
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      metrics.request(status: response.status.code, seconds: seconds)
      var metadata: Logger.Metadata = [
        "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
        "ms": "\(String(format: "%.2f", seconds * 1000))"
      ]
      metadata["error"] = problem.map { "\($0)" }
      logger.log(level: response.status.code >= 500 ? .error : .info, "request", metadata: metadata)
      return response
    }

    private static func explain(_ error: any Error) -> (HTTPResponse.Status, String) {
      switch error {
      case let error as HTTPError: (error.status, error.body ?? error.status.reasonPhrase)
      case let error as InputError: (.badRequest, "\(error)")
      case is ModelThread.Busy: (.serviceUnavailable, "too many requests wait: exceeds maximum queue size")
      case let failure as ModelThread.Failure: (.badGateway, "the model cannot answer: \(failure.cause)")
      default: (.internalServerError, "\(error)")
      }
    }
  }
}
