import QuenchSupport

/// Operators that make numbers, tell shapes, or change the type of numbers.
enum ONNXConstants {
  static let rules: [String: ONNXRule] = [
    "Shape": ONNXRule(shape), "Size": ONNXRule(size), "ConstantOfShape": ONNXRule(filled), "Range": ONNXRule(range),
    "Cast": ONNXRule(cast),
    "CastLike": ONNXRule { (graph, call) throws(InputError) in
      [try converted(try call.input(0), to: try call.input(1).dtype, &graph)]
    }
  ]

  private static func shape(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    func place(_ position: Int) -> Int { min(max(position < 0 ? position + input.rank : position, 0), input.rank) }
    let (start, end) = (place(try call.integer("start", 0)), place(try call.integer("end", input.rank)))
    let sizes = start < end ? (start..<end).map { graph.size(of: input, $0) } : []
    return [graph.value(sizes, isScalar: false)]
  }

  private static func size(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    var total = graph.fixed(1)
    for dimension in 0..<input.rank { total = try graph.size(.mul, total, graph.size(of: input, dimension)) }
    return [graph.value([total], isScalar: true)]
  }

  private static func filled(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let shape = try ONNXShapes.sizes(0, graph, call)
    var (literal, dtype) = (OperatorGraph.Operand.real(0), DType.float32)
    if let value = call.optional(1) {
      guard let given = value.literal else { throw call.fail("the value is not one number") }
      (literal, dtype) = (given, value.dtype)
    }
    return [
      try graph.call(
        "aten::full", ["size": .sizes(shape), "fill_value": .literal(literal), "dtype": .literal(.dtype(dtype))])
    ]
  }

  private static func range(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var ends: [ONNXOperand] = []
    var dtype = DType.int64
    for index in 0..<3 {
      let value = try call.input(index)
      if let number = value.number, value.dtype.isFloatingPoint {
        dtype = value.dtype
        ends.append(.literal(.real(number)))
      } else if let size = graph.sizes(value)?.first {
        ends.append(.size(size))
      } else {
        throw call.fail("the range hangs on what the images show", remedy: ONNXRemedy.fixedShape)
      }
    }
    return [
      try graph.call(
        "aten::arange.start_step",
        ["start": ends[0], "end": ends[1], "step": ends[2], "dtype": .literal(.dtype(dtype))])
    ]
  }

  private static func cast(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let type = try call.integer("to", 1)
    guard let dtype = ONNXTensors.dtype(type) else {
      throw call.fail(
        "numbers are converted to what no network here computes with", found: ONNXTensors.typeName(type))
    }
    return [try converted(try call.input(0), to: dtype, &graph)]
  }

  private static func converted(
    _ value: ONNXValue, to dtype: DType, _ graph: inout ONNXLowering
  ) throws(InputError) -> ONNXValue {
    if case .sizes = value, dtype == .int64 || dtype == .int32 { return value }
    if value.dtype == dtype { return value }
    return try graph.call("aten::to.dtype", ["self": .tensor(value), "dtype": .literal(.dtype(dtype))])
  }
}

/// Numbers that stand for others at a scale. Weights are worked out when the model is read.
enum ONNXQuantization {
  static let rules: [String: ONNXRule] = ["DequantizeLinear": ONNXRule(dequantized)]

  private static func dequantized(
    _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> [ONNXValue] {
    let value = try call.input(0)
    guard case .constant(let constant) = value else {
      throw call.fail(
        "what the network computes is quantized", remedy: "import the network in float32, before it was quantized")
    }
    guard try call.integer("block_size", 0) == 0 else {
      throw call.fail("weights are quantized in blocks", remedy: "import the network in float32")
    }
    let axis = try call.axis(try call.integer("axis", 1), rank: max(value.rank, 2))
    func fitted(_ value: ONNXValue) throws(InputError) -> ONNXValue {
      guard value.rank == 1, constant.tensor.rank > 1 else { return value }
      var shape = [Int](repeating: 1, count: constant.tensor.rank)
      shape[axis] = -1
      return try graph.call("aten::reshape", ["self": .tensor(value), "shape": .literal(.integers(shape))])
    }
    func real(_ value: ONNXValue) throws(InputError) -> ONNXValue {
      try graph.call("aten::to.dtype", ["self": .tensor(value), "dtype": .literal(.dtype(.float32))])
    }
    var result = try real(value)
    if let zero = call.optional(2) {
      result = try graph.call(
        "aten::sub.Tensor", ["self": .tensor(result), "other": .tensor(try real(try fitted(zero)))])
    }
    return [
      try graph.call("aten::mul.Tensor", ["self": .tensor(result), "other": .tensor(try fitted(try call.input(1)))])
    ]
  }
}
