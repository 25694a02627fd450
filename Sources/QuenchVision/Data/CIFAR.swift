import Foundation
import QuenchSupport

/// The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one label byte (CIFAR-100: a coarse
/// and a fine one) and 3 x 32 x 32 pixels, red, green and blue plane.
public enum CIFAR: Sendable {
  case ten
  case hundred

  static let pixels = 3 * 32 * 32
  static let coarseClasses = 20
  /// Of the largest published file: nothing in a file says how many it has.
  static let mostRecords = 50_000

  var labelBytes: Int { self == .ten ? 1 : 2 }
  var recordSize: Int { labelBytes + Self.pixels }
  var classes: Int { self == .ten ? 10 : 100 }

  /// The files of a split, in order.
  func files(_ split: DataSplit) -> [String] {
    switch (self, split) {
    case (.ten, .train): (1...5).map { "data_batch_\($0).bin" }
    case (.ten, .test): ["test_batch.bin"]
    case (.hundred, .train): ["train.bin"]
    case (.hundred, .test): ["test.bin"]
    }
  }

  /// Reads one file; the number of records is what its size gives. CIFAR-100's labels are the fine ones.
  ///
  /// - Parameter source: The file's bytes.
  /// - Throws: `InputError` if there are no records or more than any published file has, the size is not a multiple of
  ///   the record size, or a label is out of range.
  public func parse(_ source: ByteSource) throws(InputError) -> PixelBlock {
    var pixels = Data()
    var labels: [Int64] = []
    try parse(source, pixels: &pixels, labels: &labels)
    return PixelBlock(shape: [labels.count, 3, 32, 32], pixels: pixels, labels: labels)
  }

  /// Appends the records of one file to `pixels` and `labels`.
  func parse(_ source: ByteSource, pixels: inout Data, labels: inout [Int64]) throws(InputError) {
    let (records, remainder) = source.count.quotientAndRemainder(dividingBy: recordSize)
    guard remainder == 0, records > 0 else {
      throw InputError(
        records == 0 ? "the file holds no complete record" : "the file is truncated", at: source.name,
        expected: "a multiple of the record size, \(recordSize) bytes",
        found: "\(source.count) bytes, which leaves a remainder of \(remainder)", remedy: "fetch the file again")
    }
    guard records <= Self.mostRecords else {
      throw InputError(
        "the file is too long", at: source.name, expected: "at most \(Self.mostRecords) records",
        found: "\(records)")
    }
    labels.reserveCapacity(labels.count + records)
    pixels.reserveCapacity(pixels.count + records * Self.pixels)
    let data = try source.read(0..<source.count)
    for record in 0..<records {
      let start = data.startIndex + record * recordSize
      let label = data[start + labelBytes - 1]
      try check(label, below: classes, in: record, of: source.name)
      if self == .hundred { try check(data[start], below: Self.coarseClasses, in: record, of: source.name) }
      labels.append(Int64(label))
      pixels.append(data[start + labelBytes..<start + recordSize])
    }
  }

  private func check(_ label: UInt8, below classes: Int, in record: Int, of name: String) throws(InputError) {
    guard label < classes else {
      throw InputError(
        "a label is out of range", at: "\(name), record \(record)", expected: "0 to \(classes - 1)",
        found: "\(label)")
    }
  }
}
