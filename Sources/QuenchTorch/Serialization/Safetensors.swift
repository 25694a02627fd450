import Foundation
import QuenchSupport

/// A safetensors file: named tensors behind a JSON header, read lazily.
///
/// Opening checks the whole header (every offset, size and type) and reads no tensor; ``tensor(_:)`` reads one.
public struct Safetensors: Sendable {
  /// What the header says of one tensor.
  public struct Entry: Hashable, Sendable {
    public let name: String
    public let dtype: DType
    public let shape: [Int]
    /// Where the tensor's elements lie, in bytes from the file's start; row-major, little-endian.
    public let range: Range<Int>
  }

  /// The longest header that is read, in bytes; the reference implementation has the same limit.
  public static let maximumHeaderLength = 100_000_000
  /// The key in the metadata of a file that was written with a checksum.
  static let checksumKey = "quench.sha256"

  /// Free text that the writer left, under keys of its choice.
  public let metadata: [String: String]
  /// The tensors in the header's order.
  public let entries: [Entry]
  private let positions: [String: Int]
  private let source: ByteSource
  /// Where the tensors begin.
  private let start: Int

  private var name: String { source.name }

  /// Whether `source` is to be taken for a safetensors file, by its first bytes: too few are a truncated one.
  static func isFound(in source: ByteSource) throws(InputError) -> Bool {
    guard source.count >= 9 else { return true }
    return try source.read(8..<9).first == UInt8(ascii: "{")
  }

  /// Opens the file at `url`.
  /// - Throws: `InputError` if it cannot be read or is no valid safetensors file.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(ByteSource(contentsOf: url))
  }

  /// Opens a file that lies in memory; `name` stands for it in errors.
  /// - Throws: `InputError` if it is no valid safetensors file.
  public init(data: Data, name: String = "data") throws(InputError) {
    try self.init(ByteSource(data, name: name))
  }

  /// Opens a file that is read from `source`.
  /// - Throws: `InputError` if it is no valid safetensors file.
  public init(_ source: ByteSource) throws(InputError) {
    let json = try Self.header(of: source)
    let header = try json.parse { (bytes) throws(InputError) in try SafetensorsHeader(bytes, name: source.name) }
    let start = 8 + json.count
    try Self.check(header.entries, cover: source.count - start, name: source.name)
    metadata = header.metadata
    entries = header.entries.map { entry in
      Entry(
        name: entry.name, dtype: entry.layout.dtype, shape: entry.layout.shape,
        range: start + entry.offsets.lowerBound..<start + entry.offsets.upperBound)
    }
    positions = Dictionary(uniqueKeysWithValues: zip(entries.map(\.name), entries.indices))
    self.source = source
    self.start = start
  }

  /// The tensor called `name`, copied out of the file.
  /// - Throws: `InputError` if there is none, or if a truth value in it is neither 0 nor 1.
  public func tensor(_ name: String) throws(InputError) -> Tensor {
    guard let position = positions[name] else {
      throw InputError("the file has no such tensor", at: self.name, expected: name.quoted)
    }
    let entry = entries[position]
    let location = "\(self.name), tensor \(name.quoted)"
    let layout = try TensorLayout(shape: entry.shape, dtype: entry.dtype, at: location)
    return try source.read(entry.range).parse { (bytes) throws(InputError) in
      try layout.tensor(copying: bytes, at: location)
    }
  }

  /// Elements of all tensors; those of packed ones count as they are in the file.
  public var elementCount: Int { entries.reduce(0) { $0 + $1.range.count / $1.dtype.byteCount } }

  /// Whether the file was written with a checksum.
  public var hasChecksum: Bool { metadata[Self.checksumKey] != nil }

  /// Reads the whole file and compares it with the checksum that it was written with.
  /// - Throws: `InputError` if it has none, or another.
  public func verifyChecksum() throws(InputError) {
    let checksum = metadata[Self.checksumKey] ?? ""
    let header = try source.read(8..<start)
    guard checksum.utf8.count == 64, let digits = Self.digits(checksum, in: header) else {
      throw InputError("the file has no checksum", at: name)
    }
    let blank = 8 + digits.lowerBound..<8 + digits.upperBound
    guard try source.sha256(blanking: blank) == checksum else {
      throw InputError("the file is damaged: its content is not what its checksum says", at: name)
    }
  }

  /// Where the digits of the checksum stand in a header: no text in it can hold these quotes without a backslash.
  private static func digits(_ checksum: String, in header: Data) -> Range<Int>? {
    guard let match = header.firstRange(of: Data("\"\(checksumKey)\":\"\(checksum)\"".utf8)) else { return nil }
    let end = match.upperBound - 1 - header.startIndex
    return end - checksum.utf8.count..<end
  }

  /// All tensors, copied out of the file, in the header's order; those that were written packed are unpacked.
  /// - Throws: `InputError` as ``tensor(_:)`` does, or if the halves of a packed tensor do not fit each other.
  public func stateDictionary() throws(InputError) -> StateDictionary {
    guard let mark = metadata[PackedTensor.metadataKey] else {
      var result = StateDictionary()
      for entry in entries { result[entry.name] = try tensor(entry.name) }
      return result
    }
    let location = "\(name), metadata \(PackedTensor.metadataKey)"
    return try unpacked(try SafetensorsHeader.packedShapes(mark, name: location))
  }

  /// All tensors, those named in `shapes` put together from their halves, in the place of the first.
  private func unpacked(_ shapes: [String: [Int]]) throws(InputError) -> StateDictionary {
    var result = StateDictionary()
    for entry in entries {
      let suffix = PackedTensor.suffixes.first { entry.name.hasSuffix($0) }
      guard let suffix else {
        guard shapes[entry.name] == nil else {
          throw InputError("the tensor is called packed, but is not", at: "\(name), tensor \(entry.name.quoted)")
        }
        result[entry.name] = try tensor(entry.name)
        continue
      }
      let whole = String(entry.name.dropLast(suffix.count))
      guard let shape = shapes[whole] else {
        throw InputError(
          "the metadata do not name this packed tensor", at: "\(name), tensor \(entry.name.quoted)",
          remedy: "fetch or write the file again")
      }
      if result[whole] == nil { result[whole] = try unpacked(whole, shape: shape) }
    }
    for missing in shapes.keys.sorted() where result[missing] == nil {
      throw halfIsMissing(missing, PackedTensor.bitmaskSuffix)
    }
    return result
  }

  /// The packed tensor called `name`.
  private func unpacked(_ name: String, shape: [Int]) throws(InputError) -> Tensor {
    func half(_ suffix: String) throws(InputError) -> Entry {
      guard let position = positions[name + suffix] else { throw halfIsMissing(name, suffix) }
      return entries[position]
    }
    let (bitmask, values) = (try half(PackedTensor.bitmaskSuffix), try half(PackedTensor.valuesSuffix))
    return try PackedTensor.unpack(
      (bitmask, source.read(bitmask.range)), (values, source.read(values.range)), shape: shape,
      at: "\(self.name), tensor \(name.quoted)")
  }

  private func halfIsMissing(_ name: String, _ suffix: String) -> InputError {
    InputError(
      "half of a packed tensor is missing", at: self.name, expected: (name + suffix).quoted,
      remedy: "fetch or write the file again")
  }

  /// The JSON between the length at the file's start and the tensors.
  private static func header(of source: ByteSource) throws(InputError) -> Data {
    let name = source.name
    guard source.count >= 8 else {
      throw InputError(
        "the file is too short for safetensors", at: name, expected: "at least 8 bytes", found: "\(source.count)",
        remedy: "fetch or write it again")
    }
    let length = try source.read(0..<8).parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: name)
      return try reader.little(UInt64.self)
    }
    guard length <= maximumHeaderLength else {
      throw InputError(
        "the safetensors header is too long", at: name, expected: "at most \(maximumHeaderLength) bytes",
        found: "\(length)", remedy: "check that the file is safetensors")
    }
    guard length <= source.count - 8 else {
      throw InputError(
        "the file ends within the safetensors header", at: name, expected: "\(length) header bytes",
        found: "\(source.count - 8)", remedy: "the file is truncated: fetch or write it again")
    }
    return try source.read(8..<8 + Int(length))
  }

  /// Checks that the tensors' ranges fill the data exactly: no overlap, no hole, nothing left over.
  private static func check(
    _ entries: [SafetensorsHeader.Entry], cover count: Int, name: String
  ) throws(InputError) {
    let sorted = entries.sorted {
      ($0.offsets.lowerBound, $0.offsets.upperBound) < ($1.offsets.lowerBound, $1.offsets.upperBound)
    }
    var end = 0
    for entry in sorted {
      let location = "\(name), tensor \(entry.name.quoted)"
      guard entry.offsets.upperBound <= count else {
        throw InputError(
          "the tensor lies beyond the end of the file", at: location, expected: "offsets up to \(count)",
          found: "\(entry.offsets.upperBound)", remedy: "the file is truncated: fetch or write it again")
      }
      guard entry.offsets.lowerBound == end else {
        throw InputError(
          entry.offsets.lowerBound < end ? "the tensor overlaps another" : "there is a gap before the tensor",
          at: location, expected: "its data from offset \(end)", found: "\(entry.offsets.lowerBound)")
      }
      end = entry.offsets.upperBound
    }
    guard end == count else {
      throw InputError(
        "bytes that belong to no tensor follow the last one", at: name, expected: "\(end) bytes of data",
        found: "\(count)")
    }
  }
}

extension Safetensors {
  /// Writes `tensors` as a safetensors file, whole or not at all, without a second copy of the model.
  ///
  /// The header keeps the tensors' order. Their data are laid out from the widest element type to the narrowest, so
  /// that each tensor is aligned for readers that map the file.
  /// - Parameters:
  ///   - tensors: The tensors by name.
  ///   - metadata: Free text under keys of one's choice.
  ///   - packsZeros: Whether a tensor that gets smaller so is written as `<name>.bitmask`, a bit for each element, and
  ///     `<name>.values`, the elements that are not zero; ``stateDictionary()`` puts them together again. A negative
  ///     zero comes back as zero.
  ///   - hasChecksum: Whether the metadata get the file's SHA-256, its own digits taken as zeros, for
  ///     ``verifyChecksum()``.
  ///   - url: Where the file goes.
  /// - Throws: `InputError` if the file cannot be written or a tensor has a name that means something else:
  ///   `__metadata__`, or one that ends as those of packed tensors do.
  public static func write(
    _ tensors: StateDictionary, metadata: [String: String] = [:], packsZeros: Bool = false,
    hasChecksum: Bool = false, to url: URL
  ) throws(InputError) {
    var (tensors, metadata) = (tensors, metadata)
    metadata[PackedTensor.metadataKey] = nil
    let blank = String(repeating: "0", count: 64)
    metadata[checksumKey] = hasChecksum ? blank : nil
    if packsZeros {
      let packed = try packed(tensors, at: url.path)
      tensors = packed.tensors
      metadata[PackedTensor.metadataKey] = packed.mark
    }
    let widestFirst = tensors.indices.sorted {
      (-tensors[$0].tensor.dtype.byteCount, $0) < (-tensors[$1].tensor.dtype.byteCount, $1)
    }
    var header = try encodeHeader(tensors, layout: widestFirst, metadata: metadata, at: url.path)
    if hasChecksum, let digits = digits(blank, in: header) {
      let hasher = Fingerprint.Hasher()
      hasher.update(header)
      for index in widestFirst { tensors[index].tensor.withUnsafeBytes { hasher.update($0) } }
      header.replaceSubrange(digits, with: hasher.finish().utf8)
    }
    try AtomicFile.write(to: url) { file in
      try file.write(contentsOf: header)
      for index in widestFirst { try tensors[index].tensor.withUnsafeBytes { try file.write(contentsOf: $0) } }
    }
  }

  /// `tensors`, packed where that saves bytes, and the mark that says which are; nil: none is.
  private static func packed(
    _ tensors: StateDictionary, at location: String
  ) throws(InputError) -> (tensors: StateDictionary, mark: String?) {
    var result = StateDictionary()
    var shapes: [String] = []
    for (name, tensor) in tensors {
      guard !PackedTensor.suffixes.contains(where: { name.hasSuffix($0) }) else {
        throw InputError("a tensor has a reserved name", at: location, found: name, remedy: "rename it")
      }
      guard PackedTensor.saves(tensor) else {
        result[name] = tensor
        continue
      }
      let packed = PackedTensor(tensor)
      result[name + PackedTensor.bitmaskSuffix] = packed.bitmask
      result[name + PackedTensor.valuesSuffix] = packed.values
      shapes.append("\(json(name)):[\(tensor.shape.map(String.init).joined(separator: ","))]")
    }
    return (result, shapes.isEmpty ? nil : "{\(shapes.joined(separator: ","))}")
  }

  /// The length and the JSON, padded with spaces so that the data begin at a multiple of 8.
  private static func encodeHeader(
    _ tensors: StateDictionary, layout: [Int], metadata: [String: String], at location: String
  ) throws(InputError) -> Data {
    var begins = [Int](repeating: 0, count: tensors.count)
    var ends = begins
    var end = 0
    for index in layout {
      let tensor = tensors[index].tensor
      begins[index] = end
      end += tensor.shape.reduce(tensor.dtype.byteCount, *)
      ends[index] = end
    }
    var members: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(json($0.key)):\(json($0.value))" }
      members.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
    }
    for (index, (name, tensor)) in tensors.enumerated() {
      guard name != "__metadata__" else {
        throw InputError("a tensor has a reserved name", at: location, found: name, remedy: "rename it")
      }
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      members.append(
        "\(json(name)):{\"dtype\":\"\(tensor.dtype.safetensors)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(begins[index]),\(ends[index])]}")
    }
    var text = Data("{\(members.joined(separator: ","))}".utf8)
    text.append(Data(repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8))
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) } + text
  }

  /// `text` as a JSON string.
  private static func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
