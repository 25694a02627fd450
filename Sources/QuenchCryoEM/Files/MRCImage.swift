import Foundation
import QuenchSupport

/// One image of an MRC file.
public struct MRCImage: Hashable, Sendable {
  public let width: Int
  public let height: Int
  /// Row after row, the upper one first; the file has the lowest first.
  public let pixels: [Float]
  /// In Å; nil where the header does not say.
  public let pixelSize: Double?
  /// What was read although it is not as it should be.
  public let warnings: [String]

  public init(width: Int, height: Int, pixels: [Float], pixelSize: Double? = nil) {
    precondition(pixels.count == width * height)
    self.width = width
    self.height = height
    self.pixels = pixels
    self.pixelSize = pixelSize
    warnings = []
  }

  /// Reads one image of a file, and no more of it than its header and that image.
  /// - Parameters:
  ///   - source: The file's bytes.
  ///   - section: Which image of the stack, from 0.
  /// - Throws: `InputError` if the header is wrong, the data end early, the section is not there, the pixels are
  ///   complex or one is no finite number.
  public init(_ source: ByteSource, section: Int = 0) throws(InputError) {
    let name = source.name
    let header = try MRCHeader(try source.read(0..<min(source.count, MRCHeader.byteCount)), name: name)
    guard (0..<header.sections).contains(section) else {
      throw InputError(
        "the stack has no such image", at: name, expected: "0 to \(header.sections - 1)", found: "\(section)")
    }
    let needed = header.dataOffset + header.sectionBytes * header.sections
    guard source.count >= needed else {
      throw InputError(
        "the MRC file is shorter than its header says", at: name, expected: "\(needed) bytes",
        found: "\(source.count)", remedy: "the file is truncated: copy or write it again")
    }
    var warnings = header.warnings
    if source.count > needed {
      warnings.append("\(name): \(source.count - needed) bytes follow the pixels; they are not used")
    }
    let start = header.dataOffset + section * header.sectionBytes
    let pixels = try Self.decode(try source.read(start..<start + header.sectionBytes), header, name: name)
    guard pixels.allSatisfy(\.isFinite) else {
      throw InputError("the image holds NaN or infinity", at: name, remedy: "the file is damaged: write it again")
    }
    width = header.width
    height = header.height
    pixelSize = header.pixelSize
    self.warnings = warnings
    self.pixels = Self.upsideDown(pixels, width: header.width)
  }

  /// - Throws: `InputError` as ``init(_:section:)`` does, or if the file cannot be read.
  public init(contentsOf url: URL, section: Int = 0) throws(InputError) {
    try self.init(ByteSource(contentsOf: url), section: section)
  }

  private static func upsideDown(_ pixels: [Float], width: Int) -> [Float] {
    stride(from: pixels.count - width, through: 0, by: -width).flatMap { pixels[$0..<$0 + width] }
  }

  private static func decode(_ data: Data, _ header: MRCHeader, name: String) throws(InputError) -> [Float] {
    let count = header.width * header.height
    func words(_ convert: (UInt16) -> Float) -> [Float] {
      data.withUnsafeBytes { bytes in
        (0..<count).map { index in
          let raw = bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
          return convert(header.isBigEndian ? UInt16(bigEndian: raw) : UInt16(littleEndian: raw))
        }
      }
    }
    switch header.mode {
    case .int8:
      return data.map { header.hasUnsignedBytes ? Float($0) : Float(Int8(bitPattern: $0)) }
    case .int16: return words { Float(Int16(bitPattern: $0)) }
    case .uint16: return words { Float($0) }
    case .float16: return words { Float(halfPrecision: $0) }
    case .float32:
      return data.withUnsafeBytes { bytes in
        (0..<count).map { index in
          let raw = bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
          return Float(bitPattern: header.isBigEndian ? UInt32(bigEndian: raw) : UInt32(littleEndian: raw))
        }
      }
    case .packed4:
      let row = header.mode.rowBytes(header.width)
      return (0..<header.height).flatMap { y in
        (0..<header.width).map { x in
          let byte = data[data.startIndex + y * row + x / 2]
          return Float(x.isMultiple(of: 2) ? byte & 15 : byte >> 4)
        }
      }
    case .complexInt16, .complexFloat32:
      throw InputError(
        "the MRC file holds a Fourier transform", at: "\(name), word 4", expected: "an image",
        found: "mode \(header.mode.rawValue)")
    }
  }
}

extension Float {
  /// The value of an IEEE 754 half-precision number's bits.
  init(halfPrecision bits: UInt16) {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
    switch exponent {
    case 0: self = sign * fraction * 0x1p-24
    case 31: self = fraction == 0 ? sign * .infinity : .nan
    default: self = sign * (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
    }
  }
}

// MARK: - Writing

extension MRCImage {
  /// An MRC file of mode 2 with this one image.
  /// - Parameter label: What the file says of itself, at most 80 ASCII characters.
  public func encoded(label: String) -> Data {
    var header = [UInt8](repeating: 0, count: MRCHeader.byteCount)
    func put(_ value: some FixedWidthInteger, _ word: Int) {
      withUnsafeBytes(of: value.littleEndian) { header.replaceSubrange(4 * (word - 1)..<4 * word, with: $0) }
    }
    func put(_ value: Float, _ word: Int) { put(value.bitPattern, word) }
    for (word, value) in [(1, width), (2, height), (3, 1), (4, 2), (8, width), (9, height), (10, 1)] {
      put(Int32(value), word)
    }
    let spacing = Float(pixelSize ?? 1)
    for (word, size) in [(11, width), (12, height), (13, 1)] { put(spacing * Float(size), word) }
    for word in 14...16 { put(Float(90), word) }
    for (word, axis) in [(17, 1), (18, 2), (19, 3)] { put(Int32(axis), word) }
    let mean = pixels.reduce(0.0) { $0 + Double($1) } / Double(max(1, pixels.count))
    let variance =
      pixels.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(max(1, pixels.count))
    put(pixels.min() ?? 0, 20)
    put(pixels.max() ?? 0, 21)
    put(Float(mean), 22)
    put(Int32(20140), 28)
    header.replaceSubrange(208..<216, with: Array("MAP ".utf8) + [0x44, 0x44, 0, 0])
    put(Float(variance.squareRoot()), 55)
    put(Int32(1), 56)
    let text = Array(label.utf8.filter { (32..<127).contains($0) }.prefix(80))
    header.replaceSubrange(224..<304, with: text + Array(repeating: 32, count: 80 - text.count))
    return Self.upsideDown(pixels, width: width).reduce(into: Data(header)) { data, pixel in
      withUnsafeBytes(of: pixel.bitPattern.littleEndian) { data.append(contentsOf: $0) }
    }
  }
}
