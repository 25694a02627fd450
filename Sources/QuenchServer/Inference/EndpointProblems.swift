import AsyncHTTPClient
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import QuenchSupport

/// Why no answer came, in a sentence.
struct ConnectionProblem {
  let text: String
  /// What to do where trying again does not help; nil: it may.
  var remedy: String?

  init(_ error: any Error, seconds: Double) {
    let dump = "\(error) \((error as? NIOSSLExtraError).map { "\($0)" } ?? "")"
    switch error {
    case _ where dump.contains("CERTIFICATE_VERIFY_FAILED"):
      text = "the endpoint's certificate is not signed by an authority that this machine trusts"
      remedy = "name the authority's certificate, or its own if it signed itself, with `ca-file`"
    case _ where dump.contains("failedToValidateHostname"), _ where dump.contains("unableToValidateCertificate"):
      text = "the endpoint's certificate is for another host"
      remedy = "ask it by a name or address that the certificate holds (subjectAltName)"
    case _ where dump.contains("WRONG_VERSION_NUMBER"), _ where dump.contains("HTTP_REQUEST"):
      text = "the endpoint does not speak TLS there"
      remedy = "ask it by http://, or at another port"
    case is NIOSSLError, is BoringSSLError:
      text = "TLS with the endpoint fails"
      remedy = "see that its certificate and its versions of TLS are those of today"
    case let error as HTTPClientError:
      (text, remedy) = Self.words(error, dump, seconds)
    case let error as NIOConnectionError:
      let reason = (error.connectionErrors.first?.error as? IOError).map { Self.words($0) }
      text = reason ?? (error.dnsAError == nil && error.dnsAAAAError == nil ? "no connection" : "no such host")
    case let error as IOError:
      text = Self.words(error)
    case is ChannelError:
      text = "no connection, or it was closed"
    default:
      text = String(dump.prefix(120)).trimmingCharacters(in: .whitespacesAndNewlines)
    }
  }

  private static func words(_ error: IOError) -> String {
    String(cString: strerror(error.errnoCode)).lowercased()
  }

  private static func words(_ error: HTTPClientError, _ dump: String, _ seconds: Double) -> (String, String?) {
    switch error {
    case .connectTimeout, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout:
      ("no connection within \(min(seconds, 10) * 0.9) seconds", nil)
    case .readTimeout, .writeTimeout, .deadlineExceeded: ("no answer within \(seconds) seconds", nil)
    case .remoteConnectionClosed: ("the connection was closed before the answer", nil)
    case .invalidURL, .emptyHost, .emptyScheme: ("this is no address", "name it as http://host:port/v2/models/NAME")
    default:
      dump.contains("unsupportedScheme")
        ? ("this is no address", "name it as http://host:port/v2/models/NAME")
        : (dump.replacing("HTTPClientError.", with: "").trimmingCharacters(in: .whitespaces), nil)
    }
  }
}

/// A refusal that fewer images at once may not meet.
struct BatchRefusal {
  /// What the refusal names as the most; nil: nothing.
  let limit: Int?

  /// - Parameters:
  ///   - code: The HTTP status.
  ///   - text: What the endpoint says.
  init?(code: Int, text: String) {
    let text = text.lowercased()
    // Where that is a mistake, a single image is refused in the end, and nothing of it is counted.
    let isOfNumbers =
      text.contains(/batch|too many|too (large|big|long)|exceed|dimension/)
      || text.contains(/<=|at most|up to|more than|less than|maximum|limit|only|expected/)
        && text.contains(/instance|sample|image|example|item|record|row|payload|request/)
    guard code == 413 || [400, 422, 500].contains(code) && isOfNumbers else { return nil }
    // 'batch-size must be <= 8', 'at most 16', 'maximum batch size of 4', 'limit: 32', 'no more than 8'
    let bound =
      /(?:<=|at most|up to|no more than|not exceed|less than or equal to|max[a-z_]*|limit)[^0-9]{0,24}([0-9]{1,9})/
    let bounds = text.matches(of: bound).compactMap { Int($0.1) }.filter { $0 > 0 }
    limit = bounds.min()
  }
}

/// A `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.
enum RetryAfter {
  /// - Returns: Seconds from `now`, 0 for a date that has passed; nil: it cannot be read.
  static func seconds(_ text: String, now: Date) -> Double? {
    if let seconds = Double(text.trimmingCharacters(in: .whitespaces)) {
      return seconds.isFinite ? max(0, seconds) : nil
    }
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "GMT")
    for format in ["EEE, dd MMM yyyy HH:mm:ss zzz", "EEEE, dd-MMM-yy HH:mm:ss zzz", "EEE MMM d HH:mm:ss yyyy"] {
      formatter.dateFormat = format
      if let date = formatter.date(from: text) { return max(0, date.timeIntervalSince(now)) }
    }
    return nil
  }
}

/// An answer that sends a request elsewhere (RFC 9110, section 15.4).
struct Redirect {
  private let request: HTTPClientRequest
  private let code: Int
  private let location: String

  /// Nil: it does not.
  init?(_ response: HTTPClientResponse, of request: HTTPClientRequest) {
    code = Int(response.status.code)
    guard [301, 302, 303, 307, 308].contains(code), let location = response.headers.first(name: "Location") else {
      return nil
    }
    self.location = location
    self.request = request
  }

  /// Where the same request goes on to: another path of the same server. Images and tokens are for nobody else.
  /// - Parameter left: How many redirects may follow.
  /// - Throws: `InputError` if that is another server, the request may not be repeated there, or there were too many.
  func target(left: Int) throws(InputError) -> String {
    func refusal(_ problem: String, _ remedy: String) -> InputError {
      InputError(
        "the endpoint sends requests \(problem): \(code)", at: request.url, found: "'\(location.prefix(200))'",
        remedy: remedy)
    }
    guard let base = URL(string: request.url), let target = URL(string: location, relativeTo: base)?.absoluteURL,
      (target.scheme, target.host(), target.port) == (base.scheme, base.host(), base.port)
    else { throw refusal("to another server", "name that one, if it is to be trusted") }
    guard request.method == .GET || code >= 307 else {
      throw refusal("elsewhere, without their images", "name the model's own address")
    }
    guard left > 0 else { throw refusal("in circles", "see how it is set up") }
    return target.absoluteString
  }
}
