import Foundation
import QuenchSupport

/// Walks over the fields of a Protocol Buffers message where it lies; long ones are told by their place and not read.
struct ONNXWire {
  enum Payload {
    case integer(UInt64)
    /// Four or eight bytes, or a field of a length that stands before it.
    case bytes(Range<Int>)
  }

  struct Field {
    var number: Int
    var payload: Payload
  }

  let source: ByteSource
  private var position: Int
  private let end: Int
  private var block: [UInt8] = []
  private var blockStart = 0

  private static let blockSize = 1 << 16

  init(_ source: ByteSource) {
    self.source = source
    (position, end) = (0, source.count)
  }

  /// The message in a part of the same bytes.
  func message(_ range: Range<Int>) -> ONNXWire {
    ONNXWire(source: source, position: range.lowerBound, end: range.upperBound, block: block, start: blockStart)
  }

  private init(source: ByteSource, position: Int, end: Int, block: [UInt8], start: Int) {
    (self.source, self.position, self.end) = (source, position, end)
    (self.block, blockStart) = (block, start)
  }

  var isAtEnd: Bool { position >= end }

  /// The next field; nil at the end.
  /// - Throws: `InputError` if the bytes are no message.
  mutating func next() throws(InputError) -> Field? {
    guard !isAtEnd else { return nil }
    let start = position
    let tag = try varint()
    let number = Int(tag >> 3)
    guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw damaged(start) }
    switch tag & 7 {
    case 0: return Field(number: number, payload: .integer(try varint()))
    case 1: return Field(number: number, payload: .bytes(try skip(8, start)))
    case 2: return Field(number: number, payload: .bytes(try skip(try varint(), start)))
    case 5: return Field(number: number, payload: .bytes(try skip(4, start)))
    default: throw damaged(start)
    }
  }

  mutating func varint() throws(InputError) -> UInt64 {
    let start = position
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw truncated(start) }
      let byte = try byte(at: position)
      position += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw damaged(start)
  }

  func text(_ range: Range<Int>) throws(InputError) -> String {
    String(decoding: try source.read(range), as: UTF8.self)
  }

  private mutating func skip(_ count: UInt64, _ start: Int) throws(InputError) -> Range<Int> {
    guard count <= UInt64(end - position) else { throw truncated(start) }
    let range = position..<position + Int(count)
    position = range.upperBound
    return range
  }

  private mutating func byte(at position: Int) throws(InputError) -> UInt8 {
    if position < blockStart || position >= blockStart + block.count {
      blockStart = position
      block = [UInt8](try source.read(position..<min(position + Self.blockSize, source.count)))
    }
    return block[position - blockStart]
  }

  private func truncated(_ position: Int) -> InputError {
    InputError(
      "the ONNX model ends too early", at: "\(source.name), byte \(position)",
      remedy: "the file is truncated: fetch or write it again")
  }

  private func damaged(_ position: Int) -> InputError {
    InputError(
      "the file is no ONNX model, or a damaged one", at: "\(source.name), byte \(position)",
      remedy: "fetch or write it again")
  }
}

extension ONNXWire.Field {
  var integer: Int? { if case .integer(let value) = payload { Int(truncatingIfNeeded: value) } else { nil } }
  var range: Range<Int>? { if case .bytes(let range) = payload { range } else { nil } }
}
