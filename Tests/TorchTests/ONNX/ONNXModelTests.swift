import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite("ONNX models") struct ONNXModelTests {
  /// A convolution, a mean over the planes, and a softmax.
  private func classifier(
    opset: Int = 17, input: [Int?] = [nil, 3, 8, 8], weights: (inout ONNXSample) -> Void = Self.weights
  ) -> ONNXSample {
    var sample = ONNXSample(opset: opset)
    sample.input("x", input)
    sample.output("y", [nil, 2])
    weights(&sample)
    sample.node("Conv", ["x", "conv.weight"], ["c"], name: "/conv/Conv")
    sample.node("GlobalAveragePool", ["c"], ["p"])
    sample.node("Flatten", ["p"], ["f"])
    sample.node("Softmax", ["f"], ["y"], ["axis": .integer(1)])
    return sample
  }

  private static let values: [Float] = [1, 2, 3, -1, 0.5, 4]
  private static func weights(_ sample: inout ONNXSample) { sample.floats("conv.weight", [2, 3, 1, 1], values) }

  private let images = Tensor.normal([3, 3, 8, 8], using: Generator(seed: 4))
  private var logits: Tensor {
    images.mean([2, 3]).matmul(Tensor(Self.values, shape: [2, 3]).transposed(0, 1))
  }

  private func isNear(_ a: Tensor, _ b: Tensor) -> Bool { a.shape == b.shape && (a - b).abs().max().item() < 1e-5 }

  @Test("give logits: a softmax at the end is left out, and told") func softmax() throws {
    let model = try ONNXModel(data: classifier().data)
    #expect(isNear(try model.network.evaluate(images), logits))
    #expect(model.notes == ["its last operator, Softmax, is left out: the network gives logits"])
    #expect(model.network.parameters.map(\.name) == ["conv.weight"])
    #expect(model.network.graph.nodes.first?.module == "conv")
  }

  @Test("keep weights in every form that there is") func forms() throws {
    func bits(_ shift: Int) -> [Int] { Self.values.map { Int($0.bitPattern >> shift) } }
    let halves: [UInt16] = [0x3C00, 0x4000, 0x4200, 0xBC00, 0x3800, 0x4400]
    let raw = Self.values.withUnsafeBytes { Data($0) }
    let packed = halves.map(Int.init).reduce(Data()) { $0 + ONNXSample.varint($1) }
    let brief = bits(16).reduce(Data()) { $0 + ONNXSample.varint($1) }
    let forms: [(type: Int, field: Data)] = [
      (1, ONNXSample.field(4, raw)), (10, ONNXSample.field(5, packed)), (16, ONNXSample.field(5, brief)),
      (10, ONNXSample.field(9, halves.withUnsafeBytes { Data($0) }))
    ]
    for (type, field) in forms {
      var sample = ONNXSample()
      sample.input("x", [nil, 3, 8, 8])
      sample.output("f")
      sample.tensor("stored", [2, 3, 1, 1], type: type, [field])
      sample.node("Cast", ["stored"], ["w"], ["to": .integer(1)])
      sample.node("Conv", ["x", "w"], ["c"])
      sample.node("ReduceMean", ["c"], ["f"], ["axes": .integers([2, 3]), "keepdims": .integer(0)])
      #expect(isNear(try ONNXModel(data: sample.data).network.evaluate(images), logits), "type \(type)")
    }
  }

  @Test("take weights from a file beside them, and from no other") func external() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data(count: 8) + Self.values.withUnsafeBytes { Data($0) }, "net.data")
    func model(_ location: String, offset: Int = 8) throws -> ONNXModel {
      let sample = classifier { sample in
        let entries = [("location", location), ("offset", "\(offset)"), ("length", "24")].map { key, value in
          ONNXSample.field(13, ONNXSample.field(1, key) + ONNXSample.field(2, value))
        }
        sample.tensor("conv.weight", [2, 3, 1, 1], type: 1, entries + [ONNXSample.field(14, 1)])
      }
      try folder.write(sample.data, "net.onnx")
      return try ONNXModel(contentsOf: folder / "net.onnx")
    }
    #expect(isNear(try model("net.data").network.evaluate(images), logits))
    for (location, offset, story) in [
      ("../net.data", 8, "not beside the model"), ("/etc/passwd", 8, "not beside the model"),
      ("none.data", 8, "the file that holds the weights is missing"),
      ("net.data", 9, "reaches beyond its file")
    ] {
      let error = #expect(throws: InputError.self) { try model(location, offset: offset) }
      #expect("\(error.map { "\($0)" } ?? "")".contains(story))
    }
  }

  @Test("take [N, H, W, C] behind a transpose") func channelsLast() throws {
    var sample = ONNXSample(opset: 9)
    sample.input("x", [nil, 8, 8, 3])
    sample.output("f")
    Self.weights(&sample)
    sample.node("Transpose", ["x"], ["t"], ["perm": .integers([0, 3, 1, 2])])
    sample.node("Conv", ["t", "conv.weight"], ["c"])
    sample.node("GlobalAveragePool", ["c"], ["p"])
    sample.node("Squeeze", ["p"], ["f"], ["axes": .integers([2, 3])])
    let model = try ONNXModel(data: sample.data)
    #expect(model.network.architecture.inputShape == [3, 8, 8])
    #expect(isNear(try model.network.evaluate(images), logits))
    #expect(model.notes == ["the model takes [N, H, W, C]; a transpose is put in front"])
  }

  @Test("of single images take any number where nothing hangs on one") func freedBatch() throws {
    func model(_ batch: Int) throws -> ONNXModel {
      var sample = ONNXSample()
      sample.input("x", [1, 3, 8, 8])
      sample.output("f")
      sample.integers("shape", [batch, 3, 64])
      sample.floats("token", [1, 3, 1], [0, 0, 0])
      sample.floats("w", [3, 2], [1, -1, 2, 0.5, 3, 4])
      sample.node("Reshape", ["x", "shape"], ["r"])
      sample.node("Concat", ["r", "token"], ["j"], ["axis": .integer(2)])
      sample.node("ReduceMean", ["j"], ["m"], ["axes": .integers([2]), "keepdims": .integer(0)])
      sample.node("MatMul", ["m", "w"], ["f"])
      return try ONNXModel(data: sample.data)
    }
    let free = try model(1)
    #expect(free.network.graph.input.sizes[0] == 1...(.max) && free.notes.isEmpty)
    #expect(isNear(try free.network.evaluate(images), logits * (64.0 / 65)))
  }

  @Test("follow the images' size where the file leaves it free") func freeSides() throws {
    var sample = ONNXSample()
    sample.input("x", [nil, 3, nil, nil])
    sample.output("f")
    Self.weights(&sample)
    sample.integers("zero", [0], shape: [])
    sample.integers("first", [0])
    sample.integers("rest", [2, -1])
    sample.node("Conv", ["x", "conv.weight"], ["c"])
    sample.node("Shape", ["x"], ["s"])
    sample.node("Gather", ["s", "zero"], ["n"])
    sample.node("Unsqueeze", ["n", "first"], ["u"])
    sample.node("Concat", ["u", "rest"], ["shape"], ["axis": .integer(0)])
    sample.node("Reshape", ["c", "shape"], ["r"])
    sample.node("ReduceMean", ["r"], ["f"], ["axes": .integers([2]), "keepdims": .integer(0)])
    let model = try ONNXModel(data: sample.data)
    #expect(model.network.architecture.inputShape == [3, 224, 224])
    #expect(model.notes == ["the file leaves the images' size free: 224 x 224 pixels are taken"])
    #expect(isNear(try model.network.evaluate(images), logits))
  }

  @Test("train their batch norms and dropout") func training() throws {
    var sample = classifier()
    for (name, value) in [("n.weight", 2.0), ("n.bias", 1.0), ("n.running_mean", 0.0), ("n.running_var", 1.0)] {
      sample.floats(name, [2], [Float(value), Float(value)])
    }
    sample.node(
      "BatchNormalization", ["f", "n.weight", "n.bias", "n.running_mean", "n.running_var"], ["b"],
      ["momentum": .real(0.75), "epsilon": .real(1e-5)])
    sample.node("Dropout", ["b"], ["d"])
    sample.output("d", [nil, 2])
    let model = try ONNXModel(data: named(sample))
    let network = model.network
    #expect(isNear(try network.evaluate(images), logits * (2 / (1 + 1e-5).squareRoot()) + 1))
    network.isTraining = true
    _ = try network.evaluate(images)
    let mean = try #require(network.buffers.first { $0.name == "n.running_mean" }).tensor
    #expect(isNear(mean, logits.mean([0]) * 0.25))
    #expect(network.graph.nodes.last?.target == "aten::dropout")
  }

  /// The sample without its first output.
  private func named(_ sample: ONNXSample) -> Data {
    var copy = sample
    copy.outputs.removeFirst()
    return copy.data
  }

  @Test("take the only output that can be logits") func outputs() throws {
    var sample = classifier()
    sample.output("c", [nil, 2, 8, 8])
    let model = try ONNXModel(data: sample.data)
    #expect(isNear(try model.network.evaluate(images), logits))
    #expect(model.notes.first == "of its outputs y, c the network gives 'y', the only [N, classes]")
    sample.output("f", [nil, 2])
    let error = #expect(throws: InputError.self) { try ONNXModel(data: sample.data) }
    #expect(error?.problem == "the network has several outputs, of which not one alone can be logits")
  }
}
