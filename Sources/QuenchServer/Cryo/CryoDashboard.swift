import Foundation
import Hummingbird
import Logging
import Support

/// Serves the dashboard of one session.
public struct CryoDashboard: Sendable {
  private let routes: DashboardRoutes

  /// - Throws: `InputError` if there is no log, or it is damaged.
  public init(log: URL) throws(InputError) { routes = try DashboardRoutes(log: log) }

  /// What answers requests; for tests without a network.
  public func application(host: String = "127.0.0.1", port: Int = 0) -> some ApplicationProtocol {
    let router = Router(context: BasicRequestContext.self)
    routes.add(to: router)
    var logger = Logger(label: "quench-server")
    logger.logLevel = .error
    return Application(
      router: router, configuration: .init(address: .hostname(host, port: port), serverName: "quench"),
      logger: logger)
  }

  /// Serves until the process is told to end, or `parent` has ended.
  /// - Throws: `InputError` if the port is taken.
  public func serve(
    host: String, port: Int, parent: pid_t? = nil, ready: @escaping @Sendable (String) -> Void
  ) async throws {
    let application = application(host: host, port: port)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        do { try await application.runService() } catch is CancellationError {} catch {
          throw InputError(
            "the dashboard cannot listen: \(error)", at: "\(host):\(port)", remedy: "choose another --port")
        }
      }
      group.addTask {
        try await Task.sleep(for: .milliseconds(300))
        ready("http://\(host):\(port)/")
        while parent.map({ kill($0, 0) == 0 }) ?? true { try await Task.sleep(for: .seconds(1)) }
      }
      try await group.next()
      group.cancelAll()
    }
  }
}
