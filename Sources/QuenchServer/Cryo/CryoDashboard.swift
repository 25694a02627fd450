import Foundation
import Hummingbird
import Logging
import QuenchSupport

/// Serves the dashboard of one session.
public struct CryoDashboard: Sendable {
  private let routes: DashboardRoutes

  /// - Throws: `InputError` if there is no log, or it is damaged.
  public init(log: URL) throws(InputError) { routes = try DashboardRoutes(log: log) }

  /// What answers requests.
  /// - Parameters:
  ///   - host: The address to listen on.
  ///   - port: The port; 0: any that is free.
  ///   - ready: Told the page's URL once requests are taken.
  public func application(
    host: String = "127.0.0.1", port: Int = 0, ready: @escaping @Sendable (String) -> Void = { _ in }
  ) -> some ApplicationProtocol {
    let router = Router(context: BasicRequestContext.self)
    routes.add(to: router, host: host)
    var logger = Logger(label: "quench-server")
    logger.logLevel = .error
    return Application(
      router: router, configuration: .init(address: .hostname(host, port: port), serverName: "quench"),
      onServerRunning: { channel in ready("http://\(host):\(channel.localAddress?.port ?? port)/") },
      logger: logger)
  }

  /// Serves until the process is told to end, or `parent` has ended.
  /// - Throws: `InputError` if the port is taken.
  public func serve(
    host: String, port: Int, parent: pid_t? = nil, ready: @escaping @Sendable (String) -> Void
  ) async throws {
    let application = application(host: host, port: port, ready: ready)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        do { try await application.runService() } catch is CancellationError {} catch {
          throw InputError(
            "the dashboard cannot listen: \(error)", at: "\(host):\(port)", remedy: "choose another `port`")
        }
      }
      group.addTask {
        while parent.map({ kill($0, 0) == 0 }) ?? true { try await Task.sleep(for: .seconds(1)) }
      }
      try await group.next()
      group.cancelAll()
    }
  }
}
