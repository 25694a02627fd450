import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

/// One operator on images `[2, 4, 6, 6]`, flattened.
private struct OneOperator {
  var sample: ONNXSample
  private var inputs = ["x"]

  init(opset: Int = 17) {
    sample = ONNXSample(opset: opset)
    sample.input("x", [nil, 4, 6, 6])
  }

  mutating func floats(_ tensor: Tensor) {
    inputs.append("w\(inputs.count)")
    sample.floats(inputs[inputs.count - 1], tensor.shape, tensor.array(Float.self))
  }

  mutating func integers(_ values: [Int], shape: [Int]? = nil) {
    inputs.append("w\(inputs.count)")
    sample.integers(inputs[inputs.count - 1], values, shape: shape)
  }

  mutating func none() { inputs.append("") }

  /// What the operator makes of `images`.
  mutating func result(
    _ type: String, _ attributes: KeyValuePairs<String, ONNXSample.Attribute> = [:], of images: Tensor
  ) throws -> Tensor {
    sample.node(type, inputs, ["y"], attributes)
    sample.node("Flatten", ["y"], ["z"])
    sample.output("z")
    let network = try ONNXModel(data: sample.data).network
    #expect(network.graph.input.sizes.first == 1...(.max))
    return try withoutGradient { try network.evaluate(images) }
  }
}

@Suite("Operators of ONNX") struct ONNXOperatorTests {
  private let images = Tensor.normal([2, 4, 6, 6], using: Generator(seed: 1))

  private func random(_ shape: [Int], _ seed: UInt64 = 2) -> Tensor { .normal(shape, using: Generator(seed: seed)) }

  private func expect(
    _ found: Tensor, _ expected: Tensor, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let expected = expected.reshaped([expected.size(0), -1])
    guard found.shape == expected.shape else {
      Issue.record("\(found.shape) in place of \(expected.shape)", sourceLocation: sourceLocation)
      return
    }
    #expect((found - expected).abs().max().item() < 1e-5, sourceLocation: sourceLocation)
  }

  private func padded(_ tensor: Tensor, top: Int, left: Int, bottom: Int, right: Int, _ value: Double) -> Tensor {
    let (n, c, h, w) = (tensor.size(0), tensor.size(1), tensor.size(2), tensor.size(3))
    let result = Tensor.full([n, c, h + top + bottom, w + left + right], value)
    result[TensorIndex.all, TensorIndex.all, top..<top + h, left..<left + w] = tensor
    return result
  }

  // MARK: - Convolutions and pools

  @Test("a convolution pads each side by itself, or so that its stride divides the size") func convolution() throws
  {
    let (weight, bias) = (random([3, 2, 3, 3]), random([3], 3))
    var model = OneOperator(opset: 11)
    model.floats(random([4, 2, 3, 3]))
    model.floats(random([4], 3))
    let attributes: KeyValuePairs<String, ONNXSample.Attribute> = [
      "pads": .integers([1, 0, 2, 1]), "strides": .integers([2, 1]), "group": .integer(2)
    ]
    let wide = padded(images, top: 1, left: 0, bottom: 2, right: 1, 0)
    expect(
      try model.result("Conv", attributes, of: images),
      wide.conv2d(random([4, 2, 3, 3]), bias: random([4], 3), stride: 1, padding: 0, groups: 2)[
        TensorIndex.all, TensorIndex.all, TensorIndex.every(2)])
    var same = OneOperator(opset: 9)
    let full = Tensor.concatenated([weight, weight], 1)
    same.floats(full)
    same.floats(bias)
    expect(
      try same.result("Conv", ["auto_pad": .text("SAME_UPPER"), "strides": .integers([2, 2])], of: images),
      padded(images, top: 0, left: 0, bottom: 1, right: 1, 0).conv2d(full, bias: bias, stride: 2, padding: 0))
  }

  @Test("a transposed convolution cuts its padding off each side") func transposed() throws {
    let weight = random([4, 3, 2, 2])
    var model = OneOperator()
    model.floats(weight)
    let found = try model.result(
      "ConvTranspose", ["strides": .integers([2, 2]), "pads": .integers([0, 1, 1, 0])], of: images)
    let full = images.convTranspose2d(weight, stride: 2, padding: 0)
    expect(found, full[TensorIndex.all, TensorIndex.all, 0..<11, 1..<12].contiguous())
  }

  @Test("pools leave the padding out of maxima and means") func pools() throws {
    var maximum = OneOperator()
    expect(
      try maximum.result(
        "MaxPool",
        ["kernel_shape": .integers([3, 3]), "strides": .integers([2, 2]), "pads": .integers([0, 0, 1, 1])],
        of: images), padded(images, top: 0, left: 0, bottom: 1, right: 1, -1e9).maxPool2d(3, stride: 2))
    var mean = OneOperator()
    let found = try mean.result(
      "AveragePool",
      ["kernel_shape": .integers([3, 3]), "strides": .integers([1, 1]), "pads": .integers([1, 0, 0, 0])],
      of: images)
    let sums = padded(images, top: 1, left: 0, bottom: 0, right: 0, 0).avgPool2d(3, stride: 1)
    let counts = padded(images.onesLike(), top: 1, left: 0, bottom: 0, right: 0, 0).avgPool2d(3, stride: 1)
    expect(found, sums / counts)
  }

  // MARK: - Norms

  @Test("norms take factors of channels, or of groups before opset 21") func norms() throws {
    let (weight, bias) = (random([2]), random([2], 3))
    func channels(_ x: Tensor) -> Tensor { Tensor.stacked([x, x], 1).reshaped([4]) }
    for (opset, factors) in [(18, (weight, bias)), (21, (channels(weight), channels(bias)))] {
      var model = OneOperator(opset: opset)
      model.floats(factors.0)
      model.floats(factors.1)
      expect(
        try model.result("GroupNormalization", ["num_groups": .integer(2)], of: images),
        images.groupNorm(2, weight: channels(weight), bias: channels(bias)))
    }
    var model = OneOperator()
    model.floats(random([6]))
    expect(
      try model.result("LayerNormalization", ["axis": .integer(-1), "epsilon": .real(1e-3)], of: images),
      images.layerNorm([6], weight: random([6]), bias: nil, epsilon: 1e-3))
    var local = OneOperator()
    let expected = images / (images.square() * (0.5 / 1) + 2).pow(0.75)
    expect(
      try local.result(
        "LRN", ["size": .integer(1), "alpha": .real(0.5), "beta": .real(0.75), "bias": .real(2)], of: images),
      expected)
  }

  // MARK: - Numbers by themselves

  @Test("activations take their constants from attributes or inputs") func activations() throws {
    var old = OneOperator(opset: 9)
    expect(
      try old.result("Clip", ["min": .real(-0.5), "max": .real(0.25)], of: images),
      images.clamped(to: -0.5...0.25))
    var new = OneOperator(opset: 13)
    new.none()
    new.floats(Tensor(0.25))
    expect(try new.result("Clip", of: images), images.clamped(to: ...0.25))
    var hard = OneOperator()
    expect(
      try hard.result("HardSigmoid", ["alpha": .real(0.25)], of: images), (images * 0.25 + 0.5).clamped(to: 0...1))
    var slopes = OneOperator()
    slopes.floats(random([4, 1, 1]))
    expect(
      try slopes.result("PRelu", of: images), images.relu() - (-images).relu() * random([1, 4, 1, 1]))
    var selu = OneOperator()
    let (alpha, gamma) = (1.67326319217681884765625, 1.05070102214813232421875)
    let negative = (-(-images).relu()).expm1() * alpha
    expect(try selu.result("Selu", of: images), (images.relu() + negative) * gamma)
  }

  @Test("a softmax is over the rest of the dimensions before opset 13, over one since") func softmaxes() throws {
    func distribution(_ opset: Int, _ axis: Int) throws -> Tensor {
      var model = OneOperator(opset: opset)
      return try model.result("Softmax", ["axis": .integer(axis)], of: images)
    }
    expect(try distribution(11, 1), images.reshaped([2, -1]).softmax(-1))
    expect(try distribution(13, 1), images.softmax(1))
  }

  @Test("arithmetic takes constants on either side") func arithmetic() throws {
    var sample = ONNXSample()
    sample.input("x", [nil, 4, 6, 6])
    sample.output("z")
    sample.floats("two", [], [2])
    sample.floats("half", [1], [0.5])
    sample.floats("rows", [6, 1], [1, 2, 3, 4, 5, 6])
    sample.node("Sub", ["two", "x"], ["a"])
    sample.node("Pow", ["a", "two"], ["b"])
    sample.node("Div", ["b", "rows"], ["c"])
    sample.node("Less", ["x", "half"], ["d"])
    sample.node("Where", ["d", "c", "rows"], ["e"])
    sample.node("Max", ["e", "half", "two"], ["f"])
    sample.node("Flatten", ["f"], ["z"])
    let found = try ONNXModel(data: sample.data).network.evaluate(images)
    let rows = Tensor([1, 2, 3, 4, 5, 6].map(Float.init), shape: [6, 1])
    let chosen = ((2 - images).square() / rows).choosing(where: images .< 0.5, otherwise: rows + images.zerosLike())
    expect(found, chosen.clamped(to: 2...))
  }

  // MARK: - Matrices and reductions

  @Test("matrix products keep weights as PyTorch's linear layers do") func products() throws {
    var sample = ONNXSample()
    sample.input("x", [nil, 4, 6, 6])
    sample.output("z")
    let (first, second) = (random([6, 5]), random([3, 5], 3))
    sample.floats("first", [6, 5], first.array(Float.self))
    sample.floats("second", [3, 5], second.array(Float.self))
    sample.floats("bias", [3], [1, 2, 3])
    sample.node("ReduceMean", ["x"], ["m"], ["axes": .integers([1, 2]), "keepdims": .integer(0)])
    sample.node("MatMul", ["m", "first"], ["h"])
    sample.node(
      "Gemm", ["h", "second", "bias"], ["z"], ["transB": .integer(1), "alpha": .real(0.5), "beta": .real(2)])
    let network = try ONNXModel(data: sample.data).network
    let hidden = images.mean([1, 2]).matmul(first)
    let bias = Tensor([Float(2), 4, 6])
    expect(try network.evaluate(images), hidden.matmul(second.transposed(0, 1)) * 0.5 + bias)
    #expect(network.parameters.map(\.tensor.shape) == [[5, 6], [3, 5], [3]])
  }

  @Test("reductions take axes from an attribute or an input") func reductions() throws {
    var old = OneOperator(opset: 11)
    expect(try old.result("ReduceSum", ["axes": .integers([-1])], of: images), images.sum([3]))
    var new = OneOperator(opset: 18)
    new.integers([2, -1])
    expect(
      try new.result("ReduceL2", ["keepdims": .integer(0)], of: images), images.square().sum([2, 3]).sqrt())
  }

  // MARK: - Shapes

  @Test("blocks of pixels become channels and back, in either order") func blocks() throws {
    for (mode, order) in [("DCR", [0, 3, 4, 1, 5, 2]), ("CRD", [0, 1, 4, 2, 5, 3])] {
      var model = OneOperator()
      let shape = mode == "DCR" ? [2, 2, 2, 1, 6, 6] : [2, 1, 2, 2, 6, 6]
      expect(
        try model.result("DepthToSpace", ["blocksize": .integer(2), "mode": .text(mode)], of: images),
        images.reshaped(shape).permuted(order))
    }
    var model = OneOperator()
    expect(
      try model.result("SpaceToDepth", ["blocksize": .integer(2)], of: images),
      images.reshaped([2, 4, 3, 2, 3, 2]).permuted([0, 3, 5, 1, 2, 4]))
  }

  @Test("slices run forwards and backwards") func slices() throws {
    var model = OneOperator()
    for values in [[1, -1], [Int.max, Int.min], [2, 3], [2, -1]] { model.integers(values) }
    let expected = images[TensorIndex.all, TensorIndex.all, 1...]
    let every = expected[TensorIndex.all, TensorIndex.all, TensorIndex.every(2)]
    let columns = (0..<6).reversed().map { every[TensorIndex.all, TensorIndex.all, TensorIndex.all, $0..<$0 + 1] }
    expect(try model.result("Slice", of: images), .concatenated(columns, 3).contiguous())
  }

  @Test("planes are resized to the nearest pixel or between pixels") func resizing() throws {
    var nearest = OneOperator(opset: 11)
    nearest.none()
    nearest.floats(Tensor([Float(1), 1, 2, 2]))
    expect(
      try nearest.result(
        "Resize", ["mode": .text("nearest"), "coordinate_transformation_mode": .text("asymmetric")], of: images),
      images.upsampledNearest(height: 12, width: 12))
    var linear = OneOperator(opset: 13)
    linear.none()
    linear.none()
    linear.integers([2, 4, 9, 9])
    expect(
      try linear.result(
        "Resize", ["mode": .text("linear"), "coordinate_transformation_mode": .text("pytorch_half_pixel")],
        of: images),
      images.upsampledBilinear(height: 9, width: 9))
  }

  @Test("weights that are quantized are worked out") func quantized() throws {
    var sample = ONNXSample()
    sample.input("x", [nil, 4, 6, 6])
    sample.output("z")
    sample.tensor("codes", [2, 4, 1, 1], type: 3, [ONNXSample.field(9, Data([1, 255, 2, 254, 4, 8, 16, 128]))])
    sample.tensor("zeros", [2], type: 3, [ONNXSample.field(9, Data([0, 1]))])
    sample.floats("scales", [2], [0.5, 0.25])
    sample.node("DequantizeLinear", ["codes", "scales", "zeros"], ["w"], ["axis": .integer(0)])
    sample.node("Conv", ["x", "w"], ["y"])
    sample.node("Flatten", ["y"], ["z"])
    let weight = Tensor([0.5, -0.5, 1, -1, 0.75, 1.75, 3.75, -32.25].map(Float.init), shape: [2, 4, 1, 1])
    expect(try ONNXModel(data: sample.data).network.evaluate(images), images.conv2d(weight))
  }
}
