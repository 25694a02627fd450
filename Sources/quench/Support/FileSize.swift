import Foundation
import Support

extension URL {
  /// Bytes that the file takes.
  /// - Throws: `InputError` if it cannot be read.
  func fileSize() throws(InputError) -> Int {
    do { return try resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0 } catch {
      throw InputError.reading(self, error)
    }
  }
}
