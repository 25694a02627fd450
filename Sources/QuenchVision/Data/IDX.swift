import Foundation
import QuenchSupport

/// The IDX format of MNIST and Fashion-MNIST: two zero bytes, element type, number of dimensions, the dimensions as
/// big-endian 32-bit integers, the elements.
public enum IDX {
  /// The most bytes a compressed IDX file may unpack to.
  static let unpackedLimit = 1 << 31

  /// An array of unsigned bytes.
  public struct Array: Equatable, Sendable {
    public var shape: [Int]
    public var elements: Data
  }

  /// Reads an IDX file of unsigned bytes, gzip-compressed or plain: as many as its header says.
  ///
  /// - Parameters:
  ///   - source: The file's bytes.
  ///   - dimensions: How many the array must have.
  /// - Throws: `InputError` if the magic number, the element type or the number of dimensions is another, or the
  ///   dimensions do not give exactly the bytes there are.
  public static func parse(_ source: ByteSource, dimensions: Int) throws(InputError) -> Array {
    let headerSize = 4 + 4 * dimensions
    let start = try source.read(0..<min(source.count, 1 << 16))
    let isPacked = Gzip.isCompressed(start)
    let header =
      isPacked ? try Gzip.beginning(of: start, name: source.name, count: headerSize) : start.prefix(headerSize)
    let shape = try shape(header, name: source.name, dimensions: dimensions)
    let size = product(shape) ?? .max
    func check(_ found: Int) throws(InputError) {
      guard found != size else { return }
      throw InputError(
        found < size ? "the IDX file is truncated" : "the IDX file has stray bytes", at: source.name,
        expected: "\(shape.map(String.init).joined(separator: " x ")) bytes after the header", found: "\(found)",
        remedy: "fetch the file again")
    }
    guard isPacked else {
      try check(source.count - headerSize)
      return Array(shape: shape, elements: try source.read(headerSize..<source.count))
    }
    guard size < unpackedLimit else {
      throw InputError(
        "the IDX file says that it is too large", at: source.name, expected: "at most \(unpackedLimit) bytes",
        found: shape.map(String.init).joined(separator: " x "), remedy: "fetch the file again")
    }
    // What cannot be packed grows by less than a hundredth; the rest is for the file's own header.
    if source.count > size + size / 100 + 1 << 16 { try check(source.count) }
    let content = try Gzip.unpack(
      try source.read(0..<source.count), name: source.name, limit: headerSize + size + 1)
    try check(content.count - headerSize)
    return Array(shape: shape, elements: content.dropFirst(headerSize))
  }

  private static func shape(_ header: Data, name: String, dimensions: Int) throws(InputError) -> [Int] {
    try header.parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: name)
      let magic: UInt32 = try reader.big()
      guard magic == 0x0800 + UInt32(dimensions) else {
        throw InputError(
          "not an IDX file of bytes with \(dimensions) dimension\(dimensions == 1 ? "" : "s")", at: name,
          expected: "first bytes \(hex(0x0800 + UInt32(dimensions)))", found: hex(magic))
      }
      var shape: [Int] = []
      for _ in 0..<dimensions { shape.append(Int(try reader.big(UInt32.self))) }
      return shape
    }
  }

  /// Reads a file of images `[N, H, W]` and its file of labels `[N]`, as one-channel images.
  ///
  /// - Parameters:
  ///   - imageSource: The bytes of the one file.
  ///   - labelSource: The bytes of the other file.
  ///   - classes: Labels must be smaller.
  /// - Throws: `InputError` as ``parse(_:dimensions:)`` does, if there are no images, if the files do not have the same
  ///   number of records, or if a label is out of range.
  public static func parse(
    images imageSource: ByteSource, labels labelSource: ByteSource, classes: Int
  ) throws(InputError) -> PixelBlock {
    let images = try parse(imageSource, dimensions: 3)
    let labels = try parse(labelSource, dimensions: 1)
    guard !images.elements.isEmpty else { throw InputError("the file holds no images", at: imageSource.name) }
    guard images.shape[0] == labels.shape[0] else {
      throw InputError(
        "images and labels do not belong together", at: labelSource.name,
        expected: "\(images.shape[0]) labels for \(imageSource.name)", found: "\(labels.shape[0])")
    }
    if let wrong = labels.elements.firstIndex(where: { $0 >= classes }) {
      throw InputError(
        "a label is out of range", at: "\(labelSource.name), record \(wrong - labels.elements.startIndex)",
        expected: "0 to \(classes - 1)", found: "\(labels.elements[wrong])")
    }
    let shape = [images.shape[0], 1, images.shape[1], images.shape[2]]
    return PixelBlock(shape: shape, pixels: images.elements, labels: labels.elements.map { Int64($0) })
  }

  private static func hex(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
  }
}

/// The product of sizes from a file, or `nil` if it does not fit an `Int`.
func product(_ sizes: [Int]) -> Int? {
  var product = 1
  for size in sizes {
    let (next, overflow) = product.multipliedReportingOverflow(by: size)
    guard !overflow else { return nil }
    product = next
  }
  return product
}
