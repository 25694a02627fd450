import Crypto
import Foundation

/// SHA-256 of data and files, as 64 lower-case hexadecimal digits.
public enum Fingerprint {
  public static func sha256(_ data: some DataProtocol) -> String { hex(SHA256.hash(data: data)) }

  /// The fingerprint of a file's content, read in blocks.
  /// - Throws: ``InputError`` that names the file if it cannot be read.
  public static func sha256(ofFile url: URL) throws(InputError) -> String {
    do {
      let handle = try FileHandle(forReadingFrom: url)
      defer { try? handle.close() }
      var hasher = SHA256()
      while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty { hasher.update(data: block) }
      return hex(hasher.finalize())
    } catch {
      throw InputError.reading(url, error)
    }
  }

  private static func hex(_ digest: SHA256Digest) -> String {
    digest.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }
}
