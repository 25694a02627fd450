import CTorch
import QuenchSupport

/// A graph made ready to be computed: operators found, arguments in the schemas' order, and for each step what may be
/// let go after it.
struct GraphProgram {
  /// One argument in the schema's order.
  enum Operand {
    /// The schema's default.
    case missing
    case fixed(any Argument)
    case tensor(Int)
    case tensors([Int?])
    /// A number that a step computed, for an argument that takes numbers.
    case number(Int)
    case sizes([OperatorGraph.Size])
    case inputDevice
    /// Whether the network is in training; the first is what the program says, for what doesn't depend on it.
    case training
    /// A batch norm's running statistic, which a training pass may leave alone.
    case statistic(Int)
  }

  enum Operation {
    case call(OperatorSchema, [Operand])
    case size(tensor: Int, dimension: Int)
    case arithmetic(SizeArithmetic, [OperatorGraph.Size])
  }

  struct Step {
    /// The node's position in the graph.
    var node: Int
    var operation: Operation
    /// The values that no later step reads.
    var frees: [Int] = []
    /// The buffer that counts a batch norm's training passes.
    var counter: Int?
    /// The operator that writes the result over the first operand, which nobody else reads and no derivative needs.
    var inPlace: OperatorSchema?

    /// Whether it is a batch norm that takes the batch's statistics in training.
    var isBatchNorm: Bool {
      guard case .call(let schema, let operands) = operation, schema.name == "aten::batch_norm",
        operands.indices.contains(5)
      else { return false }
      switch operands[5] {
      case .training: return true
      case .fixed(let value): return value as? Bool == true
      default: return false
      }
    }
  }

  private(set) var steps: [Step] = []
  /// Whether the input is written to, so that the caller's images need a copy.
  private(set) var writesToInput = false
  /// The first node whose computation in training is not in the graph.
  private(set) var frozenNode: Int?

  /// - Parameter callsFused: Whether the graph may call oneDNN's fused operators.
  /// - Throws: `InputError` that names the node of a graph which can't be computed.
  init(_ graph: OperatorGraph, at location: String, callsFused: Bool = false) throws(InputError) {
    var builder = try GraphProgramBuilder(graph, at: location, callsFused: callsFused)
    for position in graph.nodes.indices { steps.append(try builder.step(position)) }
    try builder.checkOutput()
    writesToInput = builder.writesToInput
    frozenNode = graph.nodes.indices.first { TrainingFlags.frozen.contains(graph.nodes[$0].target) }
    findWorkInPlace(graph)
    findLastReads(graph)
  }

  /// Operators that make their result anew and need it not again to be differentiated.
  private static let forgetful: Set = [
    "aten::conv2d", "aten::conv_transpose2d.input", "aten::batch_norm", "aten::linear", "aten::add.Tensor",
    "aten::sub.Tensor", FusedOperators.convolution, FusedOperators.convolutionAdd, FusedOperators.linear,
    FusedOperators.linearAdd, FusedOperators.wideLinear
  ]

  private mutating func findWorkInPlace(_ graph: OperatorGraph) {
    let readers = graph.readers
    let producers = graph.producers
    for index in steps.indices {
      let node = graph.nodes[steps[index].node]
      guard ["aten::relu", "aten::add.Tensor"].contains(node.target), case .value(let first)? = node["self"],
        node["alpha"] == nil, readers[first.index].count == 1, first != graph.output,
        let producer = producers[first.index], Self.forgetful.contains(graph.nodes[producer].target),
        graph.nodes[producer].mode == node.mode
      else { continue }
      steps[index].inPlace = OperatorSchema(node.target == "aten::relu" ? "aten::relu_" : "aten::add_.Tensor")
    }
  }

  private mutating func findLastReads(_ graph: OperatorGraph) {
    var isRead = [Bool](repeating: false, count: graph.valueNames.count)
    isRead[graph.output.index] = true
    for held in graph.held { isRead[held.value.index] = true }
    for index in steps.indices.reversed() {
      let node = graph.nodes[steps[index].node]
      for value in node.arguments.flatMap(\.operand.reads) + node.results.flatMap(\.values)
      where !isRead[value.index] {
        isRead[value.index] = true
        steps[index].frees.append(value.index)
      }
    }
  }
}

/// Arithmetic with sizes that a program computes beside its tensors.
enum SizeArithmetic: String {
  case add, sub, mul, floordiv, mod, neg
  case max = "sym_max"
  case min = "sym_min"

  var operands: Int { self == .neg ? 1 : 2 }

  /// The result as Python computes it; nil where there is none.
  func callAsFunction(_ values: [Int]) -> Int? {
    let (a, b) = (values[0], values.last ?? 0)
    func checked(_ result: (partialValue: Int, overflow: Bool)) -> Int? {
      result.overflow ? nil : result.partialValue
    }
    switch self {
    case .add: return checked(a.addingReportingOverflow(b))
    case .sub: return checked(a.subtractingReportingOverflow(b))
    case .mul: return checked(a.multipliedReportingOverflow(by: b))
    case .neg: return checked(0.subtractingReportingOverflow(a))
    case .floordiv:
      guard b != 0, let quotient = checked(a.dividedReportingOverflow(by: b)) else { return nil }
      return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient
    case .mod:
      guard b != 0, b != -1 else { return b == 0 ? nil : 0 }
      let rest = a % b
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest
    case .max: return Swift.max(a, b)
    case .min: return Swift.min(a, b)
    }
  }
}

/// What the operators that compute otherwise in training are told by.
enum TrainingFlags {
  /// The argument that says whether a call is one of training.
  static let argument = [
    "aten::batch_norm": "training", "aten::dropout": "train", "aten::dropout_": "train",
    "aten::feature_dropout": "train", "aten::feature_dropout_": "train", "aten::alpha_dropout": "train",
    "aten::feature_alpha_dropout": "train", "aten::rrelu": "training"
  ]

  /// What a decomposition made of such operators, which computes evaluation alone.
  static let frozen: Set = [
    "aten::_native_batch_norm_legit_no_training", "aten::_native_batch_norm_legit",
    "aten::_native_batch_norm_legit.no_stats", "aten::native_batch_norm", "aten::native_dropout"
  ]
}
