import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite("ONNX models that are refused") struct ONNXRefusalTests {
  private func model(opset: Int = 17, input: [Int?] = [nil, 3, 4, 4], type: Int = 1) -> ONNXSample {
    var sample = ONNXSample(opset: opset)
    sample.input("x", input, type: type)
    sample.output("y")
    return sample
  }

  private func expect(
    _ data: Data, _ line: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: InputError.self, sourceLocation: sourceLocation) {
      try ONNXModel(data: data, name: "net.onnx")
    }
    #expect(error.map { "\($0)" } == line, sourceLocation: sourceLocation)
  }

  @Test(
    "name the operator, the node and what to do",
    arguments: [
      ("If", "the network has control flow; export a network that computes the same for all images"),
      ("LSTM", "the network is recurrent; import a network of images"),
      (
        "SequenceAt", "the network has lists of tensors; export a network of single tensors"
      ),
      (
        "QuantizeLinear",
        "what the network computes is quantized; import the network in float32, before it was quantized"
      ),
      ("Hardmax", "the operator is unknown; export the network without it, or as a .pt2 file"),
      ("TopK", "the network gives places, not logits; export a module that returns the logits alone")
    ])
  func operators(type: String, story: String) {
    var sample = model()
    sample.node(type, ["x"], ["y"], name: "head")
    expect(sample.data, "net.onnx, node 'head' (\(type)): \(story)")
  }

  @Test("name a foreign domain") func domain() {
    var sample = model()
    sample.node("FusedConv", ["x"], ["y"], domain: "com.microsoft")
    expect(
      sample.data,
      "net.onnx, node 'y' (FusedConv): the operator is no standard one (found domain com.microsoft); "
        + "export the network without custom operators")
  }

  @Test("say which input or output is wrong") func ends() {
    var two = model()
    two.input("mask", [nil])
    two.node("Flatten", ["x"], ["y"])
    expect(
      two.data,
      "net.onnx: the network takes several inputs (expected one, images [N, C, H, W], found x, mask); "
        + "export a network that takes the images alone")
    var integers = model(type: 7)
    integers.node("Flatten", ["x"], ["y"])
    expect(
      integers.data,
      "net.onnx, input 'x': the network takes no floating-point numbers (expected images [N, C, H, W] in float32, "
        + "found int64); export a network of images")
    var planes = model()
    planes.node("Relu", ["x"], ["y"])
    expect(
      planes.data,
      "net.onnx, output 'y': the output is no [N, classes] (expected logits of a classifier, found [1, 3, 4, 4] "
        + "float32); export a network that returns the logits alone")
  }

  @Test("say which version or which bytes can't be read") func files() {
    var old = model(opset: 8)
    old.node("Flatten", ["x"], ["y"])
    expect(
      old.data,
      "net.onnx: the operators' version is not known here (expected opset 9 to 21, found 8); "
        + "export the network with opset_version=17")
    expect(
      old.data.prefix(40),
      "net.onnx, byte 10: the ONNX model ends too early; the file is truncated: fetch or write it again")
    var short = model()
    short.floats("w", [2, 3, 1, 1], [1])
    short.node("Conv", ["x", "w"], ["c"])
    short.node("Flatten", ["c"], ["y"])
    expect(
      short.data,
      "net.onnx, tensor 'w': the tensor's data have the wrong length (expected 24 bytes for float32[2, 3, 1, 1], "
        + "found 4)")
    var text = model()
    text.tensor("w", [1], type: 8, [])
    text.node("Add", ["x", "w"], ["c"])
    text.node("Flatten", ["c"], ["y"])
    expect(
      text.data,
      "net.onnx, tensor 'w': the tensor has elements that no network here computes with (expected floating-point "
        + "numbers, integers or truth values, found string); export the network in float32")
  }

  @Test("bound what a file may ask for before it is made") func bounds() {
    var sample = model()
    sample.integers("shape", [1 << 20, 1 << 20])
    sample.node("ConstantOfShape", ["shape"], ["big"])
    sample.node("ReduceMean", ["big"], ["mean"])
    sample.node("Add", ["x", "mean"], ["c"])
    sample.node("Flatten", ["c"], ["y"])
    expect(
      sample.data,
      "net.onnx, node 'big' (ConstantOfShape): a result of the operator would be too large "
        + "(expected at most 268435456 numbers, found 1099511627776)")
  }
}
