import Foundation

extension URL {
  /// Bytes that the file takes.
  /// - Throws: `InputError` if it cannot be read.
  public func fileSize() throws(InputError) -> Int {
    do { return try resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0 } catch {
      throw InputError.reading(self, error)
    }
  }
}
