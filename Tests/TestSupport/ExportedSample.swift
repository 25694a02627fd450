import Foundation

/// Programs that PyTorch exported, kept as text beside the tests of the library that reads them;
/// `scripts/reference_networks.py --tiny` writes them.
public enum ExportedSample {
  /// A classifier of 3 x 32 x 32 images in ten classes with batch norms, a matrix product and a constant.
  public static func rooms() throws -> Data { try archive("rooms") }

  /// A classifier of 3 x 16 x 16 images in five classes whose channels go through convolutions of all kinds, a gate, a
  /// shuffle, attention and hidden units.
  public static func channels() throws -> Data { try archive("channels") }

  /// What PyTorch computes with ``rooms()`` for images whose byte k is (37 k + 11 ⌊k / 256⌋ + 5) mod 256, row after row.
  public static func roomsLogits() throws -> [[Double]] {
    guard let figures = try stored("rooms")["figures"] as? [String: [String: Any]],
      let values = figures["logits"]?["values"] as? [Double]
    else { throw CocoaError(.fileReadCorruptFile) }
    return stride(from: 0, to: values.count, by: 10).map { Array(values[$0..<$0 + 10]) }
  }

  /// The bytes of such images, channel after channel.
  public static func roomsPixels(_ index: Int) -> [UInt8] {
    let places = (index * 3072)..<((index + 1) * 3072)
    return places.map { (place: Int) -> UInt8 in
      let value: Int = 37 * place + 11 * (place / 256) + 5
      return UInt8(value % 256)
    }
  }

  private static func stored(_ name: String) throws -> [String: Any] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = folder.appending(path: "TorchTests/Reference/exported-\(name).json")
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
    guard let record = json as? [String: Any] else { throw CocoaError(.fileReadCorruptFile) }
    return record
  }

  private static func archive(_ name: String) throws -> Data {
    guard let entries = try stored(name)["entries"] as? [String: Any] else {
      throw CocoaError(.fileReadCorruptFile)
    }
    var contents: [(name: String, content: Data)] = []
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
      if let text = entry as? String {
        contents.append(("net/\(name)", Data(text.utf8)))
        continue
      }
      let digits = Array((entry as? [String: String])?["hexadecimal"] ?? "")
      var bytes = Data()
      for start in stride(from: 0, to: digits.count, by: 2) {
        if let byte = UInt8(String(digits[start...start + 1]), radix: 16) { bytes.append(byte) }
      }
      contents.append(("net/\(name)", bytes))
    }
    return zip(contents)
  }

  /// A zip file of stored entries without checksums, which readers of programs don't check.
  private static func zip(_ entries: [(name: String, content: Data)]) -> Data {
    func little(_ value: Int, _ count: Int) -> Data {
      Data((0..<count).map { (byte: Int) -> UInt8 in UInt8(truncatingIfNeeded: value >> (8 * byte)) })
    }
    var (body, directory) = (Data(), Data())
    for (name, content) in entries {
      let offset = body.count
      let sizes = little(content.count, 4) + little(content.count, 4)
      let length = little(name.utf8.count, 2)
      for part in [
        little(0x0403_4B50, 4), little(20, 2), Data(count: 12), sizes, length, Data(count: 2), Data(name.utf8),
        content
      ] { body += part }
      for part in [
        little(0x0201_4B50, 4), little(20, 2), little(20, 2), Data(count: 12), sizes, length, Data(count: 12),
        little(offset, 4), Data(name.utf8)
      ] { directory += part }
    }
    let counts = little(entries.count, 2) + little(entries.count, 2)
    let place = little(directory.count, 4) + little(body.count, 4)
    for part in [directory, little(0x0605_4B50, 4), Data(count: 4), counts, place, Data(count: 2)] { body += part }
    return body
  }
}
