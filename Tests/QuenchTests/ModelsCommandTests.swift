import Foundation
import QuenchReporting
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("quench models") struct ModelsCommandTests {
  private func json(_ arguments: [String]) async throws -> Record {
    let result = try await Tool.run(arguments + ["--json"])
    #expect(result.code == 0, "\(result.errors)")
    return try result.json()
  }

  @Test("list gives every network with its sizes") func list() async throws {
    let models = try #require(try await json(["models", "list"])["models"]?.array).compactMap(\.record)
    #expect(models.compactMap { $0["name"]?.string } == ModelName.allCases.map(\.rawValue))
    let resnet = try #require(models.first { $0["name"] == "resnet20" })
    #expect(resnet["parameters"] == 269_722)
    #expect(resnet["multiply_adds"] == 40_551_040)
    let text = try await Tool.run(["models", "list"]).output
    #expect(text.contains("resnet20                269,722      40,551,040  CIFAR"))
  }

  @Test("describe goes layer by layer and adds up") func describe() async throws {
    let record = try await json(["models", "describe", "small-cnn", "--input", "1x28x28", "--classes", "7"])
    #expect(record["input"] == [1, 28, 28])
    #expect(record["output"] == [7])
    let layers = try #require(record["layers"]?.array).compactMap(\.record)
    for key in ["parameters", "multiply_adds"] {
      #expect(layers.compactMap { $0[key]?.integer }.reduce(0, +) == record[key]?.integer)
    }
    let conv = try #require(layers.first { $0["name"] == "conv2" })
    #expect(conv["shape"] == [32, 28, 28])
    #expect(conv["parameters"] == .int(16 * 32 * 9))
    #expect(conv["multiply_adds"] == .int(16 * 32 * 9 * 28 * 28))
    #expect(record["prunable_weights"] == .int(9 * (16 + 16 * 32 + 32 * 32 + 32 * 64) + 64 * 7))
  }

  @Test("describe counts the zeros of a file of weights") func weights() async throws {
    let folder = try TemporaryFolder()
    let network = Network(ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 2), seed: 1)
    withoutGradient { network.parameters[0].tensor.fill(with: 0) }
    let url = folder.url.appending(path: "model.safetensors")
    try ModelFile(network, classNames: ["cat", "dog"]).write(to: url)
    let record = try await json(["models", "describe", "--weights", url.path])
    #expect(record["zero_weights"] == .int(16 * 9))
    #expect(record["classes"] == ["cat", "dog"])
    #expect(record["input"] == [1, 8, 8])
    let text = try await Tool.run(["models", "describe", "--weights", url.path]).output
    #expect(text.contains("zero weights      144, "))
  }

  @Test("describe refuses images that are too small, and files that are no weights") func refusals() async throws {
    let small = try await Tool.run(["models", "describe", "vgg16-bn", "--input", "3x4x4"])
    #expect(small.code == 1)
    #expect(small.errors == "error: --input: the images do not suit vgg16-bn (found 3x4x4)\n")
    let folder = try TemporaryFolder()
    try Data("no weights at all".utf8).write(to: folder.url.appending(path: "model.safetensors"))
    let file = try await Tool.run(["models", "describe", "--weights", "model.safetensors"], in: folder.url)
    #expect(file.code == 1)
    #expect(file.errors.hasPrefix("error: "))
    #expect(file.errors.contains("model.safetensors"))
  }

  @Test(
    "wrong usage ends with exit code 64",
    arguments: [
      ["models", "describe"], ["models", "describe", "resnet21"],
      ["models", "describe", "resnet20", "--input", "32"],
      ["models", "describe", "resnet20", "--input", "3x0x32"], ["models", "describe", "resnet20", "--classes", "0"]
    ])
  func usage(_ arguments: [String]) async throws {
    #expect(try await Tool.run(arguments).code == 64)
  }
}
