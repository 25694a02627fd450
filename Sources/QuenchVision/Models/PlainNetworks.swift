import QuenchTorch

extension Architecture {
  /// Four 3×3 convolutions with batch norm, two poolings, one linear layer.
  public static func smallCNN(input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.input
    for (index, width) in [16, 32, 32, 64].enumerated() {
      x = net.conv("conv\(index + 1)", x, width)
      x = net.relu("relu\(index + 1)", net.batchNorm("bn\(index + 1)", x))
      if index % 2 == 1 { x = net.append("pool\(index / 2 + 1)", .maxPool(kernel: 2, stride: 2, padding: 0), x) }
    }
    x = net.linear("fc", net.globalAverage(x), classes)
    return net.build("small-cnn", initialization: .init(convolution: .kaimingFanIn))
  }

  /// DnCNN (Zhang et al. 2017): predicts the noise and subtracts it; answers an image of the input's shape.
  /// - Parameters:
  ///   - input: `[channels, height, width]` of one image.
  ///   - depth: Convolutions.
  ///   - width: Channels between them.
  ///   - norm: What of the batch norms differs from PyTorch's usual: their epsilon and momentum.
  public static func dnCNN(
    input: [Int], depth: Int = 17, width: Int = 64, norm: (epsilon: Double, momentum: Double) = (1e-5, 0.1)
  ) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.relu("dncnn.1", net.conv("dncnn.0", net.input, width, bias: true))
    var index = 2
    for _ in 0..<depth - 2 {
      var layer = BatchNorm(channels: width)
      (layer.epsilon, layer.momentum) = norm
      x = net.append("dncnn.\(index + 1)", .batchNorm(layer), net.conv("dncnn.\(index)", x, width))
      x = net.relu("dncnn.\(index + 2)", x)
      index += 3
    }
    x = net.conv("dncnn.\(index)", x, input[0])
    x = net.append("residual", .subtract, net.input, x)
    return net.build("dncnn", initialization: .init(convolution: .kaimingFanIn))
  }
}
