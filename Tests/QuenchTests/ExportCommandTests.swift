import Foundation
import QuenchReporting
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("quench export") struct ExportCommandTests {
  private let folder: TemporaryFolder
  private let weights: URL
  private let network: Network

  /// A file of weights of which every tenth is left.
  init() throws {
    folder = try TemporaryFolder()
    weights = folder / "model.safetensors"
    let architecture = ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 2)
    network = Network(architecture.normalizing(mean: [0.3], standardDeviation: [0.4]), seed: 1)
    withoutGradient {
      for index in network.prunable {
        let weight = network.parameters[index].tensor
        let kept = Tensor.arange(to: Double(weight.count), dtype: .float32).reshaped(weight.shape)
        weight.copy(from: weight * ((kept - (kept * 0.1).floor() * 10) .== 0))
      }
    }
    try ModelFile(network, classNames: ["cat", "dog"]).write(to: weights)
  }

  private func export(_ format: String, _ more: String...) async throws -> Tool.Outcome {
    try await Tool.run(["export", "--weights", weights.path, "--format", format] + more, in: folder.url)
  }

  private func size(_ name: String) throws -> Int { try Data(contentsOf: folder / name).count }

  @Test("writes a packed file that every command reads, and a plain one from it") func sparse() async throws {
    let outcome = try await export("sparse", "--out", "packed", "--json")
    #expect(outcome.code == 0, "\(outcome.errors)")
    let summary = try outcome.json()
    #expect(summary["model"] == "small-cnn")
    #expect(summary["format"] == "sparse")
    #expect(summary["bytes_before"] == .int(try size("model.safetensors")))
    #expect(summary["bytes_after"] == .int(try size("packed")))
    #expect(try size("packed") * 3 < size("model.safetensors"))
    let zeros = network.prunable.reduce(0) {
      $0 + network.parameters[$1].tensor.count - network.parameters[$1].tensor.nonzeroCount()
    }
    #expect(summary["zero_weights"] == .int(zeros))

    let described = try await Tool.run(["models", "describe", "--weights", "packed", "--json"], in: folder.url)
    #expect(try described.json()["zero_weights"] == .int(zeros))
    let back = try await Tool.run(
      ["export", "--weights", "packed", "--format", "safetensors", "--out", "plain"], in: folder.url)
    #expect(back.code == 0, "\(back.errors)")
    let file = try ModelFile(contentsOf: folder / "plain")
    #expect(file.classNames == ["cat", "dog"])
    #expect(file.network.architecture == network.architecture)
    for (mine, theirs) in zip(network.state, file.network.state) {
      #expect(mine.name == theirs.name && mine.tensor.isEqual(to: theirs.tensor), "\(mine.name)")
    }
  }

  @Test("writes ONNX, tells both sizes and that zeros make it no smaller") func onnx() async throws {
    let outcome = try await export("onnx", "--out", "model.onnx")
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.errors == "")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines[0].hasPrefix("network  small-cnn, "))
    #expect(lines[1].hasSuffix("bytes  \(weights.path)"))
    #expect(lines[2].contains("model.onnx, "))
    #expect(lines[3].contains("neither smaller nor faster"))
    let unfolded = try await export("onnx", "--no-fold", "--out", "unfolded.onnx", "--quiet")
    #expect(unfolded.code == 0)
    #expect(try size("unfolded.onnx") > size("model.onnx"))
  }

  @Test("leaves a file that exists alone, unless it is forced") func existing() async throws {
    try Data("mine".utf8).write(to: folder / "notes")
    let refused = try await export("onnx", "--out", "notes")
    #expect(refused.code == 1)
    #expect(
      refused.errors == "error: notes: the file exists; choose another name, or overwrite it with --force\n")
    #expect(try Data(contentsOf: folder / "notes") == Data("mine".utf8))
    #expect(try await export("onnx", "--out", "notes", "--force").code == 0)
    #expect(try size("notes") > 4)
    #expect(try await export("sparse", "--out", weights.path, "--force").code == 0, "onto itself")
    #expect(try await export("sparse", "--out", "again").output.contains("Nothing got smaller"))
    #expect(try ModelFile(contentsOf: weights).network.state.count == network.state.count)
  }

  @Test("takes bare weights where it is told what they are of") func bare() async throws {
    try Safetensors.write(network.state, to: weights)
    let unnamed = try await export("onnx", "--out", "a.onnx")
    #expect(unnamed.code == 1)
    #expect(unnamed.errors.contains("--model"))
    let named = ["--model", "small-cnn", "--input", "1x8x8", "--classes", "2"]
    let plain = try await Tool.run(
      ["export", "--weights", weights.path, "--format", "onnx", "--out", "b.onnx"] + named, in: folder.url)
    #expect(plain.code == 0)
    #expect(plain.errors.contains("no normalization is assumed"))
    let normalized = try await Tool.run(
      ["export", "--weights", weights.path, "--format", "safetensors", "--out", "c", "--data", "mnist"] + named,
      in: folder.url)
    #expect(normalized.code == 0)
    #expect(normalized.errors.contains("assumed are the statistics of mnist: the mean 0.1307"))
    let architecture = try ModelFile(contentsOf: folder / "c").network.architecture
    #expect(architecture.mean.map { Float($0) } == [0.1307])
    for data in ["cifar10", "synthetic"] {
      let wrong = try await Tool.run(
        ["export", "--weights", weights.path, "--format", "onnx", "--out", "d", "--data", data] + named,
        in: folder.url)
      #expect(wrong.code == 1)
      #expect(wrong.errors.contains("--data: "))
    }
  }

  @Test("ends in one line where a file cannot be read or written") func unreadable() async throws {
    for arguments in [
      ["--weights", "absent", "--out", "a"], ["--weights", weights.path, "--out", "no/such/folder"]
    ] {
      let outcome = try await Tool.run(["export", "--format", "onnx"] + arguments, in: folder.url)
      #expect(outcome.code == 1)
      #expect(outcome.output == "")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }
  }

  @Test(
    "wrong usage ends with exit code 64 and names the flag",
    arguments: [
      (["--format", "tflite", "--out", "a"], "tflite"), (["--format", "onnx"], "--out"),
      (["--out", "a"], "--format"),
      (["--format", "sparse", "--out", "a", "--no-fold"], "--no-fold"),
      (["--format", "onnx", "--out", "a", "--classes", "2"], "--classes"),
      (["--format", "onnx", "--out", "a", "--model", "resnet20", "--classes", "0"], "--classes")
    ])
  func usage(_ arguments: [String], _ word: String) async throws {
    let outcome = try await Tool.run(["export", "--weights", "w"] + arguments)
    #expect(outcome.code == 64)
    #expect(outcome.errors.contains(word), "\(outcome.errors)")
  }

  @Test("help has examples") func help() async throws {
    let outcome = try await Tool.run(["export", "--help"])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("Examples:\n  quench export "))
  }
}
