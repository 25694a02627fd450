import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import QuenchReporting
import QuenchSmoothing
import QuenchSupport

/// The paths of the Open Inference Protocol, those of Triton's extensions that clients look at, and `/metrics`.
struct InferenceRoutes: Sendable {
  let model: ModelThread
  let metrics: ServerMetrics
  let limits: InferenceServer.Limits
  let intake: Intake
  let readiness: Readiness
  let admission: Admission
  let logger: Logger

  private typealias Handler = @Sendable (Request, BasicRequestContext) async throws -> Response

  private static let jsonLength = "Inference-Header-Content-Length"
  private static let extensions: Value = [
    "binary_tensor_data", "classification", "model_configuration", "statistics"
  ]

  func router() -> Router<BasicRequestContext> {
    let router = Router(context: BasicRequestContext.self)
    router.add(middleware: Answering(metrics: metrics, logger: logger))
    router.add(middleware: admission)
    func get(_ path: String, _ handler: @escaping Handler) { Self.add(to: router, path, [.get, .head], handler) }
    func post(_ path: String, _ handler: @escaping Handler) { Self.add(to: router, path, [.post], handler) }
    get("v2/health/live") { _, _ in .json(["live": true]) }
    get("v2/health/ready") { _, _ in await ready([:]) }
    get("v2") { _, _ in
      .json(["name": "quench", "version": .string(Release.version), "extensions": Self.extensions])
    }
    get("metrics") { _, _ in .text(metrics.text, type: "text/plain; version=0.0.4") }
    get("v2/models/stats") { _, _ in .json(.object(metrics.statistics(of: model.description))) }
    post("v2/repository/index") { _, _ in
      let problem = await readiness.problem()
      return .json([
        [
          "name": .string(model.description.name), "version": .string(model.description.version),
          "state": problem == nil ? "READY" : "UNAVAILABLE", "reason": .string(problem ?? "")
        ]
      ])
    }
    for path in ["v2/models/:model", "v2/models/:model/versions/:version"] {
      func get(_ end: String, _ answer: @escaping @Sendable () async -> Response) {
        Self.add(to: router, path + end, [.get, .head]) { _, context in
          try check(context)
          return await answer()
        }
      }
      get("") { .json(.object(model.description.metadata)) }
      get("/config") { .json(.object(model.description.configuration)) }
      get("/stats") { .json(.object(metrics.statistics(of: model.description))) }
      get("/ready") { await ready(["name": .string(model.description.name)]) }
      post("\(path)/infer") { request, context in
        try check(context)
        let start = ContinuousClock.now
        func count(succeeded: Bool) {
          metrics.inference(succeeded: succeeded, seconds: (ContinuousClock.now - start) / .seconds(1))
        }
        do {
          let response = try await infer(request)
          count(succeeded: true)
          return response
        } catch {
          count(succeeded: false)
          throw error
        }
      }
    }
    return router
  }

  /// Answers requests for a path by the methods that it has, and others by 405.
  private static func add(
    to router: Router<BasicRequestContext>, _ path: String, _ methods: [HTTPRequest.Method],
    _ handler: @escaping Handler
  ) {
    let allowed = methods.map(\.rawValue).joined(separator: ", ")
    for method: HTTPRequest.Method in [.get, .head, .post, .put, .patch, .delete, .options] {
      router.on(RouterPath(path), method: method) { request, context in
        guard methods.contains(method) else {
          throw HTTPError(
            .methodNotAllowed, headers: [.allow: allowed],
            message: "\(method) is not for this path; it takes \(allowed)")
        }
        return try await handler(request, context)
      }
    }
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

  private func ready(_ record: Record) async -> Response {
    var record = record
    let problem = await readiness.problem()
    record["ready"] = .bool(problem == nil)
    record["error"] = problem.map { .string($0) }
    return .json(.object(record), status: problem == nil ? .ok : .serviceUnavailable)
  }

  private func infer(_ request: Request) async throws -> Response {
    let (message, pixels, count) = try await read(request)
    let outputs = try await before(
      .now + .seconds(limits.seconds), .gatewayTimeout, "the model did not answer within \(limits.seconds) s",
      { try await model.answer(pixels, count: count) })
    let encoded = model.description.response(to: message, outputs)
    var headers = HTTPFields()
    headers[.contentType] = encoded.headerLength == nil ? "application/json" : "application/octet-stream"
    if let length = encoded.headerLength, let name = HTTPField.Name(Self.jsonLength) { headers[name] = "\(length)" }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: encoded.body)))
  }

  /// What a request asks for, and its images; its body is gone by then.
  private func read(
    _ request: Request
  ) async throws -> (message: InferenceMessage, pixels: Data, count: Int) {
    let end = ContinuousClock.now + .seconds(limits.seconds)
    let body = try await before(
      end, .requestTimeout, "the request did not arrive within \(limits.seconds) s",
      { try await intake.body(of: request) })
    let header = HTTPField.Name(Self.jsonLength).flatMap { request.headers[$0] }
    let length = header.flatMap { Int($0) }
    guard header == nil || length != nil else {
      throw InputError(
        "the header is no whole number", at: Self.jsonLength, found: header.map { "'\($0.prefix(64))'" })
    }
    return try await before(
      end, .serviceUnavailable, "the request could not be read within \(limits.seconds) s",
      { [description = model.description] in
        try await intake.parsed(body) { data in
          let message = try InferenceMessage(data, headerLength: length, .request, accept: description.accept)
          let (pixels, count) = try description.pixels(of: message)
          return (message.withoutData, pixels, count)
        }
      })
  }

  /// What `work` gives, or an error with `status` once the time is up.
  /// - Throws: Also `HangUp`, as soon as nobody waits for the answer.
  private func before<Outcome: Sendable>(
    _ end: ContinuousClock.Instant, _ status: HTTPResponse.Status, _ message: String,
    _ work: @escaping @Sendable () async throws -> Outcome
  ) async throws -> Outcome {
    try await withThrowingTaskGroup(of: Outcome.self) { group in
      group.addTask { try await work() }
      group.addTask {
        // Not `Task.sleep`, whose timer stays until it fires, cancelled or not.
        let timer: Scheduled<Outcome> = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(
          in: TimeAmount(end - .now), { throw HTTPError(status, message: message) })
        return try await withTaskCancellationHandler {
          try await timer.futureResult.get()
        } onCancel: {
          timer.cancel()
        }
      }
      if let connection = Connection.current {
        group.addTask {
          await connection.abandoned()
          throw HangUp()
        }
      }
      defer { group.cancelAll() }
      guard let outcome = try await group.next() else { throw CancellationError() }
      return outcome
    }
  }
}

/// The client went away before it had its answer.
struct HangUp: Error {}

extension Response {
  static func json(_ value: Value, status: HTTPResponse.Status = .ok) -> Response {
    text(value.json(), type: "application/json", status: status)
  }

  static func text(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
    var headers = HTTPFields()
    headers[.contentType] = type
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
