import Foundation
import QuenchSupport

/// Reads the pictures of a list, from the cache where it holds them.
struct PictureFolder {
  var list: ImageList
  var options: DataOptions

  /// - Throws: `InputError` as ``PictureReader/read(_:)`` does. A cache that cannot be written becomes a note.
  func read(split: DataSplit, notes: inout [String]) throws(InputError) -> PixelCache.Content {
    let key = try key()
    let cache = options.useCache ? PixelCache(url: cacheFile(split)) : nil
    if let content = cache?.load(key: key), options.skipCorrupt || content.header.skipped.isEmpty { return content }
    let reader = PictureReader(
      channels: options.channels, size: options.size, skipCorrupt: options.skipCorrupt, progress: options.progress)
    let content = PixelCache.Content(try reader.read(list), of: list, key: key)
    do { try cache?.store(content) } catch { notes.append("the decoded pictures were not kept: \(error)") }
    return content
  }

  /// One file a folder, split and way of decoding: pictures that change replace it.
  private func cacheFile(_ split: DataSplit) -> URL {
    let path = list.directory.standardizedFileURL.path
    let identity = Fingerprint.sha256(Data("\(path)\n\(split)\n\(decoding)".utf8)).prefix(16)
    return options.cacheDirectory.appendingPathComponent("\(list.directory.lastPathComponent)-\(identity).pixels")
  }

  private var decoding: String { "\(options.channels) channels, \(options.size), \(list.entries.count) pictures" }

  /// SHA-256 over how the pictures are decoded and every file's name, label, size and time of change.
  private func key() throws(InputError) -> String {
    var text = decoding + "\n" + list.classNames.joined(separator: "\t") + "\n"
    for entry in list.entries {
      let url = list.directory.appendingPathComponent(entry.path)
      var status = stat()
      guard stat(url.path, &status) == 0 else {
        throw InputError.reading(url, POSIXError(.init(rawValue: errno) ?? .EIO))
      }
      #if canImport(Darwin)
        let changed = status.st_mtimespec
      #else
        let changed = status.st_mtim
      #endif
      text += "\(entry.path)\t\(entry.label)\t\(status.st_size)\t\(changed.tv_sec).\(changed.tv_nsec)\n"
    }
    return Fingerprint.sha256(Data(text.utf8))
  }
}
