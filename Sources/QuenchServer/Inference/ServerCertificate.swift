import Foundation
import NIOSSL
import QuenchSupport

/// PEM files of a certificate chain and its private key.
public struct ServerCertificate: Hashable, Sendable {
  public var chain: String
  public var key: String

  public init(chain: String, key: String) {
    self.chain = chain
    self.key = key
  }

  /// - Throws: `InputError` if a file is missing or damaged, the key is encrypted or not the certificate's, or the
  ///   certificate is not valid now.
  func configuration() throws(InputError) -> TLSConfiguration {
    let certificates = try certificates()
    if let first = certificates.first {
      let now = Date().timeIntervalSince1970
      let (from, to) = (Double(first.notValidBefore), Double(first.notValidAfter))
      guard from...max(from, to) ~= now else {
        let (date, words) = now < from ? (from, "is not valid before") : (to, "was valid until")
        throw InputError(
          "the certificate \(words) \(Date(timeIntervalSince1970: date).formatted(.iso8601))", at: chain,
          remedy: "name another one")
      }
    }
    let privateKey: NIOSSLPrivateKey
    do { privateKey = try NIOSSLPrivateKey(file: key, format: .pem) } catch {
      let text = (try? String(contentsOf: URL(filePath: key), encoding: .utf8)) ?? ""
      guard text.contains("ENCRYPTED") else {
        throw InputError(
          "the private key cannot be read", at: key, expected: "a key in PEM form", found: "\(error)")
      }
      throw InputError(
        "the private key is encrypted", at: key, remedy: "decrypt it: openssl pkey -in \(key) -out decrypted.pem")
    }
    let configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(privateKey))
    do { _ = try NIOSSLContext(configuration: configuration) } catch {
      throw InputError("the key is not that of the certificate", at: "\(chain), \(key)", found: "\(error)")
    }
    return configuration
  }

  /// What an operator should know before clients ask for `host`; nil: nothing.
  /// - Throws: `InputError` if the file is missing or damaged.
  public func finding(onHost host: String) throws(InputError) -> String? {
    let names = try certificates().first?.names ?? []
    guard !names.contains(host) else { return nil }
    guard !names.isEmpty else {
      return "the certificate names no host (subjectAltName), so that clients refuse it: \(chain)"
    }
    return "the certificate is for \(names.joined(separator: ", ")): clients must ask for that, not for \(host)"
  }

  private func certificates() throws(InputError) -> [NIOSSLCertificate] {
    do { return try NIOSSLCertificate.fromPEMFile(chain) } catch {
      throw InputError(
        "the certificate cannot be read", at: chain, expected: "a chain of certificates in PEM form",
        found: "\(error)")
    }
  }
}

extension NIOSSLCertificate {
  /// The host names and addresses that it is for.
  fileprivate var names: [String] {
    _subjectAlternativeNames().compactMap { name in
      let bytes = name.contents.withUnsafeBufferPointer { Array($0) }
      switch (name.nameType, bytes.count) {
      case (.dnsName, _): return String(decoding: bytes, as: UTF8.self)
      case (.ipAddress, 4): return bytes.map(String.init).joined(separator: ".")
      case (.ipAddress, 16):
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        _ = bytes.withUnsafeBytes { inet_ntop(AF_INET6, $0.baseAddress, &text, socklen_t(text.count)) }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      default: return nil
      }
    }
  }
}
