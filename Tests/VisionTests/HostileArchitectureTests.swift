import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchTorch
@testable import QuenchVision

@Suite("An architecture from a file") struct HostileArchitectureTests {
  /// As files of Quench 0.1 hold it.
  private func architecture(_ layers: (Layer, [Int])..., input: [Int] = [2, 4, 4]) throws -> Data {
    var list = LayerList(name: "made up", nodes: [.init(name: "input", layer: .input(shape: input), inputs: [])])
    for (index, (layer, inputs)) in layers.enumerated() {
      list.nodes.append(.init(name: "node\(index + 1)", layer: layer, inputs: inputs))
    }
    return try JSONEncoder().encode(list)
  }

  @Test("is refused where its sizes fit no integer or no memory")
  func sizes() throws {
    let huge = 1 << 20
    let cases = try [
      architecture(input: [huge, huge, huge]),
      architecture(input: []),
      architecture((.conv2d(Conv2d(inputs: 2, outputs: 2, kernel: 1, stride: .max)), [0])),
      architecture((.zeroPadShortcut(stride: .max, positions: [0, 1], channels: 2), [0])),
      architecture(
        (.conv2d(Conv2d(inputs: 2, outputs: huge, kernel: 1)), [0]), (.adaptiveAveragePool(size: 1024), [1])),
      architecture(
        (.conv2d(Conv2d(inputs: 2, outputs: huge, kernel: 1)), [0]),
        (.conv2d(Conv2d(inputs: huge, outputs: huge, kernel: 1)), [1]))
    ]
    for architecture in cases {
      #expect(throws: InputError.self) { try Architecture(json: architecture, at: "file").validate(at: "file") }
    }
  }

  @Test("of every known network is accepted", arguments: ModelName.allCases) func known(_ name: ModelName) throws {
    try name.architecture(input: [3, 224, 224], classes: 1000).validate(at: "file")
  }

  @Test("that asks for more parameters than its file has is refused before memory is taken") func liar() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("model.safetensors")
    let lie = try architecture((.conv2d(Conv2d(inputs: 2, outputs: 1 << 20, kernel: 64)), [0]), input: [2, 64, 64])
    try Architecture(json: lie, at: "file").validate(at: "file")
    let json = String(decoding: lie, as: UTF8.self)
    let state = StateDictionary([("node1.weight", Tensor([Float(1)]))])
    try Safetensors.write(state, metadata: ["quench.architecture": json], to: url)
    let memory = ProcessMemory.peakBytes
    let error = inputError { try ModelFile(contentsOf: url) }
    #expect(error?.found == "1 numbers")
    #expect(ProcessMemory.peakBytes - memory < 64 << 20)
  }
}
