import QuenchSupport

/// What is known of ONNX's operators.
enum ONNXOperators {
  static let rules: [String: ONNXRule] = [
    ONNXConvolutions.rules, ONNXNorms.rules, ONNXElementwise.rules, ONNXActivations.rules, ONNXProducts.rules,
    ONNXReductions.rules, ONNXShapes.rules, ONNXSelections.rules, ONNXConstants.rules, ONNXQuantization.rules,
    ONNXResampling.rules
  ]
  .reduce(into: [:]) { all, family in all.merge(family) { first, _ in first } }

  /// The sets of operators whose meaning is known.
  static let versions = 9...21

  /// Why an operator has no rule, and what to do.
  static func refusal(of call: ONNXCall) -> InputError {
    let type = call.node.type
    guard call.node.domain.isEmpty else {
      return call.fail(
        "the operator is no standard one", found: "domain \(call.node.domain.excerpt(80))",
        remedy: "export the network without custom operators")
    }
    switch type {
    case "If", "Loop", "Scan", "SequenceMap":
      return call.fail(
        "the network has control flow", remedy: "export a network that computes the same for all images")
    case "LSTM", "GRU", "RNN":
      return call.fail("the network is recurrent", remedy: "import a network of images")
    case "QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger":
      return call.fail(
        "what the network computes is quantized", remedy: "import the network in float32, before it was quantized")
    case "NonZero", "NonMaxSuppression", "Unique", "Compress":
      return call.fail(
        "shapes in the network depend on what the images show",
        remedy: "export a network whose shapes follow from the images' shape")
    case "TopK", "ArgMax", "ArgMin", "OneHot":
      return call.fail(
        "the network gives places, not logits", remedy: "export a module that returns the logits alone")
    case let type where type.hasPrefix("Sequence") || type.hasPrefix("Split") || type.hasPrefix("Optional"):
      return call.fail("the network has lists of tensors", remedy: "export a network of single tensors")
    default:
      return call.fail("the operator is unknown", remedy: "export the network without it, or as a .pt2 file")
    }
  }
}
