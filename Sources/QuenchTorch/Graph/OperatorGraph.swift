/// A network as a graph of LibTorch's operators, as `torch.export` writes it and ``ArchitectureBuilder`` makes it.
///
/// The graph names its tensors and holds none but small integer constants: the others are a ``Network``'s. Nodes stand in
/// the order in which they are computed. A graph is plain data that may be changed at will;
/// ``Architecture/validate(at:)`` checks whether it can be computed.
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
    /// The elements of an int64 constant that the graph itself holds, such as the indices of a selection; nil for the
    /// others, which are the network's.
    public var elements: [Int]?

    public init(
      kind: Kind, name: String, otherNames: [String] = [], value: Value, shape: [Int], dtype: DType,
      elements: [Int]? = nil
    ) {
      self.kind = kind
      self.name = name
      self.otherNames = otherNames
      self.value = value
      self.shape = shape
      self.dtype = dtype
      self.elements = elements
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
    /// How the elements lie in memory: a program that was exported may count on rows that lie one after the other.
    public var memoryFormat = MemoryFormat.contiguous

    public init(
      value: Value, dtype: DType, sizes: [ClosedRange<Int>], example: [Int],
      memoryFormat: MemoryFormat = .contiguous
    ) {
      self.value = value
      self.dtype = dtype
      self.sizes = sizes
      self.example = example
      self.memoryFormat = memoryFormat
    }
  }

  /// What errors call each value.
  public var valueNames: [String]
  public var input: Input
  public var held: [Held]
  public var nodes: [Node]
  /// `[N]` and ``outputShape``: logits `[N, classes]` for a classifier.
  public var output: Value
  /// The shape of one sample's output.
  public var outputShape: [Int]

  public init(
    valueNames: [String], input: Input, held: [Held], nodes: [Node], output: Value, outputShape: [Int]
  ) {
    self.valueNames = valueNames
    self.input = input
    self.held = held
    self.nodes = nodes
    self.output = output
    self.outputShape = outputShape
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

extension OperatorGraph {
  /// For each value the nodes that read it, by position; a node that reads it twice stands there twice.
  package var readers: [[Int]] {
    var readers = [[Int]](repeating: [], count: valueNames.count)
    for (position, node) in nodes.enumerated() {
      for value in node.reads { readers[value.index].append(position) }
    }
    return readers
  }

  /// For each value the node that computes it, by position; nil for the input and held tensors.
  package var producers: [Int?] {
    var producers = [Int?](repeating: nil, count: valueNames.count)
    for (position, node) in nodes.enumerated() {
      for value in node.defines { producers[value.index] = position }
    }
    return producers
  }

  /// For each value the tensor that the network holds under it, by position in ``held``; nil for others.
  package var holders: [Int?] {
    var holders = [Int?](repeating: nil, count: valueNames.count)
    for (position, held) in held.enumerated() { holders[held.value.index] = position }
    return holders
  }
}

extension OperatorGraph.Node {
  /// The values that the node reads, in the order of its arguments.
  package var reads: [OperatorGraph.Value] { arguments.flatMap(\.operand.reads) }
  /// The values that it computes.
  package var defines: [OperatorGraph.Value] { results.flatMap(\.values) }

  /// The value that the argument called `name` is given; nil for others.
  package func value(_ name: String) -> OperatorGraph.Value? {
    if case .value(let value)? = self[name] { value } else { nil }
  }

  /// The integers that the argument called `name` is given, one where it is a single integer; nil for others.
  package func integers(_ name: String) -> [Int]? {
    switch self[name] {
    case .integer(let value)?: [value]
    case .integers(let values)?: values
    default: nil
    }
  }

  package func integer(_ name: String) -> Int? { if case .integer(let value)? = self[name] { value } else { nil } }

  /// The number that the argument called `name` is given; nil for others.
  package func real(_ name: String) -> Double? {
    switch self[name] {
    case .integer(let value)?: Double(value)
    case .real(let value)?: value
    default: nil
    }
  }

  package func boolean(_ name: String) -> Bool? {
    if case .boolean(let value)? = self[name] { value } else { nil }
  }

  /// Gives the argument called `name` another operand, in the place of the one before if there was one.
  package mutating func set(_ name: String, _ operand: OperatorGraph.Operand) {
    if let index = arguments.firstIndex(where: { $0.name == name }) {
      arguments[index].operand = operand
    } else {
      arguments.append(.init(name, operand))
    }
  }
}

extension OperatorGraph.Operand {
  /// The values that the operand reads.
  package var reads: [OperatorGraph.Value] {
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
