import CImageIO
import Foundation
import QuenchSupport

/// Runs a function of CImageIO, which leaves a message where it fails.
func checked(
  _ name: String, remedy: String? = nil, _ call: (UnsafeMutablePointer<CChar>?) -> Int32
) throws(InputError) {
  let failure = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CI_MESSAGE)) { message in
    call(message.baseAddress) == 0 ? nil : message.baseAddress.map { String(cString: $0) }
  }
  if let failure { throw InputError(failure, at: name, remedy: remedy) }
}

/// gzip streams in memory.
public enum Gzip {
  /// Whether the bytes begin as a gzip stream does.
  public static func isCompressed(_ data: Data) -> Bool { data.starts(with: [0x1F, 0x8B]) }

  /// Unpacks all members of a gzip stream; checksums and lengths are checked.
  ///
  /// - Parameters:
  ///   - data: The stream.
  ///   - name: What the bytes are, for errors: usually the file's path.
  ///   - limit: The most bytes the result may have. Memory is taken as data appear, so a small bomb costs little.
  /// - Throws: `InputError` if the stream is truncated or corrupt or unpacks to more than `limit` bytes.
  public static func unpack(_ data: Data, name: String, limit: Int) throws(InputError) -> Data {
    try unpack(data, name: name, limit: limit, zlib: false, remedy: "fetch the file again").get()
  }

  /// The first bytes that a gzip stream unpacks to, `count` of them or all if it has fewer.
  ///
  /// - Parameters:
  ///   - data: The stream, or as much of its beginning as gives these bytes.
  ///   - name: What the bytes are, for errors: usually the file's path.
  ///   - count: How many bytes.
  /// - Throws: `InputError` if the stream is corrupt, or ends before.
  static func beginning(of data: Data, name: String, count: Int) throws(InputError) -> Data {
    try unpack(data, name: name, limit: count, zlib: false, beginning: true, remedy: "fetch the file again").get()
  }

  /// Unpacks what HTTP calls `gzip` or `deflate`: a gzip or zlib stream.
  ///
  /// - Parameters:
  ///   - data: The stream.
  ///   - name: What the bytes are, for errors.
  ///   - limit: The most bytes the result may have. Memory is taken as data appear.
  /// - Returns: Nil if it unpacks to more than `limit` bytes.
  /// - Throws: `InputError` if the stream is truncated or corrupt.
  public static func inflate(_ data: Data, name: String, limit: Int) throws(InputError) -> Data? {
    let unpacked = try unpack(data, name: name, limit: limit, zlib: true, remedy: nil)
    return try? unpacked.get()
  }

  /// - Returns: A failure if it unpacks to more than `limit` bytes.
  private static func unpack(
    _ data: Data, name: String, limit: Int, zlib: Bool, beginning: Bool = false, remedy: String?
  ) throws(InputError) -> Result<Data, InputError> {
    try data.parse { (bytes) throws(InputError) in
      var out: UnsafeMutablePointer<UInt8>?
      var (count, status) = (0, Int32(0))
      do throws(InputError) {
        try checked(name, remedy: remedy) { message in
          status = ci_gunzip(
            bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, zlib ? 1 : 0, beginning ? 1 : 0, limit, &out,
            &count, message)
          return status
        }
      } catch {
        guard status == CI_OVER_LIMIT else { throw error }
        return .failure(error)
      }
      guard let out else { return .success(Data()) }
      return .success(Data(bytesNoCopy: out, count: count, deallocator: .free))
    }
  }
}
