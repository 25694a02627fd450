import QuenchSupport

extension OperatorGraph.Node {
  /// Multiply-adds of a convolution, linear layer, matrix product or attention whose operands and results are `values`; 0
  /// for other operators.
  func cost(_ values: GraphValues) -> Double {
    func shape(_ name: String) -> [Int] {
      guard case .value(let value)? = self[name] else { return [] }
      return values.tensor(value.index)?.shape ?? []
    }
    var output: Double {
      guard case .one(let value)? = results.first else { return 0 }
      return values.tensor(value.index)?.shape.product ?? 0
    }
    switch target.split(separator: ".").first ?? "" {
    case "aten::conv1d", "aten::conv2d", "aten::conv3d": return output * shape("weight").dropFirst().product
    case "aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d":
      return shape("input").product * shape("weight").dropFirst().product
    case "aten::convolution":
      let positions = self["transposed"] == .boolean(true) ? shape("input").product : output
      return positions * shape("weight").dropFirst().product
    case "aten::linear", "aten::matmul", "aten::mm", "aten::bmm":
      return output * Double(shape("input").last ?? shape("self").last ?? 0)
    case "aten::addmm": return output * Double(shape("mat1").last ?? 0)
    case "aten::baddbmm": return output * Double(shape("batch1").last ?? 0)
    case "aten::einsum":
      guard case .string(let equation)? = self["equation"], case .values(let operands)? = self["tensors"] else {
        return 0
      }
      return Self.einsum(equation, operands.map { $0.flatMap { values.tensor($0.index)?.shape } ?? [] })
    case "aten::scaled_dot_product_attention", "aten::_scaled_dot_product_flash_attention_for_cpu":
      let (query, key, value) = (shape("query"), shape("key"), shape("value"))
      guard let width = query.last, key.count > 1, let valueWidth = value.last else { return 0 }
      return query.dropLast().product * Double(key[key.count - 2]) * Double(width + valueWidth)
    default: return 0
    }
  }

  /// The product of all sizes that the letters of `equation` stand for, leading ones under an ellipsis included.
  private static func einsum(_ equation: String, _ shapes: [[Int]]) -> Double {
    var sizes: [Character: Double] = [:]
    var leading = 1.0
    let terms = equation.filter { $0 != " " }.split(separator: "-")[0].split(separator: ",")
    guard terms.count == shapes.count, terms.count > 1 else { return 0 }
    for (term, shape) in zip(terms, shapes) {
      let letters = term.filter(\.isLetter)
      guard letters.count <= shape.count else { return 0 }
      for (letter, size) in zip(letters.reversed(), shape.reversed()) { sizes[letter] = Double(size) }
      leading = max(leading, shape.dropLast(letters.count).product)
    }
    return sizes.values.reduce(leading, *)
  }
}

extension Collection<Int> {
  fileprivate var product: Double { reduce(1) { $0 * Double($1) } }
}
