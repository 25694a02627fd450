import Foundation
import Support
import Torch

/// A model behind a program that answers on its standard output what it reads on its standard input: any language, any
/// library, any service that such a program calls.
///
/// The program begins by writing one line of JSON, `{"classes": 10, "feedback": "logits", "version": "7"}`, with
/// `"max_batch": n` where it has a limit. Then, for every request, it reads a line `{"shape": [N, C, H, W],
/// "datatype": "FP32"}` and the pixels, little-endian and in row-major order, and writes a line `{"shape": [N, classes],
/// "datatype": "FP32"}` (for labels `{"shape": [N], "datatype": "INT64"}`) and the numbers in the same form; or a line
/// `{"error": "what is wrong"}`, with `"temporary": true` if the same request may be answered later, `"pause": seconds`
/// if it is known when, and `"sent": false` if nobody has counted it. It ends when its input ends.
///
/// A program that reads on while it works says `"max_in_flight": n` at the beginning: it gets so many requests at once
/// and answers in their order.
public final class ProgramBlackBox: BlackBox {
  public let feedback: Feedback
  public let classes: Int
  public let version: String
  public let largestBatch: Int?
  public let concurrency: Int
  private let name: String
  private let process: Process
  private let input: FileHandle
  private let output: FileHandle

  struct Greeting: Codable {
    var classes: Int
    var feedback: Feedback?
    var version: String?
    var largestBatch: Int?
    var concurrency: Int?

    enum CodingKeys: String, CodingKey {
      case classes, feedback, version
      case largestBatch = "max_batch"
      case concurrency = "max_in_flight"
    }
  }

  struct Header: Codable {
    var shape: [Int]?
    var datatype: String?
    var error: String?
    var temporary: Bool?
    var pause: Double?
    var sent: Bool?
  }

  /// Starts the program.
  /// - Parameter command: The program and its arguments.
  /// - Throws: `InputError` if it cannot be started, or does not introduce itself.
  public init(_ command: [String]) throws {
    signal(SIGPIPE, SIG_IGN)  // a program that ended shows as an error of the write
    name = command.first ?? "no program"
    process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    do { try process.run() } catch {
      throw InputError("the program cannot be started: \(error.localizedDescription)", at: name)
    }
    self.input = input.fileHandleForWriting
    self.output = output.fileHandleForReading
    guard let line = try Self.line(of: self.output) else { throw Self.ended(name) }
    guard let greeting = try? JSONDecoder().decode(Greeting.self, from: line), greeting.classes > 0,
      greeting.feedback != .images
    else {
      throw InputError(
        "the program does not introduce itself", at: name,
        expected: #"a first line such as {"classes": 10, "feedback": "logits", "version": "7"}"#,
        found: "'\(String(decoding: line.prefix(80), as: UTF8.self))'")
    }
    classes = greeting.classes
    feedback = greeting.feedback ?? .logits
    version = greeting.version ?? name
    largestBatch = greeting.largestBatch
    concurrency = max(greeting.concurrency ?? 1, 1)
  }

  deinit {
    try? input.close()
    process.terminate()
  }

  public func answer(_ images: Tensor) throws -> Tensor {
    write(images)
    return try read(for: images)
  }

  public func answers(to requests: [Tensor]) -> [Result<Tensor, any Error>] {
    for images in requests { write(images) }
    return requests.map { images in Result { try read(for: images) } }
  }

  /// Tells the program images. One that takes no more is over: reading tells what it still said, or that it ended.
  private func write(_ images: Tensor) {
    do {
      try input.write(
        contentsOf: JSONEncoder().encode(Header(shape: images.shape, datatype: "FP32")) + Data("\n".utf8))
      try input.write(contentsOf: images.to(.float32).data())
    } catch { process.terminate() }
  }

  private func read(for images: Tensor) throws -> Tensor {
    guard let line = try Self.line(of: output) else { throw Self.ended(name) }
    guard let header = try? JSONDecoder().decode(Header.self, from: line) else {
      throw InputError(
        "the program does not answer by the protocol", at: name,
        found: "'\(String(decoding: line.prefix(80), as: UTF8.self))'")
    }
    if let error = header.error {
      guard header.temporary == true else {
        throw InputError("the program answers with an error: \(error)", at: name)
      }
      throw TemporaryFailure(error, pause: header.pause, wasSent: header.sent ?? true)
    }
    let shape = feedback == .labels ? [images.size(0)] : [images.size(0), classes]
    let dtype: DType = feedback == .labels ? .int64 : .float32
    guard header.shape == shape, header.datatype == (feedback == .labels ? "INT64" : "FP32") else {
      throw InputError(
        "the program answers another number of images or classes, or another type", at: name, expected: "\(shape)",
        found: "\(header.shape ?? []) \(header.datatype ?? "")")
    }
    let count = shape.reduce(dtype.byteCount, *)
    guard let data = try Self.bytes(count, of: output) else { throw Self.ended(name) }
    return data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: dtype) }.to(images.device)
  }

  /// The next line, without its end; nil where there is none.
  static func line(of handle: FileHandle) throws -> Data? {
    var line = Data()
    while let byte = try handle.read(upToCount: 1), !byte.isEmpty {
      if byte[byte.startIndex] == UInt8(ascii: "\n") { return line }
      line += byte
      guard line.count < 1 << 16 else { return line }
    }
    return nil
  }

  /// The next `count` bytes; nil where there are fewer.
  static func bytes(_ count: Int, of handle: FileHandle) throws -> Data? {
    var data = Data()
    while data.count < count, let part = try handle.read(upToCount: count - data.count), !part.isEmpty {
      data += part
    }
    return data.count == count ? data : nil
  }

  private static func ended(_ name: String) -> InputError {
    InputError("the program ended before it answered", at: name, remedy: "see what it says above")
  }
}
