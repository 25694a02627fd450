import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import QuenchCryoSession
import QuenchReporting
import QuenchSupport

/// The dashboard of a cryo-EM session: a page, and what it shows as JSON, read from the session's log alone.
public struct DashboardRoutes: Sendable {
  private let log: AcquisitionLog

  /// - Throws: `InputError` if there is no log, or it is damaged.
  public init(log: URL) throws(InputError) {
    self.log = try AcquisitionLog(existing: log)
    _ = try SessionState(self.log)
  }

  /// - Parameters:
  ///   - router: What takes requests.
  ///   - host: The address that is listened on.
  public func add(to router: Router<BasicRequestContext>, host: String) {
    router.add(middleware: HostCheck(host: host))
    router.get("/") { _, _ in Self.response(DashboardPage.html, type: "text/html; charset=utf-8") }
    router.get("/dashboard.js") { _, _ in
      Self.response(DashboardPage.script, type: "text/javascript; charset=utf-8")
    }
    router.get("/dashboard.css") { _, _ in Self.response(DashboardPage.style, type: "text/css; charset=utf-8") }
    router.get("/survey.json") { [log] _, _ in Self.answer { try SessionState(log).fixed } }
    router.get("/state.json") { [log] request, _ in
      let after = request.uri.queryParameters["after"].flatMap { Int($0) } ?? 0
      return Self.answer { try SessionState(log).changes(after: after) }
    }
  }

  private static func answer(_ record: () throws -> Record) -> Response {
    do { return response(json(try record()), type: "application/json") } catch {
      return response(json(["error": .string("\(error)")]), type: "application/json", status: .internalServerError)
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

/// Refuses requests for other hosts: a page from elsewhere whose name was made to point at this machine must not read the
/// session (DNS rebinding).
struct HostCheck: RouterMiddleware {
  /// The address that is listened on.
  let host: String

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard let authority = request.head.authority, allows(authority) else {
      throw HTTPError(.misdirectedRequest, message: "This host is not served here.")
    }
    return try await next(request, context)
  }

  /// Names can be made to point anywhere, addresses cannot.
  func allows(_ authority: String) -> Bool {
    var name = authority.lowercased()[...]
    if name.hasPrefix("[") {
      guard let end = name.firstIndex(of: "]") else { return false }
      return (try? SocketAddress(ipAddress: String(name[name.index(after: name.startIndex)..<end]), port: 0)) != nil
    }
    if let colon = name.lastIndex(of: ":") {
      guard name[name.index(after: colon)...].allSatisfy(\.isNumber) else { return false }
      name = name[..<colon]
    }
    return name == "localhost" || name == host.lowercased()
      || (try? SocketAddress(ipAddress: String(name), port: 0)) != nil
  }
}
