import Foundation
import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchExport

/// A network to export, by what it is.
struct Subject: Sendable, CustomTestStringConvertible {
  var name: String
  var architecture: Architecture
  var testDescription: String { name }

  /// The network with batch-norm statistics and affine values as after training.
  func network() -> Network {
    let network = Network(architecture, seed: 5)
    let generator = Generator(seed: 9)
    withoutGradient {
      for entry in network.parameters where entry.tensor.rank == 1 {
        let mean = entry.name.hasSuffix("weight") ? 1.0 : 0
        entry.tensor.fillNormal(mean: mean, standardDeviation: 0.2, using: generator)
      }
      for entry in network.buffers where entry.tensor.rank == 1 {
        if entry.name.hasSuffix("running_var") {
          entry.tensor.fillUniform(0.5, 2, using: generator)
        } else {
          entry.tensor.fillNormal(standardDeviation: 0.3, using: generator)
        }
      }
    }
    return network
  }

  /// `count` images of noise.
  func images(_ count: Int) -> Tensor {
    .uniform([count] + architecture.inputShape, using: Generator(seed: 2))
  }
}

extension Subject {
  /// A network of the zoo that normalises its images.
  static func zoo(_ model: ModelName, _ input: [Int]) -> Subject {
    let channels = input[0]
    return Subject(
      name: "\(model.rawValue), \(input.map(String.init).joined(separator: "x"))",
      architecture: model.architecture(input: input, classes: 10).normalizing(
        mean: Array([0.49, 0.48, 0.45].prefix(channels)),
        standardDeviation: Array([0.25, 0.24, 0.26].prefix(channels))))
  }

  private static func made(
    _ name: String, _ input: [Int], _ build: (inout ArchitectureBuilder) -> Void
  ) -> Subject {
    var builder = ArchitectureBuilder(input: input)
    build(&builder)
    return Subject(name: name, architecture: builder.build(name))
  }

  /// What the zoo lacks, slimming makes, or only a file can hold.
  static let unusual = [
    made("scattered shortcuts", [3, 9, 7]) { net in
      var x = net.conv("conv", net.input, 5)
      x = net.append("scattered", .zeroPadShortcut(stride: 2, positions: [0, 2, 3, 6, 7], channels: 9), x)
      x = net.append("run", .zeroPadShortcut(stride: 1, positions: Array(2..<11), channels: 12), x)
      x = net.append("asymmetric", .zeroPadShortcut(stride: 2, positions: Array(0..<12), channels: 13), x)
      x = net.append("gaps", .zeroPadShortcut(stride: 1, positions: [0, 1] + Array(3..<14), channels: 15), x)
      _ = net.linear("fc", net.globalAverage(x), 4)
    },
    made("pools", [2, 11, 8]) { net in
      var x = net.append("max", .maxPool(kernel: 3, stride: 2, padding: 1), net.input)
      x = net.append("mean", .averagePool(kernel: 2, stride: 1), x)
      x = net.append("irregular", .adaptiveAveragePool(size: 4), net.conv("conv", x, 3, kernel: 2, bias: true))
      x = net.append("overlapping", .adaptiveAveragePool(size: 3), x)
      x = net.append("fc", .linear(Linear(inputs: 27, outputs: 5, bias: false)), net.append("flat", .flatten, x))
    },
    made("larger than its image", [3, 1, 1]) { net in
      _ = net.append("flat", .flatten, net.append("grown", .adaptiveAveragePool(size: 2), net.input))
    },
    made("groups, and batch norm of features", [4, 5, 5]) { net in
      let conv = Conv2d(inputs: 4, outputs: 6, kernel: 3, stride: 2, padding: 2, groups: 2, bias: true)
      var x = net.relu("relu", net.append("conv", .conv2d(conv), net.input))
      x = net.batchNorm("early", x)
      x = net.linear("fc1", net.globalAverage(x), 8)
      x = net.relu("relu1", net.batchNorm("bn1", x))
      x = net.append("again", .flatten, net.batchNorm("bn2", x))
      _ = net.append("minus", .subtract, net.linear("fc2", x, 3), net.linear("fc3", x, 3))
    },
    made("names that the graph uses", [1, 4, 4]) { net in
      var x = net.conv("images", net.input, 2)
      x = net.append("images/output", .zeroPadShortcut(stride: 2, positions: [0, 2], channels: 4), x)
      x = net.conv("logits", x, 2)
      x = net.relu("", x)
      x = net.append("images/output/output", .zeroPadShortcut(stride: 2, positions: [1, 2], channels: 4), x)
      _ = net.linear("fc", net.globalAverage(x), 3)
    },
    made("nothing but an input", [2, 3, 4]) { _ in }
  ]
}
