/// A network as a graph of LibTorch's operators, as `torch.export` writes it.
///
/// The graph names its tensors and holds none: they are a ``Network``'s, of which the graph is a layer,
/// ``Layer/imported(_:)``. Nodes stand in the order in which they are computed. A graph is plain data that may be changed
/// at will; ``Architecture/validate(at:)`` checks whether it can be computed.
public struct OperatorGraph: Hashable, Codable, Sendable {
  /// A tensor or a number that flows through the graph: the input, a held tensor or a result of a node.
  public struct Value: Hashable, Codable, Sendable {
    /// The value's position in ``OperatorGraph/valueNames``.
    public var index: Int
    public init(_ index: Int) { self.index = index }

    public init(from decoder: any Decoder) throws {
      index = try decoder.singleValueContainer().decode(Int.self)
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(index)
    }
  }

  /// One size of a list that may hold the batch size.
  public enum Size: Hashable, Codable, Sendable {
    case fixed(Int)
    /// A number that a node computes.
    case computed(Value)
  }

  /// What an argument of an operator is given.
  public enum Operand: Hashable, Codable, Sendable {
    /// No value, for an optional argument.
    case none
    /// A tensor, or a number that a node computes.
    case value(Value)
    /// A list of tensors; nil is an absent one.
    case values([Value?])
    case boolean(Bool)
    case integer(Int)
    case real(Double)
    case string(String)
    case booleans([Bool])
    case integers([Int])
    case reals([Double])
    /// A list of integers of which some are computed.
    case sizes([Size])
    case dtype(DType)
    case memoryFormat(MemoryFormat)
    /// Elements in one block with strides, the only layout there is.
    case stridedLayout
    /// Where the network's input lies.
    case inputDevice
  }

  public struct Argument: Hashable, Codable, Sendable {
    /// As in the operator's schema.
    public var name: String
    public var operand: Operand

    public init(_ name: String, _ operand: Operand) {
      self.name = name
      self.operand = operand
    }
  }

  /// A result of an operator.
  public enum Result: Hashable, Codable, Sendable {
    /// One that nothing reads.
    case unused
    case one(Value)
    /// The elements of a list; nil for those that nothing reads.
    case list([Value?])
  }

  /// What a node is computed under beside the caller's modes.
  public struct Mode: Hashable, Codable, Sendable {
    public enum Autocast: Hashable, Codable, Sendable {
      case off
      case on(DType)
    }

    /// Nil for the caller's.
    public var autocast: Autocast?
    /// Whether derivatives are recorded; nil for the caller's.
    public var gradient: Bool?

    public init(autocast: Autocast? = nil, gradient: Bool? = nil) {
      self.autocast = autocast
      self.gradient = gradient
    }
  }

  /// One call of an operator.
  public struct Node: Hashable, Codable, Sendable {
    /// What errors call the node.
    public var name: String
    /// The schema's name with its overload, `aten::add.Tensor`; `size::mul` and its like compute with numbers.
    public var target: String
    /// In any order; the schema's defaults stand for those left out.
    public var arguments: [Argument]
    public var results: [Result]
    /// The path of the module that called the operator, `layer1.0.conv1`, or an empty text.
    public var module: String
    public var mode: Mode
    /// For one image of the network's own size, as ``Network/measure()`` finds; 0 where nobody measured.
    public var multiplyAdds = 0

    public init(
      name: String, target: String, arguments: [Argument], results: [Result], module: String = "",
      mode: Mode = Mode()
    ) {
      self.name = name
      self.target = target
      self.arguments = arguments
      self.results = results
      self.module = module
      self.mode = mode
    }

    /// What the argument called `name` is given; nil where it takes the schema's default.
    public subscript(name: String) -> Operand? { arguments.first { $0.name == name }?.operand }
  }

  /// A tensor that the network brings along.
  public struct Held: Hashable, Codable, Sendable {
    public enum Kind: Hashable, Codable, Sendable {
      /// Learned.
      case parameter
      /// Part of the state but not learned, such as a batch norm's statistics.
      case buffer
      /// A buffer that a state dictionary leaves out, or a literal in the program.
      case constant
    }

    public var kind: Kind
    /// PyTorch's state-dict name: `layer1.0.conv1.weight`.
    public var name: String
    /// Further names of the same tensor, as tied weights have.
    public var otherNames: [String]
    public var value: Value
    public var shape: [Int]
    public var dtype: DType

    public init(
      kind: Kind, name: String, otherNames: [String] = [], value: Value, shape: [Int], dtype: DType
    ) {
      self.kind = kind
      self.name = name
      self.otherNames = otherNames
      self.value = value
      self.shape = shape
      self.dtype = dtype
    }
  }

  /// The one tensor that a caller gives.
  public struct Input: Hashable, Codable, Sendable {
    public var value: Value
    public var dtype: DType
    /// The sizes that each dimension may have, outermost first.
    public var sizes: [ClosedRange<Int>]
    /// A shape that the network was made with.
    public var example: [Int]

    public init(value: Value, dtype: DType, sizes: [ClosedRange<Int>], example: [Int]) {
      self.value = value
      self.dtype = dtype
      self.sizes = sizes
      self.example = example
    }
  }

  /// What errors call each value.
  public var valueNames: [String]
  public var input: Input
  public var held: [Held]
  public var nodes: [Node]
  /// Logits `[N, classes]`.
  public var output: Value
  public var classes: Int

  public init(
    valueNames: [String], input: Input, held: [Held], nodes: [Node], output: Value, classes: Int
  ) {
    self.valueNames = valueNames
    self.input = input
    self.held = held
    self.nodes = nodes
    self.output = output
    self.classes = classes
  }
}

extension OperatorGraph {
  /// How often each operator is called, the most frequent first.
  public var operatorCounts: [(target: String, count: Int)] {
    let counts = nodes.reduce(into: [String: Int]()) { $0[$1.target, default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  /// How many learned numbers there are.
  public var parameterCount: Int {
    held.filter { $0.kind == .parameter }.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }
}

extension OperatorGraph.Operand {
  /// The values that the operand reads.
  var reads: [OperatorGraph.Value] {
    switch self {
    case .value(let value): [value]
    case .values(let values): values.compactMap(\.self)
    case .sizes(let sizes):
      sizes.compactMap { if case .computed(let value) = $0 { value } else { nil } }
    default: []
    }
  }
}

extension OperatorGraph.Result {
  /// The values that the result defines.
  var values: [OperatorGraph.Value] {
    switch self {
    case .unused: []
    case .one(let value): [value]
    case .list(let values): values.compactMap(\.self)
    }
  }
}
