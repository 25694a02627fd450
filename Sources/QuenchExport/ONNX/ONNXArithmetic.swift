import QuenchTorch

extension ONNXWriter {
  private static let unary = [
    "aten::abs": "Abs", "aten::ceil": "Ceil", "aten::cos": "Cos", "aten::erf": "Erf", "aten::exp": "Exp",
    "aten::floor": "Floor", "aten::log": "Log", "aten::neg": "Neg", "aten::reciprocal": "Reciprocal",
    "aten::round": "Round", "aten::sign": "Sign", "aten::sin": "Sin", "aten::sqrt": "Sqrt"
  ]
  private static let comparisons = [
    "aten::eq": "Equal", "aten::ge": "GreaterOrEqual", "aten::gt": "Greater", "aten::le": "LessOrEqual",
    "aten::lt": "Less"
  ]

  /// Appends arithmetic element by element; false for another operator.
  mutating func appendArithmetic(_ node: Node) throws(ONNXFailure) -> Bool {
    let base = String(node.target.split(separator: ".").first ?? "")
    let kind = kind(of: node)
    if let type = Self.unary[node.target] {
      emit(type, [try input(node, "self", as: kind)], node)
      return true
    }
    if let type = Self.comparisons[base] ?? (base == "aten::ne" ? "Equal" : nil) {
      let operands = try comparable(node)
      if base == "aten::ne" {
        emit("Not", [emit(type, operands, node, "equal")], node)
      } else {
        emit(type, operands, node)
      }
      return true
    }
    switch base {
    case "aten::add", "aten::sub", "aten::rsub":
      var other = try input(node, "other", as: kind)
      let x = try input(node, "self", as: kind)
      if let alpha = node.real("alpha"), alpha != 1 {
        other = emit("Mul", [other, try number(alpha, node, kind, "alpha")], node, "scaled")
      }
      let operands = base == "aten::rsub" ? [other, x] : [x, other]
      emit(base == "aten::add" ? "Add" : "Sub", operands, node)
    case "aten::mul": emit("Mul", [try input(node, "self", as: kind), try input(node, "other", as: kind)], node)
    case "aten::div":
      let operands = [try input(node, "self", as: kind), try input(node, "other", as: kind)]
      if case .string(let mode)? = node["rounding_mode"] {
        guard kind == .real, mode == "floor" else {
          throw .unsupported(node, "this rounding has no form in ONNX")
        }
        emit("Floor", [emit("Div", operands, node, "quotient")], node)
      } else {
        emit("Div", operands, node)
      }
    case "aten::addcmul":
      var product = emit(
        "Mul", [try input(node, "tensor1", as: kind), try input(node, "tensor2", as: kind)], node, "product")
      if let value = node.real("value"), value != 1 {
        product = emit("Mul", [product, try number(value, node, kind, "value")], node, "scaled")
      }
      emit("Add", [try input(node, "self", as: kind), product], node)
    case "aten::pow":
      emit("Pow", [try input(node, "self", as: kind), try input(node, "exponent", as: kind)], node)
    case "aten::cumsum":
      let axis = try number(Double(node.integer("dim") ?? 0), node, .integer, "axis")
      emit("CumSum", [try input(node, "self", as: kind), axis], node)
    case "aten::square":
      let x = try input(node, "self", as: kind)
      emit("Mul", [x, x], node)
    case "aten::rsqrt":
      emit("Reciprocal", [emit("Sqrt", [try input(node, "self", as: kind)], node, "root")], node)
    case "aten::maximum": emit("Max", [try input(node, "self", as: kind), try input(node, "other", as: kind)], node)
    case "aten::minimum": emit("Min", [try input(node, "self", as: kind), try input(node, "other", as: kind)], node)
    case "aten::bitwise_not", "aten::logical_not":
      guard kind == .truth else { throw .unsupported(node, "the bits of numbers have no form in ONNX") }
      emit("Not", [try input(node, "self", as: .truth)], node)
    case "aten::where":
      emit(
        "Where",
        [
          try input(node, "condition", as: .truth), try input(node, "self", as: kind),
          try input(node, "other", as: kind)
        ], node)
    case "aten::masked_fill":
      emit(
        "Where",
        [
          try input(node, "mask", as: .truth), try input(node, "value", as: kind), try input(node, "self", as: kind)
        ], node)
    case "aten::to", "aten::_to_copy", "aten::type_as":
      pass(try input(node, node["self"] == nil ? "input" : "self", as: kind), node)
    default: return false
    }
    return true
  }

  /// Both operands of a comparison in one type.
  private mutating func comparable(_ node: Node) throws(ONNXFailure) -> [String] {
    let kinds = ["self", "other"].map { name in
      node.value(name).flatMap { trace.dtypes[$0.index] }.map { ElementKind($0) }
    }
    let kind = kinds.contains(.real) || kinds == [.truth, nil] ? ElementKind.real : .integer
    return [try input(node, "self", as: kind), try input(node, "other", as: kind)]
  }

  /// Appends an activation; false for another operator.
  mutating func appendActivation(_ node: Node) throws(ONNXFailure) -> Bool {
    func x(_ writer: inout ONNXWriter) throws(ONNXFailure) -> String { try writer.input(node, "self", as: .real) }
    switch node.target {
    case "aten::relu": emit("Relu", [try x(&self)], node)
    case "aten::sigmoid": emit("Sigmoid", [try x(&self)], node)
    case "aten::tanh": emit("Tanh", [try x(&self)], node)
    case "aten::hardswish": emit("HardSwish", [try x(&self)], node)
    case "aten::hardsigmoid":
      emit("HardSigmoid", [try x(&self)], node, nil, [("alpha", .float(1.0 / 6)), ("beta", .float(0.5))])
    case "aten::silu":
      let x = try x(&self)
      emit("Mul", [x, emit("Sigmoid", [x], node, "sigmoid")], node)
    case "aten::mish":
      let x = try x(&self)
      emit("Mul", [x, emit("Tanh", [emit("Softplus", [x], node, "softplus")], node, "tanh")], node)
    case "aten::softplus":
      guard node.real("beta") ?? 1 == 1 else { throw .unsupported(node, "its beta has no form in ONNX") }
      emit("Softplus", [try x(&self)], node)
    case "aten::leaky_relu":
      emit("LeakyRelu", [try x(&self)], node, nil, [("alpha", .float(node.real("negative_slope") ?? 0.01))])
    case "aten::elu":
      guard node.real("scale") ?? 1 == 1, node.real("input_scale") ?? 1 == 1 else {
        throw .unsupported(node, "its scales have no form in ONNX")
      }
      emit("Elu", [try x(&self)], node, nil, [("alpha", .float(node.real("alpha") ?? 1))])
    case "aten::relu6": try appendClip(node, 0, 6)
    case "aten::hardtanh": try appendClip(node, node.real("min_val") ?? -1, node.real("max_val") ?? 1)
    case "aten::clamp": try appendClip(node, node.real("min"), node.real("max"))
    case "aten::clamp_min": try appendClip(node, node.real("min"), nil)
    case "aten::clamp_max": try appendClip(node, nil, node.real("max"))
    case "aten::gelu": try appendGELU(node)
    default: return false
    }
    return true
  }

  private mutating func appendClip(_ node: Node, _ low: Double?, _ high: Double?) throws(ONNXFailure) {
    let kind = kind(of: node)
    let low = try low.map { (low) throws(ONNXFailure) in try number(low, node, kind, "low") }
    let high = try high.map { (high) throws(ONNXFailure) in try number(high, node, kind, "high") }
    let bounds = high.map { [low ?? "", $0] } ?? low.map { [$0] } ?? []
    emit("Clip", [try input(node, "self", as: kind)] + bounds, node)
  }

  /// x·Φ(x), by the error function or its approximation with tanh.
  private mutating func appendGELU(_ node: Node) throws(ONNXFailure) {
    let x = try input(node, "self")
    let half = try number(0.5, node, .real, "half")
    let one = try number(1, node, .real, "one")
    var inner: String
    if node["approximate"] == .string("tanh") {
      let square = emit("Mul", [x, x], node, "square")
      let cube = emit("Mul", [square, x], node, "cube")
      let small = emit("Mul", [cube, try number(0.044715, node, .real, "cubic")], node, "small")
      let sum = emit("Add", [x, small], node, "sum")
      let scale = try number((2 / Double.pi).squareRoot(), node, .real, "scale")
      inner = emit("Tanh", [emit("Mul", [sum, scale], node, "scaled")], node, "tanh")
    } else {
      let root = try number(0.5.squareRoot(), node, .real, "root")
      inner = emit("Erf", [emit("Mul", [x, root], node, "scaled")], node, "erf")
    }
    inner = emit("Add", [inner, one], node, "shifted")
    emit("Mul", [emit("Mul", [x, half], node, "halved"), inner], node)
  }
}
