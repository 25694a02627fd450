import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import QuenchSmoothing
import QuenchSupport

/// Serves one model by the Open Inference Protocol (KServe V2) over HTTP: health, metadata, inference in JSON and in raw
/// tensors, and metrics for Prometheus.
public struct InferenceServer: Sendable {
  public struct Limits: Hashable, Sendable {
    /// Bytes of a request; nil: as many as the model's largest one has (`InferenceModel.largestRequest`).
    public var body: Int?
    /// Seconds in which a request must be there and read, and then as many in which it must be answered.
    public var seconds = 60.0
    /// Seconds for which connections live on when the server stops.
    public var graceSeconds = 10.0
    /// Connections at a time; more wait, and then those end that keep the server waiting. Fewer, where the system does
    /// not let the process open so many files.
    public var connections = 1024
    /// Requests a minute for each token, or without tokens for each client's address; nil: any number.
    public var requestsAMinute: Int?
    /// Seconds after which a connection on which nothing happens is closed.
    public var idleSeconds = 60.0

    public init() {}
  }

  private let routes: InferenceRoutes

  /// - Parameters:
  ///   - model: What is served.
  ///   - metrics: Takes what happens.
  ///   - limits: What a client may take.
  ///   - tokens: What requests must carry one of; empty: nothing.
  ///   - readiness: Tells why the model could not answer now; nil: it could.
  ///   - logger: Takes a line for every request.
  ///   - now: The clock by which requests a minute are counted.
  public init(
    _ model: ModelThread, metrics: ServerMetrics, limits: Limits = Limits(), tokens: [BearerToken] = [],
    readiness: @escaping @Sendable () async -> String? = { nil },
    logger: Logger = Logger(label: "quench-server"),
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    routes = InferenceRoutes(
      model: model, metrics: metrics, limits: limits,
      intake: Intake(limit: limits.body ?? model.description.largestRequest), readiness: Readiness(readiness),
      admission: Admission(
        tokens: tokens, rate: limits.requestsAMinute.map { RequestRate(requestsAMinute: $0, now: now) }),
      logger: logger)
  }

  /// What answers requests.
  /// - Parameters:
  ///   - host: The address to listen on.
  ///   - port: The port; 0: any that is free.
  ///   - certificate: For TLS; nil: plain HTTP.
  ///   - ready: Told the URL of the model once requests are taken.
  /// - Throws: `InputError` if the certificate cannot be used.
  public func application(
    host: String = "127.0.0.1", port: Int = 0, certificate: ServerCertificate? = nil,
    ready: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(InputError) -> some ApplicationProtocol {
    let (name, limits) = (routes.model.description.name, routes.limits)
    let connections = OpenConnections(limit: OpenFiles.connections(wanted: limits.connections))
    let plain = HTTPServerBuilder { responder in
      ConnectionChannel(
        responder: responder, connections: connections, idle: .seconds(limits.idleSeconds),
        grace: TimeAmount(.seconds(limits.graceSeconds)))
    }
    let server: HTTPServerBuilder
    if let certificate {
      let configuration = try certificate.configuration()
      do { server = try .tls(plain, tlsConfiguration: configuration) } catch {
        throw InputError("TLS cannot be used: \(error)", at: certificate.chain)
      }
    } else {
      server = plain
    }
    var quiet = routes.logger
    quiet.logLevel = max(quiet.logLevel, .warning)  // its own lines are about every connection
    return Application(
      router: routes.router(), server: server,
      configuration: .init(
        address: .hostname(host, port: port), serverName: "quench",
        availableConnectionsDelegate: connections),
      onServerRunning: { channel in
        channel.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { task in
          if channel.isActive { connections.makeRoom() } else { task.cancel() }
        }
        let port = channel.localAddress?.port ?? port
        ready("\(certificate == nil ? "http" : "https")://\(host):\(port)/v2/models/\(name)")
      }, logger: quiet)
  }

  /// Serves until SIGTERM or SIGINT, and then until what is in flight is answered, or the grace is over.
  /// - Throws: `InputError` if the address cannot be listened on or the certificate cannot be used.
  public func serve(
    host: String, port: Int, certificate: ServerCertificate? = nil, ready: @escaping @Sendable (String) -> Void
  ) async throws(InputError) {
    let application = try application(host: host, port: port, certificate: certificate, ready: ready)
    do { try await application.runService() } catch {
      let problem = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      throw InputError(
        "the server cannot listen: \(problem)", at: "\(host):\(port)", remedy: "choose another `port` or `host`")
    }
    routes.model.close()
    routes.logger.notice(
      "ended", metadata: ["requests": "\(routes.metrics.requests)", "images": "\(routes.metrics.images)"])
  }
}
