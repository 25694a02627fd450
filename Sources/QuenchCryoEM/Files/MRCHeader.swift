import Foundation
import QuenchSupport

/// The header of an MRC file (MRC2014: Cheng et al. 2015), 1,024 bytes.
public struct MRCHeader: Hashable, Sendable {
  /// How a pixel is stored; raw values are the format's.
  public enum Mode: Int32, Hashable, Sendable, CaseIterable {
    case int8 = 0
    case int16 = 1
    case float32 = 2
    case complexInt16 = 3
    case complexFloat32 = 4
    case uint16 = 6
    case float16 = 12
    case packed4 = 101

    /// The bytes of a row of `width` pixels.
    func rowBytes(_ width: Int) -> Int {
      switch self {
      case .int8: width
      case .int16, .uint16, .float16: 2 * width
      case .float32, .complexInt16: 4 * width
      case .complexFloat32: 8 * width
      case .packed4: (width + 1) / 2
      }
    }
  }

  public static let byteCount = 1024

  /// The header's bytes as they were read.
  let bytes: Data
  public let isBigEndian: Bool
  public let width: Int
  public let height: Int
  /// Images of a stack, or sections of a volume.
  public let sections: Int
  public let mode: Mode
  /// Whether mode 0 holds unsigned bytes, as older IMOD wrote them.
  public let hasUnsignedBytes: Bool
  /// In Å; nil where the header does not say.
  public let pixelSize: Double?
  /// Bytes between the header and the pixels.
  public let extendedBytes: Int
  /// `FEI1`, `SERI`, ...; empty where the header does not say.
  public let extendedType: String
  public let labels: [String]
  /// What was read although it is not as it should be.
  public let warnings: [String]

  /// Where the pixels begin.
  public var dataOffset: Int { Self.byteCount + extendedBytes }
  /// The bytes of one image.
  public var sectionBytes: Int { mode.rowBytes(width) * height }

  /// - Parameters:
  ///   - data: The file's bytes, or its first 1,024.
  ///   - name: What they are, for errors: usually the file's path.
  /// - Throws: `InputError` that says which word of the header is wrong.
  public init(_ data: Data, name: String) throws(InputError) {
    guard data.count >= Self.byteCount else {
      throw InputError(
        "the file is too short for an MRC header", at: name, expected: "\(Self.byteCount) bytes or more",
        found: "\(data.count)", remedy: "the file is truncated or is no MRC file")
    }
    let bytes = Data(data.prefix(Self.byteCount))
    var warnings: [String] = []
    let isBigEndian = try Self.byteOrder(bytes, name: name, warnings: &warnings)
    func word(_ number: Int) -> Int32 { Self.word(number, of: bytes, bigEndian: isBigEndian) }

    let sizes = [word(1), word(2), word(3)].map(Int.init)
    guard sizes.allSatisfy({ (1...1_000_000).contains($0) }) else {
      throw InputError(
        "an MRC file of impossible size", at: "\(name), words 1 to 3", expected: "1 to 1000000 pixels a side",
        found: sizes.map(String.init).joined(separator: " x "), remedy: "the file is damaged or is no MRC file")
    }
    guard let mode = Mode(rawValue: word(4)) else {
      throw InputError(
        "unknown MRC mode", at: "\(name), word 4",
        expected: Mode.allCases.map { "\($0.rawValue)" }.joined(separator: ", "), found: "\(word(4))",
        remedy: "the file is damaged, or written by a program with a mode of its own: convert it to mode 2")
    }
    let extended = Int(word(24))
    guard extended >= 0 else {
      throw InputError(
        "the extended header has a negative size", at: "\(name), word 24", expected: "0 or more bytes",
        found: "\(extended)", remedy: "the file is damaged: write it again")
    }
    if String(decoding: bytes[208..<212], as: UTF8.self) != "MAP " {
      warnings.append("\(name), word 53: 'MAP ' is missing")
    }
    let imodStamp = word(39) == 1_146_047_817
    hasUnsignedBytes = mode == .int8 && imodStamp && word(40) & 1 == 0
    if hasUnsignedBytes { warnings.append("\(name), word 40: mode 0 holds unsigned bytes (IMOD)") }

    let cell = [11, 12].map { Double(Float(bitPattern: UInt32(bitPattern: word($0)))) }
    let intervals = [8, 9].map { Double(word($0)) }
    let spacing = zip(cell, intervals).map { $1 > 0 ? $0 / $1 : 0 }
    pixelSize = spacing[0].isFinite && spacing[0] > 0 ? spacing[0] : nil
    if let pixelSize, (spacing[1] - pixelSize).magnitude > 0.01 * pixelSize {
      warnings.append("\(name), words 8 to 12: pixels are not square; the width counts")
    }
    let labelCount = Int(word(56))
    if !(0...10).contains(labelCount) { warnings.append("\(name), word 56: \(labelCount) labels of at most 10") }
    self.bytes = bytes
    self.isBigEndian = isBigEndian
    (width, height, sections) = (sizes[0], sizes[1], sizes[2])
    self.mode = mode
    extendedBytes = extended
    extendedType = Self.text(bytes[104..<108])
    labels = (0..<min(10, max(0, labelCount))).map { Self.text(bytes[224 + 80 * $0..<304 + 80 * $0]) }
    self.warnings = warnings
  }

  /// The four bytes of a word, numbered from 1 as the format does.
  private static func word(_ number: Int, of bytes: Data, bigEndian: Bool) -> Int32 {
    let raw = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4 * (number - 1), as: UInt32.self) }
    return Int32(bitPattern: bigEndian ? UInt32(bigEndian: raw) : UInt32(littleEndian: raw))
  }

  private static func text(_ bytes: Data) -> String {
    String(String.UnicodeScalarView(bytes.filter { (32..<127).contains($0) }.map { Unicode.Scalar($0) }))
      .trimmingBlanks()
  }

  /// Finds the byte order from the machine stamp; where there is none, from what makes sense.
  private static func byteOrder(
    _ bytes: Data, name: String, warnings: inout [String]
  ) throws(InputError) -> Bool {
    func makesSense(bigEndian: Bool) -> Bool {
      Mode(rawValue: word(4, of: bytes, bigEndian: bigEndian)) != nil
        && (1...3).allSatisfy { (1...1_000_000).contains(word($0, of: bytes, bigEndian: bigEndian)) }
    }
    let stamp = [UInt8](bytes[212..<216])
    let stamped: Bool? =
      switch (stamp[0], stamp[1]) {
      case (0x44, 0x44), (0x44, 0x41): false
      case (0x11, 0x11): true
      case (0x44, _): false
      default: nil
      }
    let isUsual = [0x44, 0x41].contains(stamp[1]) || stamp[1] == 0x11
    if let stamped {
      guard makesSense(bigEndian: stamped) || !makesSense(bigEndian: !stamped) else {
        let (claimed, actual) = stamped ? ("big", "little") : ("little", "big")
        throw InputError(
          "the MRC file's machine stamp is wrong", at: "\(name), word 54",
          expected: "the stamp of a \(actual)-endian file, as its sizes and mode are",
          found: "that of a \(claimed)-endian one", remedy: "write the file again, or mend its stamp")
      }
      if !isUsual { warnings.append("\(name), word 54: an unusual machine stamp, read as little-endian") }
      return stamped
    }
    let isBigEndian = !makesSense(bigEndian: false) && makesSense(bigEndian: true)
    guard makesSense(bigEndian: isBigEndian) else {
      let found = stamp.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
      throw InputError(
        "this is no MRC file", at: "\(name), word 54", expected: "the machine stamp 44 44 00 00 or 11 11 00 00",
        found: found)
    }
    warnings.append(
      "\(name), word 54: no machine stamp; the sizes make sense as \(isBigEndian ? "big" : "little")-endian")
    return isBigEndian
  }
}
