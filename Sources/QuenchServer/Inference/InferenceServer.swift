import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import Smoothing
import Support

/// Serves one model by the Open Inference Protocol (KServe V2) over HTTP: health, metadata, inference in JSON and in raw
/// tensors, and metrics for Prometheus.
public struct InferenceServer: Sendable {
  public struct Limits: Hashable, Sendable {
    /// Bytes of a request.
    public var body = 64 << 20
    /// Seconds in which a request must be there, and then as many in which it must be answered.
    public var seconds = 60.0
    /// Seconds after which a connection on which nothing happens is closed.
    public var idleSeconds = 60.0

    public init() {}
  }

  /// PEM files of a certificate chain and its private key.
  public struct Certificate: Hashable, Sendable {
    public var chain: String
    public var key: String

    public init(chain: String, key: String) {
      self.chain = chain
      self.key = key
    }

    /// - Throws: `InputError` if a file is missing or damaged, or the key is not the certificate's.
    func configuration() throws(InputError) -> TLSConfiguration {
      do {
        let configuration = TLSConfiguration.makeServerConfiguration(
          certificateChain: try NIOSSLCertificate.fromPEMFile(chain).map { .certificate($0) },
          privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        _ = try NIOSSLContext(configuration: configuration)
        return configuration
      } catch {
        throw InputError(
          "the certificate and its key cannot be used", at: "\(chain), \(key)",
          expected: "a chain of certificates and its private key in PEM form", found: "\(error)")
      }
    }
  }

  private let routes: InferenceRoutes

  public init(
    _ model: ModelThread, metrics: ServerMetrics, limits: Limits = Limits(), token: BearerToken? = nil,
    logger: Logger = Logger(label: "quench-server")
  ) {
    routes = InferenceRoutes(model: model, metrics: metrics, limits: limits, token: token, logger: logger)
  }

  /// What answers requests.
  /// - Parameters:
  ///   - host: The address to listen on.
  ///   - port: The port; 0: any that is free.
  ///   - certificate: For TLS; nil: plain HTTP.
  ///   - ready: Told the URL of the model once requests are taken.
  /// - Throws: `InputError` if the certificate cannot be used.
  public func application(
    host: String = "127.0.0.1", port: Int = 0, certificate: Certificate? = nil,
    ready: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(InputError) -> some ApplicationProtocol {
    let name = routes.model.description.name
    let plain = HTTPServerBuilder.http1(
      configuration: .init(idleTimeout: .milliseconds(Int64(routes.limits.idleSeconds * 1000))))
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
      configuration: .init(address: .hostname(host, port: port), serverName: "quench"),
      onServerRunning: { channel in
        let port = channel.localAddress?.port ?? port
        ready("\(certificate == nil ? "http" : "https")://\(host):\(port)/v2/models/\(name)")
      }, logger: quiet)
  }

  /// Serves until SIGTERM or SIGINT, and then until what is in flight is answered.
  /// - Throws: `InputError` if the address cannot be listened on or the certificate cannot be used.
  public func serve(
    host: String, port: Int, certificate: Certificate? = nil, ready: @escaping @Sendable (String) -> Void
  ) async throws(InputError) {
    let application = try application(host: host, port: port, certificate: certificate, ready: ready)
    do { try await application.runService() } catch {
      throw InputError(
        "the server cannot listen: \(error)", at: "\(host):\(port)", remedy: "choose another --port or --host")
    }
    routes.model.close()
    routes.logger.notice(
      "ended", metadata: ["requests": "\(routes.metrics.requests)", "images": "\(routes.metrics.images)"])
  }
}
