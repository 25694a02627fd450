import HTTPTypes
import Hummingbird
import Logging
import NIOHTTP1
import QuenchReporting
import QuenchSupport

/// Turns whatever goes wrong into the protocol's error object, `{"error": "..."}`, counts requests and logs them.
struct Answering: RouterMiddleware {
  let metrics: ServerMetrics
  let logger: Logger

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    var problem: String?
    var response: Response
    do { response = try await next(request, context) } catch {
      let (status, text) = Self.explain(error)
      problem = text
      response = .json(["error": .string(text)], status: status)
      if let error = error as? HTTPError { response.headers.append(contentsOf: error.headers) }
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    metrics.request(status: response.status.code, seconds: seconds)
    var metadata: Logger.Metadata = [
      "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
      "ms": "\(String(format: "%.2f", seconds * 1000))"
    ]
    metadata["error"] = problem.map { "\($0)" }
    logger.log(level: response.status.code >= 500 ? .error : .info, "request", metadata: metadata)
    return request.method == .head ? response.createHeadResponse() : response
  }

  private static func explain(_ error: any Error) -> (HTTPResponse.Status, String) {
    switch error {
    case let error as HTTPError: (error.status, error.body ?? error.status.reasonPhrase)
    case let error as InputError: (.badRequest, "\(error)")
    case is ModelThread.Busy: (.serviceUnavailable, "too many requests wait: exceeds maximum queue size")
    case let failure as ModelThread.Failure: (.badGateway, "the model cannot answer: \(failure.cause)")
    case is HangUp, HTTPParserError.invalidEOFState:
      (HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request"), "the client went away")
    case let error as HTTPParserError: (.badRequest, error.problem)
    default: (.internalServerError, "\(error)")
    }
  }
}

extension HTTPParserError {
  /// What is wrong, as a sentence.
  var problem: String {
    "this is not valid HTTP: "
      + (self == .unknown ? "its Content-Length and Transfer-Encoding leave its end open" : "\(self)")
  }
}
