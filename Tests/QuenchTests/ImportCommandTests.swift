import Foundation
import Fuzzing
import QuenchReporting
import QuenchTorch
import QuenchVision
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

  @Test("shows an ONNX model, and writes it as a model file that computes the same") func onnx() async throws {
    let folder = try TemporaryFolder()
    try folder.write(try #require(FuzzTarget.named("onnx-model").seeds.first), "net.onnx")
    let result = try await Tool.run(["import", "net.onnx", "--json", "--out", "model.safetensors"], in: folder.url)
    #expect(try result.json()["inputs"] == [["name": "x", "shape": [nil, 3, 6, 6], "dtype": "float32"]])
    #expect(
      result.errors.contains("note: net.onnx: its last operator, Softmax, is left out: the network gives logits\n"))
    let images = Tensor.normal([2, 3, 6, 6], using: Generator(seed: 1))
    let networks = try ["net.onnx", "model.safetensors"].map { try ModelFile(contentsOf: folder / $0).network }
    #expect(try networks[0].evaluate(images).isEqual(to: networks[1].evaluate(images)))
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
