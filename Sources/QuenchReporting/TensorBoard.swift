import Foundation
import QuenchSupport

/// Writes scalars to an event file that TensorBoard reads.
public final class TensorBoardWriter {
  private let url: URL
  private let handle: FileHandle

  /// Opens a new event file in `folder`, which is made if it is missing.
  /// - Parameters:
  ///   - folder: Where TensorBoard looks for a run.
  ///   - step: The last step that stays valid if the run is resumed: TensorBoard then drops what earlier files of
  ///     the folder hold after it.
  ///   - time: Seconds since 1970, for the file's name and its first record.
  /// - Throws: `InputError` if the file cannot be written.
  public init(in folder: URL, after step: Int? = nil, time: Double = Date().timeIntervalSince1970)
    throws(InputError)
  {
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
    // TensorBoard reads the files of a folder in the order of their names.
    let name = "events.out.tfevents.\(Int(time)).quench.\(UInt64(time * 1e6))"
    url = folder.appending(path: name)
    let descriptor = open(url.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw InputError.writing(url, POSIXError(.init(rawValue: errno) ?? .EIO)) }
    handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)

    var version = Protobuf()
    version.double(1, time)
    version.bytes(3, Data("brain.Event:2".utf8))
    try write(version)
    if let step {
      var session = Protobuf()
      session.varint(1, 1)  // SessionLog.START
      var event = Protobuf()
      event.double(1, time)
      event.varint(2, UInt64(bitPattern: Int64(step + 1)))
      event.bytes(7, session.data)
      try write(event)
    }
  }

  /// Adds one point to the curve called `tag`.
  /// - Throws: `InputError` that names the file, for instance if the disk is full.
  public func scalar(
    _ tag: String, _ value: Double, step: Int, time: Double = Date().timeIntervalSince1970
  ) throws(InputError) {
    var point = Protobuf()
    point.bytes(1, Data(tag.utf8))
    point.float(2, Float(value))
    var summary = Protobuf()
    summary.bytes(1, point.data)
    var event = Protobuf()
    event.double(1, time)
    event.varint(2, UInt64(bitPattern: Int64(step)))
    event.bytes(5, summary.data)
    try write(event)
  }

  private func write(_ event: Protobuf) throws(InputError) {
    do { try handle.write(contentsOf: TFRecord.frame(event.data)) } catch { throw InputError.writing(url, error) }
  }
}

/// The few kinds of protocol buffer fields that an event needs.
private struct Protobuf {
  var data = Data()

  mutating func varint(_ field: UInt64, _ value: UInt64) {
    append(field << 3)
    append(value)
  }

  mutating func double(_ field: UInt64, _ value: Double) {
    append(field << 3 | 1)
    data.append(littleEndian: value.bitPattern)
  }

  mutating func float(_ field: UInt64, _ value: Float) {
    append(field << 3 | 5)
    data.append(littleEndian: value.bitPattern)
  }

  mutating func bytes(_ field: UInt64, _ value: Data) {
    append(field << 3 | 2)
    append(UInt64(value.count))
    data += value
  }

  private mutating func append(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      data.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    data.append(UInt8(value))
  }
}

/// The framing of records in TensorFlow's files: length, its checksum, content, its checksum.
enum TFRecord {
  static func frame(_ content: Data) -> Data {
    var record = Data()
    record.append(littleEndian: UInt64(content.count))
    record.append(littleEndian: maskedCRC(record))
    record += content
    record.append(littleEndian: maskedCRC(content))
    return record
  }

  static func maskedCRC(_ data: Data) -> UInt32 {
    let crc = crc32c(data)
    return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
  }

  /// The CRC-32C (Castagnoli) checksum.
  static func crc32c(_ data: Data) -> UInt32 {
    ~data.reduce(UInt32.max) { crc, byte in table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8 }
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? 0x82F6_3B78 ^ crc >> 1 : crc >> 1 }
  }
}

extension Data {
  fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
