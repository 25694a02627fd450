import QuenchSupport

/// Sums, means and the like over dimensions.
enum ONNXReductions {
  static let rules: [String: ONNXRule] = {
    let targets = [
      "ReduceMean": "aten::mean.dim", "ReduceSum": "aten::sum.dim_IntList", "ReduceMax": "aten::amax",
      "ReduceMin": "aten::amin", "ReduceLogSumExp": "aten::logsumexp"
    ]
    var rules: [String: ONNXRule] = ["ReduceProd": ONNXRule(product)]
    for (name, target) in targets {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in
        [try reduced(target, try call.input(0), &graph, call)]
      }
    }
    rules["ReduceSumSquare"] = ONNXRule { (graph, call) throws(InputError) in
      let square = try graph.call("aten::square", ["self": .tensor(try call.input(0))])
      return [try reduced("aten::sum.dim_IntList", square, &graph, call)]
    }
    rules["ReduceLogSum"] = ONNXRule { (graph, call) throws(InputError) in
      let sum = try reduced("aten::sum.dim_IntList", try call.input(0), &graph, call)
      return [try graph.call("aten::log", ["self": .tensor(sum)])]
    }
    for (name, order) in [("ReduceL1", 1.0), ("ReduceL2", 2.0)] {
      rules[name] = ONNXRule { (graph, call) throws(InputError) in
        let input = try call.input(0)
        guard let axes = try axes(input, call) else { return [input] }
        return [
          try graph.call(
            "aten::linalg_vector_norm",
            [
              "self": .tensor(input), "ord": .literal(.real(order)), "dim": .literal(.integers(axes)),
              "keepdim": .literal(.boolean(try call.integer("keepdims", 1) != 0))
            ])
        ]
      }
    }
    return rules
  }()

  /// The dimensions that are reduced; nil for none.
  private static func axes(_ input: ONNXValue, _ call: ONNXCall) throws(InputError) -> [Int]? {
    let given = try call.integers("axes", input: 1) ?? []
    if given.isEmpty {
      return try call.integer("noop_with_empty_axes", 0) != 0 ? nil : Array(0..<input.rank)
    }
    var axes: [Int] = []
    for axis in given { axes.append(try call.axis(axis, rank: input.rank)) }
    return axes
  }

  private static func reduced(
    _ target: String, _ input: ONNXValue, _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> ONNXValue {
    guard let axes = try axes(input, call) else { return input }
    return try graph.call(
      target,
      [
        "self": .tensor(input), "dim": .literal(.integers(axes)),
        "keepdim": .literal(.boolean(try call.integer("keepdims", 1) != 0))
      ])
  }

  private static func product(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    var result = try call.input(0)
    let keeps = try call.integer("keepdims", 1) != 0
    if case .sizes(let sizes) = result, let first = sizes.elements.first {
      var total = first
      for element in sizes.elements.dropFirst() { total = try graph.size(.mul, total, element) }
      return [graph.value([total], isScalar: !keeps)]
    }
    for axis in (try axes(result, call) ?? []).sorted(by: >) {
      result = try graph.call(
        "aten::prod.dim_int",
        [
          "self": .tensor(result), "dim": .literal(.integer(axis)), "keepdim": .literal(.boolean(keeps))
        ])
    }
    return [result]
  }
}
