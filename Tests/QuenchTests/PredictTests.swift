import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench predict") struct PredictTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.write(ExportedSample.rooms(), "net.pt2")
    for index in 0..<3 {
      let planes = ExportedSample.roomsPixels(index)
      let pixels = (0..<1024).flatMap { pixel in (0..<3).map { planes[$0 * 1024 + pixel] } }
      try folder.write(
        PNG.encode(pixels: pixels, width: 32, height: 32, channels: 3), "pictures/\(["c", "a", "b"][index]).png")
    }
    let large = [UInt8]((0..<60 * 50 * 3).map { UInt8($0 % 251) })
    try folder.write(PNG.encode(pixels: large, width: 60, height: 50, channels: 3), "large.png")
  }

  private func predict(_ arguments: [String]) async throws -> Tool.Outcome {
    try await Tool.run(["predict"] + arguments + ["--threads", "1"], in: folder.url)
  }

  private func array(_ outcome: Tool.Outcome) throws -> [Record] {
    let value = try Value(json: Data(outcome.output.utf8), name: "standard output")
    guard case .array(let items) = value else { throw CocoaError(.coderInvalidValue) }
    return items.compactMap(\.record)
  }

  @Test("prints PyTorch's probabilities in the order of the names, and warns of a broken picture") func json()
    async throws
  {
    try folder.write(Data("no picture".utf8), "pictures/broken.png")
    let outcome = try await predict(["pictures", "--weights", "net.pt2", "--json", "--top", "10"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.errors.contains("warning: ") && outcome.errors.contains("broken.png"))
    #expect(outcome.errors.contains("no normalization is assumed"))
    let items = try array(outcome)
    #expect(items.map { $0["file"]?.string } == ["pictures/a.png", "pictures/b.png", "pictures/c.png"])
    for (item, index) in zip(items, [1, 2, 0]) {
      guard case .array(let top)? = item["top"] else { throw CocoaError(.coderInvalidValue) }
      let exponentials = try ExportedSample.roomsLogits()[index].map { exp($0) }
      let sum = exponentials.reduce(0, +)
      #expect(top.count == 10)
      for guess in top.compactMap(\.record) {
        let label = try #require(guess["class"]?.integer)
        #expect(abs(try #require(guess["probability"]?.number) - exponentials[label] / sum) < 1e-6)
        #expect(guess["label"] == .null)
      }
      let probabilities = top.compactMap { $0.record?["probability"]?.number }
      #expect(probabilities == probabilities.sorted(by: >))
    }
  }

  @Test("names classes by a file, resizes what is larger, and takes a model file alike") func labels() async throws
  {
    try folder.write(Data((0..<10).map { "class \($0)\n" }.joined().utf8), "labels.txt")
    let outcome = try await predict([
      "large.png", "pictures/a.png", "--weights", "net.pt2", "--classes", "labels.txt", "--mean", "0,0,0", "--std",
      "1,1,1", "--json"
    ])
    #expect(outcome.code == 0, "\(outcome.errors)")
    let items = try array(outcome)
    #expect(items.map { $0["file"]?.string } == ["large.png", "pictures/a.png"])
    guard case .array(let top)? = items[0]["top"], let first = top[0].record else {
      throw CocoaError(.coderInvalidValue)
    }
    let label = try #require(first["class"]?.integer)
    #expect(top.count == 5 && first["label"]?.string == "class \(label)")

    let imported = try await Tool.run(
      ["import", "net.pt2", "--mean", "none", "--classes", "labels.txt", "--out", "model.safetensors", "--json"],
      in: folder.url)
    #expect(imported.code == 0, "\(imported.errors)")
    let again = try await predict(["large.png", "pictures/a.png", "--weights", "model.safetensors", "--json"])
    #expect(again.output == outcome.output, "\(again.errors)")
    let text = try await predict(["pictures/a.png", "--weights", "model.safetensors", "--top", "1"])
    #expect(text.output.hasPrefix("pictures/a.png\n  ") && text.output.contains("class "))
  }

  @Test("takes Quench's own networks") func own() async throws {
    try ModelFixture.smallCNN().write(to: folder / "own.safetensors")
    let items = try array(try await predict(["pictures", "large.png", "--weights", "own.safetensors", "--json"]))
    #expect(items.count == 4)
  }

  @Test(
    "says in a line what is wrong",
    arguments: [
      (["none.png", "--weights", "net.pt2"], "none.png: there is no such file or folder"),
      (["net.pt2", "--weights", "net.pt2"], "net.pt2: "),
      (["large.png", "--weights", "net.pt2", "--image-size", "64"], "takes images of one size alone"),
      (
        ["large.png", "--weights", "net.pt2", "--classes", "one.txt"],
        "another number of classes than there are labels"
      ),
      (["large.png", "--weights", "net.pt2", "--resize", "20"], "resize: out of range")
    ])
  func refuses(_ arguments: [String], _ message: String) async throws {
    try folder.write(Data("one\n".utf8), "one.txt")
    let outcome = try await predict(arguments)
    #expect(outcome.code == 1 && outcome.errors.contains(message), "\(outcome.errors)")
  }
}
