import Foundation
import Support

extension Data {
  /// The content of the file at `url`, mapped: pages come from the disk when they are touched.
  init(mapping url: URL) throws(InputError) {
    do {
      self = try Data(contentsOf: url, options: .alwaysMapped)
    } catch {
      throw InputError.reading(url, error)
    }
  }

  /// What `body` makes of the bytes, which are valid only while it runs.
  func parse<T>(_ body: (UnsafeRawBufferPointer) throws(InputError) -> T) throws(InputError) -> T {
    try withUnsafeBytes { bytes in
      Result { () throws(InputError) -> T in try body(bytes) }
    }.get()
  }
}

extension String {
  /// The text in quotes with control characters escaped, cut to a length that suits an error message.
  var quoted: String {
    count <= 80 ? debugDescription : String(prefix(80)).debugDescription + "..."
  }
}
