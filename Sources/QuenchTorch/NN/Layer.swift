/// One operation that ``ArchitectureBuilder`` puts into a graph, and as which files of Quench 0.1 hold it.
public enum Layer: Hashable, Codable, Sendable {
  /// The images, `[channels, height, width]`.
  case input(shape: [Int])
  case conv2d(Conv2d)
  case convTranspose2d(ConvTranspose2d)
  case batchNorm(BatchNorm)
  case linear(Linear)
  case relu
  case sigmoid
  case tanh
  case maxPool(kernel: Int, stride: Int, padding: Int)
  case averagePool(kernel: Int, stride: Int)
  /// The mean over a grid of `size` × `size` parts.
  case adaptiveAveragePool(size: Int)
  /// `[C, H, W]` → `[C·H·W]`.
  case flatten
  /// The sum of two values of one shape.
  case add
  /// The first value minus the second.
  case subtract
  /// The parameter-free shortcut of the CIFAR ResNets (He et al. 2016, option A): every `stride`-th pixel, input
  /// channel `i` becoming output channel `positions[i]` of `channels`, the others zero.
  case zeroPadShortcut(stride: Int, positions: [Int], channels: Int)

  /// What files call the operators.
  enum CodingKeys: String, CodingKey, CaseIterable {
    case input, conv2d, convTranspose2d, batchNorm, linear, relu, sigmoid, tanh, maxPool, averagePool
    case adaptiveAveragePool, flatten, add, subtract, zeroPadShortcut
  }
}

/// A two-dimensional convolution with a square kernel.
public struct Conv2d: Hashable, Codable, Sendable {
  public var inputs: Int
  public var outputs: Int
  public var kernel: Int
  public var stride = 1
  public var padding = 0
  public var groups = 1
  public var bias = false

  public init(
    inputs: Int, outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, groups: Int = 1, bias: Bool = false
  ) {
    self.inputs = inputs
    self.outputs = outputs
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.groups = groups
    self.bias = bias
  }

  var weightShape: [Int] { [outputs, inputs / groups, kernel, kernel] }
}

/// A transposed two-dimensional convolution with a square kernel: what undoes a ``Conv2d``'s change of size.
public struct ConvTranspose2d: Hashable, Codable, Sendable {
  public var inputs: Int
  public var outputs: Int
  public var kernel: Int
  public var stride = 1
  public var padding = 0
  public var bias = true

  public init(inputs: Int, outputs: Int, kernel: Int, stride: Int = 1, padding: Int = 0, bias: Bool = true) {
    self.inputs = inputs
    self.outputs = outputs
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.bias = bias
  }

  var weightShape: [Int] { [inputs, outputs, kernel, kernel] }
}

/// Batch normalisation over channels.
public struct BatchNorm: Hashable, Codable, Sendable {
  public var channels: Int
  public var epsilon = 1e-5
  public var momentum = 0.1

  public init(channels: Int) { self.channels = channels }
}

/// A fully connected layer.
public struct Linear: Hashable, Codable, Sendable {
  public var inputs: Int
  public var outputs: Int
  public var bias = true

  public init(inputs: Int, outputs: Int, bias: Bool = true) {
    self.inputs = inputs
    self.outputs = outputs
    self.bias = bias
  }
}

extension Layer {
  /// What the layer learns, by PyTorch's names: `weight`, `bias`.
  var parameters: [(name: String, shape: [Int])] {
    switch self {
    case .conv2d(let conv):
      [("weight", conv.weightShape)] + (conv.bias ? [("bias", [conv.outputs])] : [])
    case .convTranspose2d(let conv):
      [("weight", conv.weightShape)] + (conv.bias ? [("bias", [conv.outputs])] : [])
    case .linear(let linear):
      [("weight", [linear.outputs, linear.inputs])] + (linear.bias ? [("bias", [linear.outputs])] : [])
    case .batchNorm(let norm): [("weight", [norm.channels]), ("bias", [norm.channels])]
    case .input, .relu, .sigmoid, .tanh, .maxPool, .averagePool, .adaptiveAveragePool, .flatten, .add, .subtract,
      .zeroPadShortcut:
      []
    }
  }

  /// What the layer keeps beside that, by PyTorch's names.
  var buffers: [(name: String, shape: [Int], dtype: DType)] {
    guard case .batchNorm(let norm) = self else { return [] }
    return [
      ("running_mean", [norm.channels], .float32), ("running_var", [norm.channels], .float32),
      ("num_batches_tracked", [], .int64)
    ]
  }

  /// How many values it reads.
  var arity: Int {
    switch self {
    case .input: 0
    case .add, .subtract: 2
    case .conv2d, .convTranspose2d, .batchNorm, .linear, .relu, .sigmoid, .tanh, .maxPool, .averagePool,
      .adaptiveAveragePool, .flatten, .zeroPadShortcut:
      1
    }
  }

  /// Whether values of these shapes can be read, and its own sizes make sense.
  func accepts(_ inputs: [[Int]]) -> Bool {
    let first = inputs.first ?? []
    func fits(_ kernel: Int, _ stride: Int, _ padding: Int) -> Bool {
      first.count == 3 && (1...1 << 10).contains(kernel) && (1...1 << 10).contains(stride)
        && (0...kernel).contains(padding)
        && first.dropFirst().allSatisfy { $0 + 2 * padding >= kernel }
    }
    switch self {
    case .input: return false
    case .conv2d(let conv):
      return fits(conv.kernel, conv.stride, conv.padding) && first[0] == conv.inputs && conv.groups > 0
        && (1...1 << 20).contains(conv.outputs) && conv.inputs % conv.groups == 0 && conv.outputs % conv.groups == 0
    case .convTranspose2d(let conv):
      return first.count == 3 && first[0] == conv.inputs && (1...1 << 20).contains(conv.outputs)
        && (1...1 << 10).contains(conv.kernel) && (1...1 << 10).contains(conv.stride)
        && (0...conv.kernel).contains(conv.padding)
        && first.dropFirst().allSatisfy { ($0 - 1) * conv.stride + conv.kernel > 2 * conv.padding }
    case .linear(let linear): return first == [linear.inputs] && (1...1 << 24).contains(linear.outputs)
    case .batchNorm(let norm): return first.first == norm.channels
    case .maxPool(let kernel, let stride, let padding):
      return fits(kernel, stride, padding) && padding <= kernel / 2
    case .averagePool(let kernel, let stride): return fits(kernel, stride, 0)
    case .adaptiveAveragePool(let size): return first.count == 3 && (1...1 << 10).contains(size)
    case .flatten, .relu, .sigmoid, .tanh: return true
    case .add, .subtract: return inputs[0] == inputs[1]
    case .zeroPadShortcut(let stride, let positions, let channels):
      return first.count == 3 && (1...1 << 10).contains(stride) && (1...1 << 20).contains(channels)
        && positions.count == first[0]
        && positions == Array(Set(positions)).sorted() && positions.allSatisfy((0..<channels).contains)
    }
  }

  /// The shape of one sample after the layer.
  func outputShape(_ inputs: [[Int]]) -> [Int] {
    let first = inputs.first ?? []
    func spatial(_ kernel: Int, _ stride: Int, _ padding: Int) -> [Int] {
      first.dropFirst().map { ($0 + 2 * padding - kernel) / stride + 1 }
    }
    switch self {
    case .input(let shape): return shape
    case .conv2d(let conv): return [conv.outputs] + spatial(conv.kernel, conv.stride, conv.padding)
    case .convTranspose2d(let conv):
      return [conv.outputs] + first.dropFirst().map { ($0 - 1) * conv.stride + conv.kernel - 2 * conv.padding }
    case .linear(let linear): return [linear.outputs]
    case .maxPool(let kernel, let stride, let padding): return [first[0]] + spatial(kernel, stride, padding)
    case .averagePool(let kernel, let stride): return [first[0]] + spatial(kernel, stride, 0)
    case .adaptiveAveragePool(let size): return [first[0], size, size]
    case .flatten: return [first.reduce(1, *)]
    case .zeroPadShortcut(let stride, _, let channels):
      return [channels] + first.dropFirst().map { ($0 + stride - 1) / stride }
    case .batchNorm, .relu, .sigmoid, .tanh, .add, .subtract: return first
    }
  }

  /// Multiply-adds for one sample: those of convolutions and linear layers, as the field counts them.
  func multiplyAdds(outputShape: [Int]) -> Int {
    switch self {
    case .conv2d(let conv): conv.weightShape.reduce(1, *) * outputShape.dropFirst().reduce(1, *)
    case .convTranspose2d(let conv):
      outputShape.dropFirst().reduce(conv.weightShape.reduce(1, *)) { product, side in
        product * ((side + 2 * conv.padding - conv.kernel) / conv.stride + 1)
      }
    case .linear(let linear): linear.inputs * linear.outputs
    case .input, .batchNorm, .relu, .sigmoid, .tanh, .maxPool, .averagePool, .adaptiveAveragePool, .flatten, .add,
      .subtract, .zeroPadShortcut:
      0
    }
  }
}
