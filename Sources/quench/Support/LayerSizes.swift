import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a network costs operator by operator.
struct LayerSizes {
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

  /// - Throws: `InputError` if the network can't be computed.
  init(of network: Network) throws(InputError) {
    let graph = network.graph
    let trace = try network.trace()
    let holders = graph.holders
    var counted = Set<Int>()
    layers = graph.nodes.compactMap { node in
      guard let result = node.defines.first, let shape = trace.shape(result) else { return nil }
      let learned = node.reads.compactMap { holders[$0.index] }
        .filter { graph.held[$0].kind == .parameter && counted.insert($0).inserted }
      return Layer(
        name: node.name, kind: node.kind { trace.shape($0) ?? [] }, shape: Array(shape.dropFirst()),
        parameters: learned.reduce(0) { $0 + graph.held[$1].shape.reduce(1, *) }, multiplyAdds: node.multiplyAdds)
    }
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
}

extension OperatorGraph.Node {
  /// What the node computes, in a word or two: the operator's name but for the commonest.
  fileprivate func kind(_ shape: (OperatorGraph.Value) -> [Int]) -> String {
    let name =
      String(target.split(separator: ":").last ?? "").split(separator: ".").first.map(String.init) ?? target
    func size(_ numbers: [Int]?, _ join: String) -> String {
      guard let numbers, let first = numbers.first, numbers.contains(where: { $0 != 1 }) else { return "" }
      return " \(join) "
        + (numbers.allSatisfy { $0 == first } ? "\(first)" : numbers.map(String.init).joined(separator: "x"))
    }
    let kernel = value("weight").map(shape)?.dropFirst(2).map(String.init).joined(separator: "x") ?? ""
    let window = integers("kernel_size").map { $0.count == 1 ? $0 + $0 : $0 }?.map(String.init).joined(
      separator: "x")
    switch name {
    case "conv2d":
      let groups = integer("groups") ?? 1
      return "conv \(kernel)" + size(integers("stride"), "/") + (groups > 1 ? ", \(groups) groups" : "")
    case "conv_transpose2d": return "transposed conv \(kernel)" + size(integers("stride"), "x")
    case "batch_norm": return "batch norm"
    case "relu": return "ReLU"
    case "max_pool2d", "avg_pool2d":
      return (name == "max_pool2d" ? "max pool " : "average pool ") + (window ?? "") + size(integers("stride"), "/")
    case "sub": return "subtract"
    default: return name.replacing("_", with: " ")
    }
  }
}
