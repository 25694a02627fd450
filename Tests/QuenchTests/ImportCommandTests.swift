import Foundation
import Fuzzing
import QuenchReporting
import TestSupport
import Testing

@Suite("quench import") struct ImportCommandTests {
  /// A mean over 3 x 2 x 2 pixels and a linear layer to two classes.
  private func program() throws -> Data { try #require(FuzzTarget.named("exported-program").seeds.first) }

  @Test("shows what a program takes, gives and costs") func shows() async throws {
    let folder = try TemporaryFolder()
    try folder.write(try program(), "net.pt2")
    let record = try await Tool.run(["import", "net.pt2", "--json"], in: folder.url).json()
    #expect(record["inputs"] == [["name": "x", "shape": [nil, 3, 2, 2], "dtype": "float32"]])
    #expect(record["outputs"] == [["name": "y", "shape": [nil, 2]]])
    #expect(
      record["operators"] == [
        "aten::linear": 1, "aten::mean.dim": 1, "aten::mul.Tensor": 1, "aten::reshape": 1, "aten::sym_size.int": 1
      ])
    #expect(record["parameters"] == 8 && record["multiply_adds"] == 6)
    let text = try await Tool.run(["import", "net.pt2"], in: folder.url)
    #expect(text.output.contains("input          N (1 to 64) x 3 x 2 x 2, float32\nclasses        2\n"))
    #expect(text.code == 0)
  }

  @Test("says in a line why a file can't be read") func refuses() async throws {
    let folder = try TemporaryFolder()
    try folder.write(try program().prefix(1000), "net.pt2")
    let result = try await Tool.run(["import", "net.pt2"], in: folder.url)
    #expect(result.code == 1)
    #expect(result.errors.hasPrefix("error: ") && result.errors.split(separator: "\n").count == 1)
    #expect(result.errors.contains("net.pt2: the zip file has no directory at its end"))
    #expect(try await Tool.run(["import"], in: folder.url).code == 64)
  }
}
