import Foundation
import Support

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

  /// Reads an IDX file of unsigned bytes, gzip-compressed or plain.
  ///
  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What the bytes are, for errors: usually the file's path.
  ///   - dimensions: How many the array must have.
  /// - Throws: `InputError` if the magic number, the element type or the number of dimensions is another, or the
  ///   dimensions do not give exactly the bytes there are.
  public static func parse(_ data: Data, name: String, dimensions: Int) throws(InputError) -> Array {
    let data = Gzip.isCompressed(data) ? try Gzip.unpack(data, name: name, limit: unpackedLimit) : data
    return try data.parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: name)
      let magic: UInt32 = try reader.big()
      guard magic == 0x0800 + UInt32(dimensions) else {
        throw InputError(
          "not an IDX file of bytes with \(dimensions) dimension\(dimensions == 1 ? "" : "s")", at: name,
          expected: "first bytes \(hex(0x0800 + UInt32(dimensions)))", found: hex(magic))
      }
      var shape: [Int] = []
      for _ in 0..<dimensions { shape.append(Int(try reader.big(UInt32.self))) }
      guard let size = product(shape), size == reader.remaining else {
        throw InputError(
          reader.remaining < (product(shape) ?? .max)
            ? "the IDX file is truncated" : "the IDX file has stray bytes",
          at: name, expected: "\(shape.map(String.init).joined(separator: " x ")) bytes after the header",
          found: "\(reader.remaining)", remedy: "fetch the file again")
      }
      return Array(shape: shape, elements: data[(data.startIndex + reader.offset)...])
    }
  }

  /// Reads a file of images `[N, H, W]` and its file of labels `[N]`, as one-channel images.
  ///
  /// - Parameters:
  ///   - images: The bytes of the one file.
  ///   - imagesName: What they are, for errors: usually the file's path.
  ///   - labels: The bytes of the other file.
  ///   - labelsName: What they are, for errors: usually the file's path.
  ///   - classes: Labels must be smaller.
  /// - Throws: `InputError` as ``parse(_:name:dimensions:)`` does, if there are no images, if the files do not
  ///   have the same number of records, or if a label is out of range.
  public static func parse(
    images: Data, imagesName: String, labels: Data, labelsName: String, classes: Int
  ) throws(InputError) -> PixelBlock {
    let images = try parse(images, name: imagesName, dimensions: 3)
    let labels = try parse(labels, name: labelsName, dimensions: 1)
    guard !images.elements.isEmpty else { throw InputError("the file holds no images", at: imagesName) }
    guard images.shape[0] == labels.shape[0] else {
      throw InputError(
        "images and labels do not belong together", at: labelsName,
        expected: "\(images.shape[0]) labels for \(imagesName)", found: "\(labels.shape[0])")
    }
    if let wrong = labels.elements.firstIndex(where: { $0 >= classes }) {
      throw InputError(
        "a label is out of range", at: "\(labelsName), record \(wrong - labels.elements.startIndex)",
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
