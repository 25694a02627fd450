import Foundation

/// A zip file made by hand, so that it can be wrong in one place.
struct ZipBuilder {
  var entries: [(name: String, content: [UInt8])] = []
  var method: UInt16 = 0
  var flags: UInt16 = 0
  /// Whether sizes and offsets stand in zip64 fields.
  var zip64 = false
  /// Added to the offsets of the local headers.
  var shift: UInt64 = 0

  var data: Data {
    var body: [UInt8] = []
    var directory: [UInt8] = []
    for (name, content) in entries {
      let offset = UInt64(body.count) &+ shift
      let size = UInt64(content.count)
      body += little(UInt32(0x0403_4B50), 4) + little(45, 2) + little(flags, 2) + little(method, 2) + little(0, 8)
      body += little(size, 4) + little(size, 4) + little(name.utf8.count, 2) + little(3, 2)
      body += Array(name.utf8) + [9, 9, 9] + content
      let extra =
        zip64
        ? little(7, 2) + little(0, 2) + little(1, 2) + little(24, 2) + little(size, 8)
          + little(size, 8) + little(offset, 8) : []
      directory += little(UInt32(0x0201_4B50), 4) + little(45, 2) + little(45, 2) + little(flags, 2)
      directory += little(method, 2) + little(0, 8)
      directory += little(zip64 ? .max : size, 4) + little(zip64 ? .max : size, 4) + little(name.utf8.count, 2)
      directory += little(extra.count, 2) + little(2, 2) + little(0, 8) + little(zip64 ? .max : offset, 4)
      directory += Array(name.utf8) + extra + [33, 33]
    }
    let start = UInt64(body.count)
    let count = entries.count
    body += directory
    if zip64 {
      let end = body.count
      body += little(UInt32(0x0606_4B50), 4) + little(44, 8) + little(0, 12) + little(count, 8) + little(count, 8)
      body += little(directory.count, 8) + little(start, 8)
      body += little(UInt32(0x0706_4B50), 4) + little(0, 4) + little(end, 8) + little(1, 4)
    }
    body += little(UInt32(0x0605_4B50), 4) + little(0, 4)
    body += little(zip64 ? 0xFFFF : count, 2) + little(zip64 ? 0xFFFF : count, 2)
    body += little(zip64 ? .max : UInt64(directory.count), 4) + little(zip64 ? .max : start, 4)
    return Data(body + little(7, 2) + Array("comment".utf8))
  }
}

/// The lowest `bytes` bytes of `value`, little-endian.
private func little(_ value: some BinaryInteger, _ bytes: Int) -> [UInt8] {
  (0..<bytes).map { $0 < 8 ? UInt8(truncatingIfNeeded: value >> ($0 * 8)) : 0 }
}

/// Pieces of a pickle as `torch.save` writes them.
enum Pickled {
  static func text(_ text: String) -> [UInt8] { [0x58] + little(text.utf8.count, 4) + Array(text.utf8) }
  static func int(_ value: Int) -> [UInt8] { [0x8A, 8] + little(value, 8) }
  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  static func tuple(_ items: [UInt8]...) -> [UInt8] { Array("(".utf8) + items.joined() + Array("t".utf8) }
  static func dictionary(_ items: (String, [UInt8])...) -> [UInt8] {
    Array("}(".utf8) + items.flatMap { text($0.0) + $0.1 } + Array("u".utf8)
  }
  static let ordered = global("collections", "OrderedDict") + Array(")R".utf8)

  static func tensor(
    _ storage: String = "FloatStorage", key: String = "0", count: Int = 6, offset: Int = 0, shape: [Int] = [6],
    strides: [Int] = [1], isStream: Bool = false
  ) -> [UInt8] {
    let view = isStream ? Array("N".utf8) : []
    let location = tuple(text("storage"), global("torch", storage), text(key), text("cpu"), int(count) + view)
    let arguments = tuple(
      location + Array("Q".utf8), int(offset), tuple(shape.flatMap(int)), tuple(strides.flatMap(int)), [0x89],
      ordered)
    return global("torch._utils", "_rebuild_tensor_v2") + arguments + Array("R".utf8)
  }

  /// An object of a class that takes no arguments.
  static func object(_ module: String, _ name: String) -> [UInt8] { global(module, name) + [0x29, 0x81] }

  /// What torch.save wrote before zip files, with one storage of the floats 0 to 5, or what is said to be there.
  static func stream(_ body: [UInt8], keys: [String] = ["0"], count: Int = 6) -> Data {
    let magic: [UInt8] = [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    let names = Array("](".utf8) + keys.flatMap { text($0) } + Array("e".utf8)
    var bytes = program(magic) + program(int(1001)) + program(dictionary(("little_endian", [0x88])))
    bytes += program(body) + program(names) + little(count, 8)
    return Data(bytes + (0..<6).flatMap { little(Float($0).bitPattern, 4) })
  }

  static func program(_ body: [UInt8]) -> [UInt8] { [0x80, 2] + body + Array(".".utf8) }

  /// A checkpoint whose pickle is `body` and whose one storage holds the floats 0 to 5.
  static func checkpoint(_ body: [UInt8], adding entries: [(name: String, content: [UInt8])] = []) -> ZipBuilder {
    let floats = (0..<6).flatMap { little(Float($0).bitPattern, 4) }
    return ZipBuilder(entries: [("archive/data.pkl", program(body)), ("archive/data/0", floats)] + entries)
  }
}
