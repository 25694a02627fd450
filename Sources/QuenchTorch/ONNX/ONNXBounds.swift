import QuenchSupport

/// How large a result may become, told before it is computed.
enum ONNXBounds {
  /// - Throws: `InputError` if the node's result may have more than `largest` elements.
  static func check(
    _ node: OperatorGraph.Node, _ operands: [Tensor], largest: Double, at place: String
  ) throws(InputError) {
    let bound = elements(node, operands)
    guard bound <= largest else {
      throw InputError(
        "a result of the operator would be too large", at: place, expected: "at most \(Int(largest)) numbers",
        found: bound < 0x1p62 ? "\(Int(bound))" : "more than any memory holds")
    }
  }

  private static func elements(_ node: OperatorGraph.Node, _ operands: [Tensor]) -> Double {
    func shape(_ name: String) -> [Double] {
      guard case .value(let value)? = node[name] else { return [] }
      return operands[value.index].shape.map(Double.init)
    }
    func numbers(_ name: String) -> [Double] {
      guard case .integers(let values)? = node[name] else { return [] }
      return values.map { max(Double($0), -1) }
    }
    func number(_ name: String) -> Double {
      switch node[name] {
      case .integer(let value)?: Double(value)
      case .real(let value)?: value
      default: 0
      }
    }
    let base = node.target.dropFirst("aten::".count).split(separator: ".").first.map(String.init) ?? ""
    switch base {
    case "conv1d", "conv2d", "conv3d":
      let (input, padding) = (shape("input"), numbers("padding"))
      let places = zip(input.dropFirst(2), padding).reduce(1) { $0 * ($1.0 + 2 * $1.1) }
      return (input.first ?? 1) * (shape("weight").first ?? 1) * places
    case "conv_transpose1d", "conv_transpose2d", "conv_transpose3d":
      let (input, weight) = (shape("input"), shape("weight"))
      guard input.count > 2, weight.count == input.count else { return 0 }
      var places = 1.0
      for axis in 0..<min(input.count - 2, numbers("stride").count, numbers("dilation").count) {
        places *=
          input[axis + 2] * numbers("stride")[axis] + weight[axis + 2] * numbers("dilation")[axis]
          + (numbers("output_padding").dropFirst(axis).first ?? 0)
      }
      return input[0] * weight[1] * max(number("groups"), 1) * places
    case "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d":
      let input = shape("self")
      return zip(input.suffix(numbers("padding").count), numbers("padding"))
        .reduce(input.prefix(2).reduce(1, *)) { $0 * ($1.0 + 2 * $1.1) }
    case "constant_pad_nd", "pad":
      let (input, pad) = (shape("self"), numbers("pad"))
      return input.reversed().enumerated().reduce(1) { product, axis in
        let extra = 2 * axis.offset + 1 < pad.count ? pad[2 * axis.offset] + pad[2 * axis.offset + 1] : 0
        return product * max(axis.element + extra, 0)
      }
    case "full": return numbers("size").reduce(1, *)
    case "expand", "reshape":
      return zip(numbers("size").reversed(), Array(shape("self").reversed()) + [Double](repeating: 1, count: 64))
        .reduce(1) { $0 * ($1.0 < 0 ? $1.1 : $1.0) }
    case "repeat": return shape("self").reduce(1, *) * numbers("repeats").reduce(1, *)
    case "repeat_interleave": return shape("self").reduce(1, *) * number("repeats")
    case "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d":
      return shape("self").prefix(2).reduce(1, *) * numbers("output_size").reduce(1, *)
    case "arange":
      let step = number("step")
      return step == 0 ? 0 : max(0, (number("end") - number("start")) / step)
    case "linear": return shape("input").dropLast().reduce(1, *) * (shape("weight").first ?? 1)
    case "matmul":
      let (a, b) = (shape("self"), shape("other"))
      return broadcast([a.dropLast(2), b.dropLast(2)]) * (a.dropLast().last ?? 1) * (b.last ?? 1)
    case "cat": return operands.reduce(0) { $0 + Double($1.count) }
    case "einsum":
      guard case .string(let equation)? = node["equation"] else { return 0 }
      return einsum(equation, operands.map(\.shape))
    case "index_select":
      let input = shape("self")
      let axis = Int(number("dim"))
      let others = input.indices.contains(axis) ? input.enumerated().filter { $0.offset != axis } : []
      return others.reduce(shape("index").reduce(1, *)) { $0 * $1.element }
    case "gather": return shape("index").reduce(1, *)
    default: return broadcast(operands.map { $0.shape.map(Double.init)[...] })
    }
  }

  private static func broadcast(_ shapes: [ArraySlice<Double>]) -> Double {
    let rank = shapes.map(\.count).max() ?? 0
    return (0..<rank).reduce(1) { product, axis in
      product * (shapes.map { axis < $0.count ? $0[$0.endIndex - 1 - axis] : 1 }.max() ?? 1)
    }
  }

  /// The product of the sizes that the result's letters stand for, or all letters where the equation doesn't name them.
  private static func einsum(_ equation: String, _ shapes: [[Int]]) -> Double {
    let sides = equation.filter { $0 != " " }.split(separator: ">", maxSplits: 1)
    let terms = (sides.first ?? "").split(separator: ",", omittingEmptySubsequences: false)
    var sizes: [Character: Double] = [:]
    var leading = 1.0
    for (term, shape) in zip(terms, shapes) {
      let letters = term.filter(\.isLetter)
      for (letter, size) in zip(letters.reversed(), shape.reversed()) { sizes[letter] = Double(size) }
      leading *= shape.dropLast(letters.count).reduce(1) { $0 * Double($1) }
    }
    let named = sides.count > 1 ? sizes.filter { sides[1].contains($0.key) } : sizes
    return named.values.reduce(leading, *)
  }
}
