import Foundation
import QuenchSupport

/// The other side of a ``ProgramBlackBox``: what a program in Swift reads and writes.
public struct ProgramProtocol: Sendable {
  private let reader: PipeReader
  private let output: FileHandle

  public init(input: FileHandle, output: FileHandle) {
    reader = PipeReader(handle: input)
    self.output = output
  }

  /// The line with which the program begins.
  /// - Parameters:
  ///   - classes: How many the model tells apart.
  ///   - feedback: What it answers.
  ///   - version: Tells this model from others.
  ///   - largestBatch: The most images in a request; nil: any number.
  ///   - concurrency: How many requests it takes before it has answered the first.
  public func greet(
    classes: Int, feedback: Feedback, version: String, largestBatch: Int?, concurrency: Int = 1
  ) throws {
    try write(
      ProgramBlackBox.Greeting(
        classes: classes, feedback: feedback, version: version, largestBatch: largestBatch, concurrency: concurrency
      ))
  }

  /// The next request's shape and float32 pixels; nil where there are no more.
  /// - Throws: `InputError` if it does not follow the protocol.
  public func request() throws -> (shape: [Int], pixels: Data)? {
    guard let line = try reader.line() else { return nil }
    guard let shape = try? JSONDecoder().decode(ProgramBlackBox.Header.self, from: line).shape, shape.count == 4,
      let count = try? InferenceTensor.count(shape, at: ""), count > 0
    else { throw InputError("a request's first line cannot be read", at: "standard input") }
    guard let pixels = try reader.bytes(4 * count) else {
      throw InputError("a request ends within its pixels", at: "standard input")
    }
    return (shape, pixels)
  }

  /// Answers with float32 numbers of the shape `[N, classes]`, or int64 labels `[N]`.
  public func answer(_ data: Data, shape: [Int]) throws {
    try write(ProgramBlackBox.Header(shape: shape, datatype: shape.count == 1 ? "INT64" : "FP32"))
    try output.write(contentsOf: data)
  }

  /// Answers that something is wrong; after a ``TemporaryFailure`` the same may be asked again, after
  /// ``TooManyImages`` less.
  public func fail(_ error: any Error) throws {
    let failure = error as? TemporaryFailure
    try write(
      ProgramBlackBox.Header(
        error: "\(error)", temporary: failure.map { _ in true }, pause: failure?.pause, sent: failure?.wasSent,
        largestBatch: (error as? TooManyImages).map { $0.limit ?? 0 }))
  }

  private func write(_ line: some Encodable) throws {
    try output.write(contentsOf: JSONEncoder().encode(line) + Data("\n".utf8))
  }
}
