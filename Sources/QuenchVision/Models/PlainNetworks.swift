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

  /// VGG-16 with batch norm for small images: four poolings, a 2×2 average grid, three linear layers of 256.
  public static func vgg16BN(input: [Int], classes: Int) -> Architecture {
    var net = ArchitectureBuilder(input: input)
    var x = net.input
    var index = 0
    for (stage, widths) in [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]].enumerated() {
      if stage > 0 {
        x = net.append("features.\(index)", .maxPool(kernel: 2, stride: 2, padding: 0), x)
        index += 1
      }
      for width in widths {
        x = net.append(
          "features.\(index)", .conv2d(Conv2d(inputs: x.channels, outputs: width, kernel: 3, padding: 1)), x)
        x = net.batchNorm("features.\(index + 1)", x)
        x = net.relu("features.\(index + 2)", x)
        index += 3
      }
    }
    x = net.append("flatten", .flatten, net.append("avgpool", .adaptiveAveragePool(size: 2), x))
    x = net.relu("classifier.1", net.linear("classifier.0", x, 256))
    x = net.relu("classifier.3", net.linear("classifier.2", x, 256))
    x = net.linear("classifier.4", x, classes)
    return net.build("vgg16-bn", initialization: .init(convolution: .kaimingFanOut, linear: .smallNormal))
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
