import Foundation
import QuenchReporting
import Testing

@Suite("quench bench") struct BenchCommandTests {
  @Test("measures training, inference and the plan") func table() async throws {
    let command = [
      "bench", "--model", "small-cnn", "--input", "1x8x8", "--batch-size", "4", "--seconds", "0", "--threads", "1",
      "--precision", "float32", "--quiet"
    ]
    let result = try await Tool.run(command + ["--json"])
    #expect(result.code == 0, "\(result.errors)")
    let record = try result.json()
    let rows = try #require(record["rows"]?.array).compactMap(\.record)
    #expect(rows.compactMap { $0["task"]?.string } == ["train", "infer", "infer, plan"])
    for row in rows {
      let speed = try #require(row["images_per_second"]?.number)
      let milliseconds = try #require(row["milliseconds"]?.number)
      #expect(abs(speed * milliseconds / 4000 - 1) < 1e-6)
    }
    let text = try await Tool.run(command).output
    #expect(text.hasPrefix("small-cnn, 1x8x8, batches of 4, cpu, 1 threads\n\ntask "))
  }

  @Test("serve answers each line with a line of JSON and ends at quit") func serve() async throws {
    let lines =
      "infer channels-last-float32 1\ninfer plan-float32 1\ninfer plan-float32 0\nsing\nmemory\nquit\nmemory\n"
    let result = try await Tool.run(["bench", "serve", "--threads", "1"], input: lines)
    #expect(result.code == 0, "\(result.errors)")
    let answers = try result.output.split(separator: "\n").map { line in
      try #require(try Value(json: Data(line.utf8), name: "answer").record)
    }
    #expect(answers.count == 5)
    for answer in answers.prefix(2) {
      #expect((answer["images_per_second"]?.number ?? 0) > 0)
      #expect((answer["peak_memory_mb"]?.number ?? 0) > 1)
    }
    #expect(answers[2]["error"]?.string == "not a command: infer plan-float32 0")
    #expect(answers[3]["error"]?.string == "not a command: sing")
    #expect(answers[4]["version"]?.string?.contains("LibTorch 2.") == true)
  }

  @Test("wrong usage ends with exit code 64", arguments: [["--batch-size", "1"], ["--model", "dncnn"]])
  func usage(_ arguments: [String]) async throws {
    #expect(try await Tool.run(["bench"] + arguments).code == 64)
  }
}
