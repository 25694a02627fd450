import CryoSession
import Foundation
import HTTPTypes
import Hummingbird
import Reporting
import Support

/// The dashboard of a cryo-EM session: a page, and what it shows as JSON, read from the session's log alone.
public struct DashboardRoutes: Sendable {
  private let state: SessionState

  /// - Throws: `InputError` if there is no log, or it is damaged.
  public init(log: URL) throws(InputError) { state = try SessionState(AcquisitionLog(existing: log)) }

  public func add(to router: Router<BasicRequestContext>) {
    let fixed = Self.json(state.fixed)
    router.get("/") { _, _ in Self.response(DashboardPage.html, type: "text/html; charset=utf-8") }
    router.get("/dashboard.js") { _, _ in
      Self.response(DashboardPage.script, type: "text/javascript; charset=utf-8")
    }
    router.get("/dashboard.css") { _, _ in Self.response(DashboardPage.style, type: "text/css; charset=utf-8") }
    router.get("/survey.json") { _, _ in Self.response(fixed, type: "application/json") }
    router.get("/state.json") { [state] request, _ in
      let after = request.uri.queryParameters["after"].flatMap { Int($0) } ?? 0
      do { return Self.response(Self.json(try state.changes(after: after)), type: "application/json") } catch {
        return Self.response(
          Self.json(["error": .string("\(error)")]), type: "application/json", status: .internalServerError)
      }
    }
  }

  private static func json(_ record: Record) -> String { Value.object(record).json() }

  private static func response(
    _ text: String, type: String, status: HTTPResponse.Status = .ok
  ) -> Response {
    var headers = HTTPFields()
    headers[.contentType] = type
    headers[.cacheControl] = "no-store"
    headers[.contentSecurityPolicy] = "default-src 'self'; style-src 'self' 'unsafe-inline'"
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}
