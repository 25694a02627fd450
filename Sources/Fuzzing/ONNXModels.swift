import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport

extension FuzzTarget {
  /// ONNX models; those that take small images also compute.
  static let onnxModel = FuzzTarget(name: "onnx-model", seeds: [ONNXSeeds.plain, ONNXSeeds.shapes]) { data in
    let network = try ONNXModel(data: data, name: "model", largestValue: 1 << 18).network
    let shape = network.graph.input.example
    guard shape.allSatisfy({ $0 <= 64 }) else { return }
    _ = try withoutGradient { try network.evaluate(.zeros(shape)) }
    try network.measure()
  }
}

private enum ONNXSeeds {
  /// What convolutional networks are made of.
  static let plain: Data = {
    var model = ONNXSample(opset: 13)
    model.input("x", [nil, 3, 6, 6])
    model.output("y", [nil, 2])
    model.floats("w", [4, 3, 3, 3], (0..<108).map { Float($0 % 7) / 7 })
    model.floats("a", [4], [1, 1, 1, 1])
    model.floats("b", [4], [0, 0, 0, 1])
    model.tensor("v", [2, 4], type: 1, [ONNXSample.field(4, Data(count: 32))])
    model.node(
      "Conv", ["x", "w", "a"], ["c"],
      ["pads": .integers([1, 1, 1, 1]), "strides": .integers([2, 2]), "dilations": .integers([1, 1])])
    model.node("BatchNormalization", ["c", "a", "b", "b", "a"], ["n"], ["epsilon": .real(1e-5)])
    model.node("Clip", ["n"], ["r"])
    model.node(
      "MaxPool", ["r"], ["p"],
      ["kernel_shape": .integers([2, 2]), "strides": .integers([1, 1]), "pads": .integers([0, 0, 1, 1])])
    model.node("AveragePool", ["p"], ["q"], ["kernel_shape": .integers([2, 2]), "ceil_mode": .integer(1)])
    model.node("GlobalAveragePool", ["q"], ["g"])
    model.node("Flatten", ["g"], ["f"])
    model.node("Gemm", ["f", "v"], ["l"], ["transB": .integer(1), "alpha": .real(0.5)])
    model.node("Softmax", ["l"], ["y"], ["axis": .integer(1)])
    return model.data
  }()

  /// Arithmetic with shapes, and what moves data.
  static let shapes: Data = {
    var model = ONNXSample(opset: 11)
    model.input("x", [1, 6, 6, 3])
    model.output("y")
    for (name, values) in [
      ("zero", [0]), ("rest", [3, -1]), ("one", [1]), ("two", [2]), ("last", [5]),
      ("pads", [0, 0, 0, 0, 0, 0, 1, 1])
    ] { model.integers(name, values) }
    model.floats("scales", [4], [1, 1, 2, 2])
    model.floats("token", [1, 3, 1], [1, 2, 3])
    model.node("Transpose", ["x"], ["t"], ["perm": .integers([0, 3, 1, 2])])
    model.node("Resize", ["t", "", "scales"], ["u"], ["mode": .text("nearest"), "nearest_mode": .text("floor")])
    model.node("Pad", ["u", "pads"], ["d"])
    model.node("Slice", ["d", "one", "last", "two", "two"], ["s"])
    model.node("Shape", ["s"], ["h"])
    model.node("Gather", ["h", "zero"], ["n"])
    model.node("Concat", ["n", "rest"], ["k"], ["axis": .integer(0)])
    model.node("Reshape", ["s", "k"], ["r"])
    model.node("Concat", ["r", "token"], ["j"], ["axis": .integer(2)])
    model.node("Split", ["j"], ["j1", "j2", "j3"], ["axis": .integer(1)])
    model.node("Constant", [], ["m"], ["value": .tensor(shape: [1], [0.5])])
    model.node("Less", ["j1", "m"], ["b"])
    model.node("Where", ["b", "j2", "j3"], ["o"])
    model.node("Unsqueeze", ["o"], ["q"], ["axes": .integers([0])])
    model.node("Squeeze", ["q"], ["z"], ["axes": .integers([0])])
    model.node("Mul", ["z", "j"], ["v"])
    model.node("ReduceMean", ["v"], ["y"], ["axes": .integers([2]), "keepdims": .integer(0)])
    return model.data
  }()
}
