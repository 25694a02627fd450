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
  /// - Throws: ``InputError`` that names the file if it cannot be read.
  public static func sha256(ofFile url: URL) throws(InputError) -> String {
    do {
      let handle = try FileHandle(forReadingFrom: url)
      defer { try? handle.close() }
      let hasher = Hasher()
      while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty {
        block.withUnsafeBytes { hasher.update($0) }
      }
      return hasher.finish()
    } catch {
      throw InputError.reading(url, error)
    }
  }

  /// Owns one digest of the system's library.
  private final class Hasher {
    private var digest: OpaquePointer?

    init() {
      digest = cd_sha256_start()
      precondition(digest != nil, "SHA-256 needs a few hundred bytes of memory")
    }

    deinit { _ = finish() }

    func update(_ bytes: UnsafeRawBufferPointer) { cd_sha256_update(digest, bytes.baseAddress, bytes.count) }

    func finish() -> String {
      guard let digest else { return "" }
      self.digest = nil
      var bytes = [UInt8](repeating: 0, count: 32)
      cd_sha256_finish(digest, &bytes)
      return bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
  }
}
