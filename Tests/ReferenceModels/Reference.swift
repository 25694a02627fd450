import QuenchTorch

/// The deterministic models of the reference cases: every weight and pixel is exact in float32.
public enum Reference {
  /// Element k, row-major: (((a·k + b) mod m) - ⌊m/2⌋) / s.
  public static func fill(_ shape: [Int], _ a: Int, _ b: Int, _ m: Int, _ s: Int) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float((a * $0 + b) % m - m / 2) / Float(s) }, shape: shape)
  }

  /// Element k: (((a·k + b) mod 193) + 32) / 256.
  public static func images(_ shape: [Int], _ a: Int, _ b: Int) -> Tensor {
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { Float((a * $0 + b) % 193 + 32) / 256 }, shape: shape)
  }

  /// Three images of 1 x 2 x 4.
  public static func linearInputs() -> Tensor { images([3, 1, 2, 4], 57, 10) }
  public static let linearLabels = [1, 4, 4]

  /// z = W x + β on eight pixels.
  public static func linearNetwork() -> Network {
    var builder = ArchitectureBuilder(input: [1, 2, 4])
    _ = builder.linear("fc", builder.append("flatten", .flatten, builder.input), 5)
    return network(builder.build("lin"), [fill([5, 8], 37, 11, 64, 32), fill([5], 13, 5, 32, 64)])
  }

  /// Eight images of 3 x 8 x 8.
  public static func convolutionalInputs() -> Tensor { images([8, 3, 8, 8], 73, 29) }
  public static let convolutionalLabels = [5, 8, 7, 0, 2, 4, 1, 3]

  /// Two convolutions with ReLU (nodes 2 and 4), average pooling (node 5), and a linear layer.
  public static func convolutionalNetwork() -> Network {
    var builder = ArchitectureBuilder(input: [3, 8, 8])
    var x = builder.relu("relu1", builder.conv("conv1", builder.input, 4, bias: true))
    x = builder.relu("relu2", builder.conv("conv2", x, 6, bias: true))
    x = builder.append("pool", .averagePool(kernel: 2, stride: 2), x)
    _ = builder.linear("fc", builder.append("flatten", .flatten, x), 10)
    return network(
      builder.build("cnn"),
      [
        fill([4, 3, 3, 3], 77, 6, 61, 32), fill([4], 5, 3, 16, 64), fill([6, 4, 3, 3], 37, 31, 53, 32),
        fill([6], 7, 1, 16, 64), fill([10, 96], 35, 37, 59, 32), fill([10], 11, 2, 32, 64)
      ])
  }

  private static func network(_ architecture: Architecture, _ values: [Tensor]) -> Network {
    let network = Network(architecture, seed: 0)
    withoutGradient { for (entry, value) in zip(network.parameters, values) { entry.tensor.copy(from: value) } }
    return network
  }
}
