import CDigest
import Foundation

/// SHA-256 of data and files, as 64 lower-case hexadecimal digits.
public enum Fingerprint {
  public static func sha256(_ data: some DataProtocol) -> String {
    let hasher = Hasher()
    for region in data.regions { region.withUnsafeBytes { hasher.update($0) } }
    return hasher.finish()
  }

  /// The fingerprint of a file's content, read in blocks.
  /// - Throws: ``InputError`` that names the file if it cannot be read, or is a pipe: what is fingerprinted is read
  ///   again.
  public static func sha256(ofFile url: URL) throws(InputError) -> String {
    let file = try InputFile(url)
    guard !file.isStream else {
      throw InputError(
        "this is a pipe or a device", at: url.path, expected: "a file, which can be read more than once",
        remedy: "write it to a file first")
    }
    let hasher = Hasher()
    let count = file.count ?? 0
    for start in stride(from: 0, to: count, by: 1 << 20) {
      hasher.update(try file.read(start..<min(start + 1 << 20, count)))
    }
    return hasher.finish()
  }

  /// A fingerprint in the making, of bytes that come piece by piece.
  public final class Hasher {
    private var digest: OpaquePointer?

    public init() {
      digest = cd_sha256_start()
      precondition(digest != nil, "SHA-256 needs a few hundred bytes of memory")
    }

    deinit { _ = finish() }

    public func update(_ bytes: UnsafeRawBufferPointer) {
      cd_sha256_update(digest, bytes.baseAddress, bytes.count)
    }

    public func update(_ data: Data) { data.withUnsafeBytes { update($0) } }

    /// The 64 digits; empty after the first call.
    public func finish() -> String {
      guard let digest else { return "" }
      self.digest = nil
      var bytes = [UInt8](repeating: 0, count: 32)
      cd_sha256_finish(digest, &bytes)
      return bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
  }
}
