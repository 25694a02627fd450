import QuenchTorch

/// A convolution or linear layer that oneDNN computes with what follows it.
struct FusedLayer {
  static let convolutions: Set = ["aten::conv2d", "aten::conv2d.padding", "aten::convolution"]

  /// How many convolutions and linear layers a graph has.
  static func count(in graph: OperatorGraph) -> Int {
    graph.nodes.count { convolutions.contains($0.target) || $0.target == "aten::linear" }
  }

  let node: OperatorGraph.Node
  let isConvolution: Bool
  let input: OperatorGraph.Value
  let weight: OperatorGraph.Value
  let bias: OperatorGraph.Value?
  let result: OperatorGraph.Value
  private(set) var stride = [1, 1]
  private(set) var padding = [0, 0]
  private(set) var dilation = [1, 1]
  private(set) var groups = 1

  /// Nil for another operator, and for a convolution whose padding is not the same on both sides.
  init?(_ node: OperatorGraph.Node) {
    isConvolution = Self.convolutions.contains(node.target)
    guard isConvolution || node.target == "aten::linear", node.boolean("transposed") != true,
      let input = node.value("input"), let weight = node.value("weight"),
      case .one(let result)? = node.results.first
    else { return nil }
    if case .on? = node.mode.autocast { return nil }
    (self.node, self.input, self.weight, self.result) = (node, input, weight, result)
    bias = node.value("bias")
    guard isConvolution else { return }
    func pair(_ name: String) -> [Int]? {
      node.integers(name).map { $0.count == 1 ? $0 + $0 : $0 }
    }
    stride = pair("stride") ?? stride
    dilation = pair("dilation") ?? dilation
    groups = node.integer("groups") ?? 1
    switch node["padding"] {
    case nil, .string("valid"): break
    case .integer?, .integers?: padding = pair("padding") ?? padding
    default: return nil
    }
    guard [stride, padding, dilation].allSatisfy({ $0.count == 2 }) else { return nil }
  }

  /// Whether oneDNN's sum may be followed by the activation.
  func takesAfterSum(_ activation: FusedActivation) -> Bool { isConvolution && activation.name == "relu" }
}

/// An activation as oneDNN's fused operators name it.
struct FusedActivation: Equatable {
  let name: String
  private(set) var numbers: [Double] = []
  private(set) var algorithm: String?

  static let none = FusedActivation(name: "none")

  /// Whether oneDNN's operators on bytes have it too.
  func isOfferedForIntegers(to layer: FusedLayer) -> Bool {
    ["none", "relu", "swish", "hardswish", "hardtanh"].contains(name)
      || !layer.isConvolution && ["tanh", "gelu", "leaky_relu"].contains(name)
  }

  private init(name: String) { self.name = name }

  /// Nil for a node that is none.
  init?(_ node: OperatorGraph.Node) {
    guard node.value("self") != nil else { return nil }
    switch node.target {
    case "aten::relu": name = "relu"
    case "aten::silu": name = "swish"
    case "aten::hardswish": name = "hardswish"
    case "aten::hardsigmoid": name = "hardsigmoid"
    case "aten::sigmoid": name = "sigmoid"
    case "aten::tanh": name = "tanh"
    case "aten::gelu":
      name = "gelu"
      if case .string(let text)? = node["approximate"] { algorithm = text } else { algorithm = "none" }
    case "aten::leaky_relu":
      name = "leaky_relu"
      numbers = [node.real("negative_slope") ?? 0.01]
    case "aten::relu6":
      name = "hardtanh"
      numbers = [0, 6]
    case "aten::hardtanh":
      name = "hardtanh"
      numbers = [node.real("min_val") ?? -1, node.real("max_val") ?? 1]
    case "aten::clamp":
      guard let low = node.real("min"), let high = node.real("max") else { return nil }
      name = "hardtanh"
      numbers = [low, high]
    default: return nil
    }
  }

  /// What the fused operator is told of the activation and of a sum before it.
  func arguments(beside addend: OperatorGraph.Value?, isConvolution: Bool) -> [OperatorGraph.Argument] {
    let algorithm = algorithm.map { OperatorGraph.Operand.string($0) } ?? .none
    guard let addend else {
      return [.init("attr", .string(name)), .init("scalars", .reals(numbers)), .init("algorithm", algorithm)]
    }
    let sum = OperatorGraph.Argument("other", .value(addend))
    guard isConvolution else { return [sum, .init("attr", .string("add"))] }
    return [
      sum, .init("binary_attr", .string("add")), .init("alpha", .real(1)),
      .init("unary_attr", self == .none ? .none : .string(name)), .init("unary_scalars", .reals(numbers)),
      .init("unary_algorithm", algorithm)
    ]
  }
}
