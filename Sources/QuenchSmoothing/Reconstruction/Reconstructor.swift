import QuenchTorch

extension Architecture {
  /// The reconstructor of Zhang et al. 2022 (`MNIST_CAE`, 14,993 parameters): from a ``Measurement`` of a 28×28 grey image
  /// to the image, by four convolutions to 8×2×2 and three transposed ones back, the last followed by tanh.
  public static var reconstructor: Architecture {
    var net = ArchitectureBuilder(input: [1, 28, 28])
    var x = net.input
    for (index, (channels, stride)) in [(16, 1), (32, 3), (16, 3), (8, 3)].enumerated() {
      x = net.conv("encoder.\(2 * index)", x, channels, kernel: 3, stride: stride, padding: 1, bias: true)
      x = net.relu("encoder.\(2 * index + 1)", x)
    }
    x = net.convTranspose("decoder.0", x, 16, kernel: 3, stride: 2)
    x = net.relu("decoder.1", x)
    x = net.convTranspose("decoder.2", x, 8, kernel: 5, stride: 3, padding: 1)
    x = net.relu("decoder.3", x)
    x = net.convTranspose("decoder.4", x, 1, kernel: 2, stride: 2, padding: 1)
    x = net.tanh("decoder.5", x)
    return net.build("reconstructor")
  }
}
