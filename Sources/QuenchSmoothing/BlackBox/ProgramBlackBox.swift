import Foundation
import QuenchSupport
import QuenchTorch

/// A model behind a program that answers on its standard output what it reads on its standard input: any language, any
/// library, any service that such a program calls.
///
/// The program begins by writing one line of JSON, `{"classes": 10, "feedback": "logits", "version": "7"}`, with
/// `"max_batch": n` where it has a limit. Then, for every request, it reads a line `{"shape": [N, C, H, W],
/// "datatype": "FP32"}` and the pixels, little-endian and in row-major order, and writes a line `{"shape": [N, classes],
/// "datatype": "FP32"}` (for labels `{"shape": [N], "datatype": "INT64"}`) and the numbers in the same form; or a line
/// `{"error": "what is wrong"}`, with `"temporary": true` if the same request may be answered later, `"pause": seconds`
/// if it is known when, and `"sent": false` if nobody has counted it; with `"max_batch": n` if so many images at once
/// would be answered (0: fewer than these). It ends when its input ends, and is ended when this process is gone.
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
  private let writer: PipeWriter
  private let reader: PipeReader

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
    var largestBatch: Int?

    enum CodingKeys: String, CodingKey {
      case shape, datatype, error, temporary, pause, sent
      case largestBatch = "max_batch"
    }
  }

  /// Becomes the program, which Ctrl-C does not reach: who asks ends it. A watcher beside it ends it should this
  /// process (`$0`) be gone without a word; the kernel then gives the program another parent. The watcher holds copies
  /// of this process's files, by one of which Foundation learns of the program's end: it must not outlive the program,
  /// which is a zombie (`Z`) until then.
  private static let start = """
    trap '' INT
    isChild() {
      [ -r /proc/$$/status ] || { kill -0 "$0"; return; }
      while read -r key value; do
        case "$key$value" in
          State:Z*) exit 0 ;;
          "PPid:$0") return 0 ;;
        esac
      done < /proc/$$/status
      return 1
    }
    ( (
      while isChild; do kill -0 $$ || exit 0; sleep 1; done
      kill $$; sleep 2; kill -9 $$
    ) </dev/null >/dev/null 2>&1 & )
    exec "$@"
    """

  /// Starts the program.
  /// - Parameters:
  ///   - command: The program and its arguments.
  ///   - timeout: Seconds in which it must introduce itself and answer each request; nil: any time.
  /// - Throws: `InputError` if it cannot be started, or does not introduce itself.
  public init(_ command: [String], timeout: Double? = nil) throws {
    signal(SIGPIPE, SIG_IGN)  // a program that ended shows as an error of the write
    name = command.first ?? "no program"
    process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", Self.start, "\(getpid())"] + command
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    do { try Self.run(process) } catch {
      throw InputError("the program cannot be started: \(error.localizedDescription)", at: name)
    }
    self.input = input.fileHandleForWriting
    writer = PipeWriter(self.input, seconds: timeout)
    reader = PipeReader(handle: output.fileHandleForReading, seconds: timeout)
    let introduction: Data?
    do { introduction = try reader.line() } catch {
      kill(process.processIdentifier, SIGKILL)
      throw Self.silent(name, error)
    }
    guard let line = introduction else { throw Self.ended(name) }
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

  /// A child takes over which signals its parent's thread blocks: it must be possible to end it.
  private static func run(_ process: Process) throws {
    var (ending, before) = (sigset_t(), sigset_t())
    sigemptyset(&ending)
    sigaddset(&ending, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &ending, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    try process.run()
  }

  /// Ends a program that was given up: it may not listen any more.
  private func end() { kill(process.processIdentifier, SIGKILL) }

  deinit {
    try? input.close()
    process.terminate()
  }

  public func answer(_ images: Tensor) throws -> Tensor { try send(images)() }

  public func send(_ images: Tensor) -> PendingAnswer {
    do {
      let header = try JSONEncoder().encode(Header(shape: images.shape, datatype: "FP32"))
      // A program that takes no more is over: reading tells what it still said, or that it ended.
      if try !writer.write(header + Data("\n".utf8) + images.to(.float32).data()) { end() }
    } catch {
      end()
      let problem = Self.silent(name, error)
      return { throw problem }
    }
    return { [self] in
      do { return try read(for: images) } catch {
        guard error is PipeDeadline.Passed else { throw error }
        end()
        throw Self.silent(name, error)
      }
    }
  }

  private func read(for images: Tensor) throws -> Tensor {
    guard let line = try reader.line() else { throw Self.ended(name) }
    guard let header = try? JSONDecoder().decode(Header.self, from: line) else {
      throw InputError(
        "the program does not answer by the protocol", at: name,
        found: "'\(String(decoding: line.prefix(80), as: UTF8.self))'")
    }
    if let error = header.error {
      if let limit = header.largestBatch { throw TooManyImages(error, limit: limit > 0 ? limit : nil) }
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
    guard let data = try reader.bytes(count) else { throw Self.ended(name) }
    return data.withUnsafeBytes { Tensor(bytes: $0, shape: shape, dtype: dtype) }.to(images.device)
  }

  /// What a wait that was given up is told as.
  private static func silent(_ name: String, _ error: any Error) -> any Error {
    guard let passed = error as? PipeDeadline.Passed else { return error }
    return InputError(
      "the program does not answer", at: name, expected: "an answer within \(passed.seconds) seconds",
      remedy: "see what it does, or raise timeout")
  }

  private static func ended(_ name: String) -> InputError {
    InputError("the program ended before it answered", at: name, remedy: "see what it says above")
  }
}
