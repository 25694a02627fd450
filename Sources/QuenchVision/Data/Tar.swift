import Foundation
import QuenchSupport

/// Reads files from a tar archive in memory (ustar and GNU; long names and links are passed over).
public enum Tar {
  private static let block = 512

  /// The content of the archive's regular files, by their names without folders, as far as `wanted` has the name.
  /// - Throws: `InputError` if a header is malformed or the archive ends inside a file.
  public static func files(
    in archive: Data, name: String, wanted: Set<String>
  ) throws(InputError) -> [String: Data] {
    var files: [String: Data] = [:]
    var offset = archive.startIndex
    while archive.endIndex - offset >= block {
      let header = archive[offset..<offset + block]
      guard header.contains(where: { $0 != 0 }) else { break }
      let path = text(header, 0, 100)
      guard let size = Int(text(header, 124, 12).trimmingCharacters(in: .whitespaces), radix: 8), size >= 0,
        checksum(of: header) == Int(text(header, 148, 8).trimmingCharacters(in: .whitespaces), radix: 8)
      else {
        throw InputError("not a tar archive", at: "\(name), byte \(offset - archive.startIndex)")
      }
      offset += block
      guard size <= archive.endIndex - offset else {
        throw InputError(
          "the tar archive ends early", at: "\(name), \(path)", expected: "\(size) bytes",
          found: "\(archive.endIndex - offset)", remedy: "fetch the archive again")
      }
      let kind = header[header.startIndex + 156]
      let file = path.split(separator: "/").last.map(String.init) ?? ""
      if kind == UInt8(ascii: "0") || kind == 0, wanted.contains(file) {
        files[file] = archive[offset..<offset + size]
      }
      offset += min((size + block - 1) / block * block, archive.endIndex - offset)
    }
    return files
  }

  /// The text of a header's field, up to the first zero.
  private static func text(_ header: Data, _ start: Int, _ count: Int) -> String {
    let field = header[header.startIndex + start..<header.startIndex + start + count]
    return String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// The sum of the header's bytes, its own field counted as spaces.
  private static func checksum(of header: Data) -> Int {
    header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
  }
}
