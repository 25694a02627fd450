import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The networks that can be built, and what a file of weights holds.
struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List the networks, or describe one layer by layer.",
    discussion: """
      Examples:
        quench models list
        quench models describe resnet20 --input 1x28x28
        quench models describe --weights runs/train/model.safetensors
      """,
    subcommands: [ModelsListCommand.self, ModelsDescribeCommand.self])
}

struct ModelsListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the networks with their sizes.",
    discussion: """
      Sizes are those for 3 x 32 x 32 images of 10 classes; names that end in
      -imagenet and torchvision's own: 3 x 224 x 224, 1000 classes. Weights of torchvision's
      ResNets and of pytorch-cifar-models also load by the plain name.

      Examples:
        quench models list
        quench models list --json
      """)

  @OptionGroup var output: OutputOptions

  func run() throws {
    let sizes = ModelName.allCases.map { ($0, NetworkSize(of: $0.usualArchitecture)) }
    let table = Table(
      "Networks",
      columns: [.text("name"), .number("parameters"), .number("multiply-adds"), .text("what it is")],
      rows: sizes.map { name, size in
        [
          .init(name.rawValue), .init(NetworkSize.text(size.parameters)),
          .init(NetworkSize.text(size.multiplyAdds)),
          .init(name.summary)
        ]
      })
    let records = sizes.map { name, size -> Value in
      var record: Record = ["name": .string(name.rawValue), "summary": .string(name.summary)]
      record.merge(size.record)
      return .object(record)
    }
    output.printResult(["models": .array(records)], table.text)
  }
}

struct ModelsDescribeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe", abstract: "Describe a network layer by layer: shapes, parameters, multiply-adds.",
    discussion: """
      With --weights, the network is that of the file, and its zeros are counted; a
      file that does not say which network its weights belong to needs the name, the
      input and the number of classes as well.

      Examples:
        quench models describe resnet20
        quench models describe resnet18-imagenet --input 3x224x224 \\
          --classes 1000 --json
        quench models describe --weights runs/prune/model.safetensors
      """)

  @ArgumentParser.Argument(help: "The network; 'quench models list' describes them.")
  var name: ModelName?

  @Option(help: "Size of its images: channels x height x width, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "Number of classes.")
  var classes: Int?

  @Option(help: ArgumentHelp("A file of weights to describe.", valueName: "file"), completion: .file())
  var weights: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard name != nil || weights != nil else { throw ValidationError("Name a network, or a file with --weights.") }
    if let classes, !(1...100_000).contains(classes) { throw ValidationError("--classes must be 1 to 100000.") }
  }

  func run() throws {
    let named = try name.map { try NamedNetwork($0, input: input?.sizes, classes: classes) }
    let file = try weights.map { try ModelFile(contentsOf: URL(filePath: $0), named: named) }
    if let file, let weights { file.tell(output.console, at: weights) }
    guard let architecture = try file?.network.architecture ?? named?.architecture() else { return }
    let size = NetworkSize(of: architecture)
    let zeros = file.map { Self.zeros(of: $0.network) }

    var record: Record = [
      "name": .string(architecture.name), "input": .array(architecture.inputShape.map { .int($0) }),
      "output": .array(architecture.outputShape.map { .int($0) })
    ]
    record.merge(size.record)
    record["zero_weights"] = zeros.map { .int($0) }
    record["classes"] = file.map { .array($0.classNames.map { .string($0) }) }
    record["layers"] = .array(size.layers.map { .object($0.record) })
    output.printResult(record, text(architecture, size, zeros: zeros, classNames: file?.classNames ?? []))
  }

  private func text(_ architecture: Architecture, _ size: NetworkSize, zeros: Int?, classNames: [String]) -> String
  {
    var lines = [
      "\(architecture.name): \(ImageShape.text(architecture.inputShape)) in, "
        + "\(ImageShape.text(architecture.outputShape)) out",
      "parameters        \(NetworkSize.text(size.parameters))",
      "prunable weights  \(NetworkSize.text(size.prunableWeights))",
      "multiply-adds     \(NetworkSize.text(size.multiplyAdds))"
    ]
    if let zeros {
      let share = NumberText.percent(Double(zeros) / Double(max(size.prunableWeights, 1)))
      lines.append("zero weights      \(NetworkSize.text(zeros)), \(share) of the prunable ones")
    }
    if !classNames.isEmpty { lines.append("classes           " + classNames.joined(separator: ", ")) }
    return lines.joined(separator: "\n") + "\n\n" + size.table.text
  }

  /// Prunable weights that are zero.
  static func zeros(of network: Network) -> Int {
    network.prunable.reduce(0) {
      $0 + network.parameters[$1].tensor.count - network.parameters[$1].tensor.nonzeroCount()
    }
  }
}

/// What an architecture costs, in all and layer by layer.
struct NetworkSize {
  struct Layer {
    var name: String
    var kind: String
    /// Of one sample's output.
    var shape: [Int]
    var parameters: Int
    var multiplyAdds: Int

    var record: Record {
      [
        "name": .string(name), "kind": .string(kind), "shape": .array(shape.map { .int($0) }),
        "parameters": .int(parameters), "multiply_adds": .int(multiplyAdds)
      ]
    }
  }

  var layers: [Layer]
  var prunableWeights: Int

  init(of architecture: Architecture) {
    layers = zip(architecture.nodes, architecture.shapes).map { node, shape in
      Layer(
        name: node.name, kind: node.layer.kind, shape: shape,
        parameters: node.layer.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) },
        multiplyAdds: node.layer.multiplyAdds(outputShape: shape))
    }
    prunableWeights = architecture.nodes.filter(\.layer.isPrunable).reduce(0) { sum, node in
      sum + node.layer.prunable.reduce(0) { $0 + $1.shape.reduce(1, *) }
    }
  }

  var parameters: Int { layers.reduce(0) { $0 + $1.parameters } }
  var multiplyAdds: Int { layers.reduce(0) { $0 + $1.multiplyAdds } }

  var record: Record {
    [
      "parameters": .int(parameters), "prunable_weights": .int(prunableWeights), "multiply_adds": .int(multiplyAdds)
    ]
  }

  var table: Table {
    Table(
      "Layers",
      columns: [
        .text("layer"), .text("kind"), .text("output"), .number("parameters"), .number("multiply-adds")
      ],
      rows: layers.map { layer in
        [
          .init(layer.name), .init(layer.kind), .init(ImageShape.text(layer.shape)),
          .init(NetworkSize.text(layer.parameters)), .init(NetworkSize.text(layer.multiplyAdds))
        ]
      })
  }

  static func text(_ count: Int) -> String { NumberText.fixed(Double(count), decimals: 0) }
}

extension Layer {
  /// What the layer is, in a word or two.
  fileprivate var kind: String {
    switch self {
    case .input: "input"
    case .conv2d(let conv):
      "conv \(conv.kernel)x\(conv.kernel)" + (conv.stride > 1 ? " / \(conv.stride)" : "")
        + (conv.groups > 1 ? ", \(conv.groups) groups" : "")
    case .batchNorm: "batch norm"
    case .linear: "linear"
    case .convTranspose2d(let conv):
      "transposed conv \(conv.kernel)x\(conv.kernel)" + (conv.stride > 1 ? " x \(conv.stride)" : "")
    case .sigmoid: "sigmoid"
    case .tanh: "tanh"
    case .relu: "ReLU"
    case .maxPool(let kernel, let stride, _): "max pool \(kernel)x\(kernel) / \(stride)"
    case .averagePool(let kernel, let stride): "average pool \(kernel)x\(kernel) / \(stride)"
    case .adaptiveAveragePool(let size): "average to \(size)x\(size)"
    case .flatten: "flatten"
    case .add: "add"
    case .subtract: "subtract"
    case .zeroPadShortcut: "shortcut"
    case .imported(let graph): "graph of \(graph.nodes.count) operators"
    }
  }
}
