import QuenchSupport

/// One node of an ONNX model with what it reads.
struct ONNXCall {
  let node: ONNXProto.Node
  /// Nil for an input that is left out.
  let inputs: [ONNXValue?]
  let opset: Int
  /// What errors call the node.
  let place: String
  /// Which of its results are read.
  let wanted: [Bool]

  func fail(
    _ problem: String, expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) -> InputError {
    InputError(problem, at: place, expected: expected, found: found, remedy: remedy)
  }

  /// An input that may be left out.
  func optional(_ index: Int) -> ONNXValue? { index < inputs.count ? inputs[index] : nil }

  func input(_ index: Int) throws(InputError) -> ONNXValue {
    guard let value = optional(index) else {
      throw fail("an input is missing", expected: "at least \(index + 1)", found: "\(inputs.count)")
    }
    return value
  }

  /// - Throws: `InputError` if another result than the first is read.
  func requireOneResult() throws(InputError) {
    guard !wanted.dropFirst().contains(true) else {
      throw fail(
        "a result is read that is not known here", found: node.outputs.dropFirst().joined(separator: ", "),
        remedy: "export the network in evaluation mode, after network.eval()")
    }
  }

  // MARK: - Attributes

  func has(_ name: String) -> Bool { node.attributes[name] != nil }

  func integer(_ name: String, _ standard: Int) throws(InputError) -> Int {
    switch node.attributes[name] {
    case nil: return standard
    case .integer(let value)?: return value
    default: throw wrong(name, "an integer")
    }
  }

  func real(_ name: String, _ standard: Double) throws(InputError) -> Double {
    switch node.attributes[name] {
    case nil: return standard
    case .real(let value)?: return value
    default: throw wrong(name, "a number")
    }
  }

  func text(_ name: String, _ standard: String) throws(InputError) -> String {
    switch node.attributes[name] {
    case nil: return standard
    case .text(let value)?: return value
    default: throw wrong(name, "a text")
    }
  }

  func integers(_ name: String) throws(InputError) -> [Int]? {
    switch node.attributes[name] {
    case nil: return nil
    case .integers(let values)?: return values
    case .other?: return []
    default: throw wrong(name, "integers")
    }
  }

  private func wrong(_ name: String, _ expected: String) -> InputError {
    fail("the attribute \(name.excerpt(40)) is of another kind than the operator takes", expected: expected)
  }

  // MARK: - Integers that are attributes or inputs

  /// Integers that newer versions of the operator take as an input; nil where they are left out.
  func integers(_ name: String, input index: Int) throws(InputError) -> [Int]? {
    if let values = try integers(name) { return values }
    guard let value = optional(index) else { return nil }
    return try known(value, name)
  }

  /// The integers of a value that must be the same for all images.
  func known(_ value: ONNXValue, _ name: String) throws(InputError) -> [Int] {
    guard case .constant(let constant) = value, !constant.tensor.dtype.isFloatingPoint,
      constant.tensor.count <= 1 << 20
    else {
      throw fail("\(name) hangs on the images, or are no integers", remedy: ONNXRemedy.fixedShape)
    }
    return constant.tensor.array(Int.self)
  }

  /// A dimension of a value of `rank` dimensions, counted from the first.
  func axis(_ axis: Int, rank: Int) throws(InputError) -> Int {
    guard (-rank..<rank).contains(axis) else {
      throw fail("there is no such dimension", expected: "one of \(rank)", found: "\(axis)")
    }
    return axis < 0 ? axis + rank : axis
  }
}

/// How an operator of ONNX becomes ones of LibTorch: what its results are.
struct ONNXRule: Sendable {
  typealias Body = @Sendable (inout ONNXLowering, ONNXCall) throws(InputError) -> [ONNXValue]

  private let body: Body

  init(_ body: @escaping Body) { self.body = body }

  func callAsFunction(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    try body(&graph, call)
  }
}
