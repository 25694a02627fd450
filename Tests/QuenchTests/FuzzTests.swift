import Foundation
import Fuzzing
import TestSupport
import Testing

@Suite("quench-fuzz") struct FuzzTests {
  @Test("finds no reader that a few hundred mutated files crash, stop or bloat") func everyReader() async throws {
    let result = try await Tool.run(["--iterations", "300"], program: "quench-fuzz")
    #expect(result.code == 0, "\(result.output)\(result.errors)")
    let lines = result.output.split(separator: "\n")
    #expect(lines.map { String($0.prefix { $0 != " " }) } == FuzzTarget.all.map(\.name))
    #expect(lines.allSatisfy { $0.contains(" 300 files: ") && $0.contains(", 0 findings") })
  }

  @Test("makes an input again and saves it") func again() async throws {
    let folder = try TemporaryFolder()
    let arguments = ["--target", "json", "--seed", "3", "--iteration", "17", "--save", "input"]
    let first = try await Tool.run(arguments, in: folder.url, program: "quench-fuzz")
    #expect(first.code == 0)
    #expect(first.output.hasPrefix("json, iteration 17: "))
    let saved = try Data(contentsOf: folder.url.appending(path: "input"))
    _ = try await Tool.run(arguments, in: folder.url, program: "quench-fuzz")
    #expect(try Data(contentsOf: folder.url.appending(path: "input")) == saved)
  }

  @Test("names the targets where it does not know one") func unknownTarget() async throws {
    let result = try await Tool.run(["--target", "xml"], program: "quench-fuzz")
    #expect(result.code == 1)
    #expect(result.errors.hasPrefix("error: --target: unknown target (expected idx, "))
  }
}
