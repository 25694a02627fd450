import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@testable import QuenchSmoothing

@Suite("A program as a black box") struct ProgramBlackBoxTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let python = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"]
    .first(where: FileManager.default.isExecutableFile)

  private func program(_ text: String) throws -> [String] {
    let file = folder / "\(UUID().uuidString).py"
    try Data(text.utf8).write(to: file)
    return [Self.python ?? "python3", file.path]
  }

  private static let mean = """
    import json, struct, sys
    inp, out = sys.stdin.buffer, sys.stdout.buffer
    out.write(b'{"classes": 2, "version": "7", "max_batch": 3}\\n'); out.flush()
    while line := inp.readline():
        n, *shape = json.loads(line)["shape"]
        size = 1
        for side in shape: size *= side
        values = [sum(struct.unpack(f"<{size}f", inp.read(4 * size))) / size for _ in range(n)]
        out.write(json.dumps({"shape": [n, 2], "datatype": "FP32"}).encode() + b"\\n")
        for value in values: out.write(struct.pack("<2f", value, 1 - value))
        out.flush()
    """

  @Test("It answers what the program computes", .enabled(if: python != nil, "there is no python3"))
  func answers() throws {
    let box = try ProgramBlackBox(try program(Self.mean))
    #expect(box.classes == 2 && box.version == "7" && box.largestBatch == 3 && box.feedback == .logits)
    let images = Tensor.uniform([3, 1, 4, 5], using: Generator(seed: 1))
    #expect(try box.answer(images).isClose(to: CountingBox().answer(images), relative: 1e-5, absolute: 1e-6))
    #expect(try box.answer(images[0..<1]).shape == [1, 2])
  }

  @Test(
    "A program that does not speak the protocol, ends or complains is told of",
    .enabled(if: python != nil, "there is no python3"),
    arguments: [
      ("print('hello')", "does not introduce itself"), ("pass", "ended before it answered"),
      ("print('{\"classes\": 2}', flush=True); input()", "ended before it answered"),
      ("print('{\"classes\": 2}'); print('{\"error\": \"busy\"}', flush=True); input()", "with an error: busy"),
      (
        "print('{\"classes\": 2}'); print('{\"shape\": [1, 3], \"datatype\": \"FP32\"}', flush=True); input()",
        "another number"
      )
    ]) func misbehaves(text: String, words: String) throws
  {
    #expect {
      _ = try ProgramBlackBox(try program(text)).answer(.zeros([1, 1, 2, 2]))
    } throws: { "\($0)".contains(words) }
  }

  @Test(
    "A program that takes several requests at once gets them so, and one may fail for a while",
    .enabled(if: python != nil, "there is no python3"))
  func several() throws {
    // It answers nothing before it has read two requests.
    let text = """
      import json, struct, sys
      inp, out = sys.stdin.buffer, sys.stdout.buffer
      out.write(b'{"classes": 1, "max_in_flight": 2}\\n'); out.flush()
      first, second = [(json.loads(inp.readline()), struct.unpack("<4f", inp.read(16))) for _ in range(2)]
      out.write(b'{"error": "busy", "temporary": true, "pause": 2.5, "sent": false}\\n')
      out.write(b'{"shape": [1, 1], "datatype": "FP32"}\\n' + struct.pack("<f", sum(second[1]))); out.flush()
      """
    let box = try ProgramBlackBox(try program(text))
    #expect(box.concurrency == 2)
    let answers = [Tensor.zeros([1, 1, 2, 2]), .ones([1, 1, 2, 2])].map { box.send($0) }
    #expect { _ = try answers[0]() } throws: {
      $0 as? TemporaryFailure == TemporaryFailure("busy", pause: 2.5, wasSent: false)
    }
    #expect(try answers[1]().array(Float.self) == [4])
  }

  @Test(
    "A program that says nothing, or takes nothing, is given up after the timeout",
    .enabled(if: python != nil, "there is no python3"),
    arguments: ["", "print('{\"classes\": 2}', flush=True); "])
  func silent(beginning: String) throws {
    #expect {
      let box = try ProgramBlackBox(try program("import time; \(beginning)time.sleep(600)"), timeout: 1)
      _ = try box.answer(.zeros([64, 3, 32, 32]))
    } throws: {
      "\($0)".contains("the program does not answer (expected an answer within 1.0 seconds)")
        && "\($0)".contains("raise timeout")
    }
  }

  @Test("A program's limit of images that shows when it is met is learned", .enabled(if: python != nil))
  func limit() throws {
    let text = Self.mean.replacing(
      "while line",
      with: """
        out.flush()
        while line
        """
    ).replacing(
      "    size = 1\n",
      with: """
            size = 1
            for side in shape: size *= side
            if n > 2:
                inp.read(4 * n * size)
                out.write(b'{"error": "too many", "max_batch": 2}\\n'); out.flush(); continue
            size = 1

        """
    ).replacing(", \"max_batch\": 3", with: "")
    let metered = MeteredBlackBox(try ProgramBlackBox(try program(text)), ledger: nil)
    let images = Tensor.uniform([7, 1, 4, 5], using: Generator(seed: 1))
    let answers = try metered.answer(images, for: .base)
    #expect(answers.isClose(to: try CountingBox().answer(images), relative: 1e-5, absolute: 1e-6))
    #expect(metered.batchSize == 2)
  }

  @Test("What a program in Swift writes, a black box reads")
  func swiftProgram() throws {
    let (requests, answers) = (Pipe(), Pipe())
    let pipe = ProgramProtocol(input: requests.fileHandleForReading, output: answers.fileHandleForWriting)
    try requests.fileHandleForWriting.write(
      contentsOf: Data("{\"shape\": [1, 1, 1, 2], \"datatype\": \"FP32\"}\n".utf8) + Data(count: 8)
        + Data("{\"shape\": [1, 1, 1, -2]}\n".utf8))
    let request = try #require(try pipe.request())
    #expect(request.shape == [1, 1, 1, 2] && request.pixels == Data(count: 8))
    #expect { _ = try pipe.request() } throws: { "\($0)".contains("first line cannot be read") }
    try pipe.greet(classes: 3, feedback: .logits, version: "7", largestBatch: nil, concurrency: 2)
    try pipe.fail(TemporaryFailure("busy", pause: 1))
    try pipe.fail(InputError("no"))
    try pipe.fail(TooManyImages("too many", limit: 4))
    let reader = PipeReader(handle: answers.fileHandleForReading)
    let greeting = try #require(try reader.line())
    #expect(try JSONDecoder().decode(ProgramBlackBox.Greeting.self, from: greeting).concurrency == 2)
    for (isTemporary, error) in [(true, "busy"), (nil, "no")] {
      let line = try #require(try reader.line())
      let header = try JSONDecoder().decode(ProgramBlackBox.Header.self, from: line)
      #expect(header.temporary == isTemporary && header.error == error && header.largestBatch == nil)
    }
    let line = try #require(try reader.line())
    #expect(try JSONDecoder().decode(ProgramBlackBox.Header.self, from: line).largestBatch == 4)
  }
}
