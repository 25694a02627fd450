import QuenchSupport

/// Resized planes.
enum ONNXResampling {
  static let rules: [String: ONNXRule] = ["Resize": ONNXRule(resize), "Upsample": ONNXRule(resize)]

  private struct Plan {
    var sizes: [ONNXSize]
    /// For height and width, where the model gives factors.
    var factors: [Double]?
  }

  private static func resize(_ graph: inout ONNXLowering, _ call: ONNXCall) throws(InputError) -> [ONNXValue] {
    let input = try call.input(0)
    guard input.rank == 4 else {
      throw call.fail(
        "only planes of pixels are resized", expected: "[N, C, H, W]", found: "\(input.rank) dimensions")
    }
    guard !call.has("axes"), try call.text("keep_aspect_ratio_policy", "stretch") == "stretch" else {
      throw call.fail("resizing chosen axes is not known here", remedy: "export the network with sizes of all axes")
    }
    let plan = try plan(input, &graph, call)
    let mode = try call.text("mode", "nearest")
    // The older operator, and those before opset 11, begin at the corner.
    let isOld = call.node.type == "Upsample" || call.opset < 11
    let place = try isOld ? "asymmetric" : call.text("coordinate_transformation_mode", "half_pixel")
    let factors = (0..<2).map { OperatorGraph.Operand.real(plan.factors?[$0] ?? 0) }
    let given: [ONNXOperand] =
      plan.factors == nil ? [.literal(.none), .literal(.none)] : factors.map { .literal($0) }
    switch mode {
    case "nearest":
      let rounding = try call.text("nearest_mode", "round_prefer_floor")
      guard
        place == "asymmetric" && (isOld || rounding == "floor")
          || place != "align_corners" && isMultiple(plan, input)
      else {
        throw call.fail("this way to find the nearest pixel is not known here", found: place)
      }
      return [
        try graph.call(
          "aten::upsample_nearest2d",
          ["self": .tensor(input), "output_size": .sizes(plan.sizes), "scales_h": given[0], "scales_w": given[1]])
      ]
    case "linear", "bilinear", "cubic":
      let coefficient = try call.real("cubic_coeff_a", -0.75)
      guard ["half_pixel", "pytorch_half_pixel", "align_corners"].contains(place),
        mode != "cubic" || abs(coefficient + 0.75) < 1e-6
      else { throw call.fail("this way to place pixels is not known here", found: place) }
      let isSmooth = try call.integer("antialias", 0) != 0
      let name = mode == "cubic" ? "upsample_bicubic2d" : "upsample_bilinear2d"
      return [
        try graph.call(
          isSmooth ? "aten::_\(name)_aa" : "aten::\(name)",
          [
            "self": .tensor(input), "output_size": .sizes(plan.sizes),
            "align_corners": .literal(.boolean(place == "align_corners")), "scales_h": given[0],
            "scales_w": given[1]
          ])
      ]
    default: throw call.fail("the mode is unknown", expected: "nearest, linear or cubic", found: mode)
    }
  }

  private static func isMultiple(_ plan: Plan, _ input: ONNXValue) -> Bool {
    (0..<2).allSatisfy { axis in
      plan.sizes[axis].trials.enumerated().allSatisfy { trial, size in
        let before = input.shape(trial)[axis + 2]
        return before > 0 && size >= before && size % before == 0
      }
    }
  }

  /// Sizes, or factors, which are an attribute, the second input or the third.
  private static func plan(
    _ input: ONNXValue, _ graph: inout ONNXLowering, _ call: ONNXCall
  ) throws(InputError) -> Plan {
    if let value = call.optional(3), let sizes = graph.sizes(value), sizes.count == 4 {
      return Plan(sizes: Array(sizes[2...]))
    }
    var factors: [Double] = []
    if case .reals(let values)? = call.node.attributes["scales"] {
      factors = values
    } else if let value = call.optional(call.node.type == "Upsample" || call.opset < 11 ? 1 : 2),
      case .constant(let constant) = value, constant.tensor.count == 4
    {
      factors = constant.tensor.array(Double.self)
    }
    guard factors.count == 4, factors.prefix(2) == [1, 1], factors.allSatisfy({ $0 > 0 && $0 <= 65536 }) else {
      throw call.fail("the new size hangs on images, or changes channels", remedy: ONNXRemedy.fixedShape)
    }
    var sizes: [ONNXSize] = []
    for (axis, factor) in zip([2, 3], factors[2...]) {
      let size = graph.size(of: input, axis)
      if let known = size.fixed {
        sizes.append(graph.fixed(Int((Double(known) * factor).rounded(.down))))
      } else {
        guard factor == factor.rounded() else {
          throw call.fail("a size that hangs on images is multiplied by a fraction", remedy: ONNXRemedy.fixedShape)
        }
        sizes.append(try graph.size(.mul, size, graph.fixed(Int(factor))))
      }
    }
    return Plan(sizes: sizes, factors: Array(factors[2...]))
  }
}
