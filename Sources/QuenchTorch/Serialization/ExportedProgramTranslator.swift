import QuenchSupport

/// Turns a program of `torch.export` into a graph.
struct ExportedProgramTranslator {
  typealias Schema = ExportedProgramSchema

  private let program: ExportedProgramSchema
  let location: String
  var valueNames: [String] = []
  private var nodes: [OperatorGraph.Node] = []
  /// What the program calls the buffers that count batch norms' training passes.
  private var counters: Set<String> = []

  /// No network comes near; it bounds what sub-graphs that hold each other may unfold to.
  private static let maximumNodes = 200_000
  private static let maximumDepth = 8

  /// - Throws: `InputError` that names what is not a network from images to logits.
  static func graph(of program: ExportedProgramSchema, at location: String) throws(InputError) -> OperatorGraph {
    var translator = ExportedProgramTranslator(program: program, location: location)
    return try translator.translate()
  }

  private init(program: ExportedProgramSchema, location: String) {
    self.program = program
    self.location = location
  }

  private mutating func translate() throws(InputError) -> OperatorGraph {
    let (graph, signature) = (program.module.graph, program.module.signature)
    var scope: [String: OperatorGraph.Value] = [:]
    var held: [OperatorGraph.Held] = []
    var inputs: [(name: String, value: OperatorGraph.Value)] = []
    for specification in signature.inputs {
      switch specification {
      case .held(let kind, let argument, let name):
        let value = define(argument, in: &scope)
        if name.hasSuffix("num_batches_tracked") { counters.insert(argument) }
        let layout = try layout(of: argument, in: graph, at: "\(location), \(name)")
        held.append(.init(kind: kind, name: name, value: value, shape: layout.shape, dtype: layout.dtype))
      case .user(.tensor(let name)): inputs.append((name, define(name, in: &scope)))
      case .user(.none), .constant: break
      case .user:
        throw InputError(
          "the network takes something else than images", at: location, expected: "one tensor",
          remedy: "export a module whose forward takes the images alone")
      case .other(let kind):
        throw InputError(
          "the program takes an input that is no tensor", at: location, found: kind.quoted,
          remedy: "export the network without custom classes")
      }
    }
    try checkShapes(graph)
    guard inputs.count == 1 else {
      throw InputError(
        "the network takes several inputs", at: location, expected: "one, images [N, C, H, W]",
        found: inputs.isEmpty ? "none" : inputs.map(\.name).joined(separator: ", "),
        remedy: "export a module whose forward takes the images alone")
    }
    let input = try input(inputs[0].name, inputs[0].value, graph)
    let output = try outputName(signature)
    let classes = try classes(output, graph)
    try append(graph.nodes, &scope, mode: .init(), depth: 0)
    return OperatorGraph(
      valueNames: valueNames, input: input, held: held, nodes: nodes,
      output: try value(output, in: scope, at: "\(location), output"), outputShape: [classes])
  }

  // MARK: - Inputs and outputs

  private func input(
    _ name: String, _ value: OperatorGraph.Value, _ graph: Schema.Graph
  ) throws(InputError) -> OperatorGraph.Input {
    let place = "\(location), input \(name.quoted)"
    guard let meta = graph.tensors[name] else { throw InputError("the shape is not told", at: place) }
    let type = try dtype(meta.type, at: place)
    guard type.isFloatingPoint else {
      throw InputError(
        "the network takes integers, not images", at: place, expected: "floating-point numbers [N, C, H, W]",
        found: "\(type)", remedy: "export a network of images")
    }
    guard meta.sizes.count == 4 else {
      throw InputError(
        "the network takes no images", at: place, expected: "[N, C, H, W]",
        found: "\(meta.sizes.count) dimensions", remedy: "export a network of images")
    }
    var sizes: [ClosedRange<Int>] = []
    var example: [Int] = []
    for size in meta.sizes {
      switch size {
      case .fixed(let size):
        guard (0...1 << 24).contains(size) else {
          throw InputError("a size is impossible", at: place, found: "\(size)")
        }
        sizes.append(size...size)
        example.append(size)
      case .expression(_, let hint):
        let range = size.symbol.flatMap { program.ranges[$0] }
        let lower = max(range?.min ?? 0, 1)
        sizes.append(lower...max(range?.max ?? .max, lower))
        example.append(min(max(hint ?? lower, lower), 1 << 24))
      }
    }
    return .init(value: value, dtype: type, sizes: sizes, example: example)
  }

  private func outputName(_ signature: Schema.Signature) throws(InputError) -> String {
    var names: [String] = []
    for output in signature.outputs {
      switch output {
      case .user(.tensor(let name)): names.append(name)
      case .user(.none): break
      case .user:
        throw InputError("an output is no tensor", at: location, expected: "logits [N, classes]")
      case .other(let kind):
        throw InputError(
          "the program changes what it was given, or gives more than an output", at: location,
          expected: "logits [N, classes]", found: kind.quoted,
          remedy: "export the network in evaluation mode, after network.eval()")
      }
    }
    guard names.count == 1 else {
      throw InputError(
        "the network has several outputs", at: location, expected: "one, logits [N, classes]",
        found: names.isEmpty ? "none" : names.joined(separator: ", "),
        remedy: "export a module whose forward returns the logits alone")
    }
    return names[0]
  }

  private func classes(_ output: String, _ graph: Schema.Graph) throws(InputError) -> Int {
    let place = "\(location), output \(output.quoted)"
    guard let meta = graph.tensors[output] else { throw InputError("the shape is not told", at: place) }
    guard meta.sizes.count == 2, case .fixed(let classes) = meta.sizes[1], classes > 0 else {
      let text = meta.sizes.map { size in if case .fixed(let size) = size { "\(size)" } else { "N" } }
      throw InputError(
        "the output is no [N, classes]", at: place, expected: "logits of a classifier",
        found: "[\(text.joined(separator: ", "))]", remedy: "export a module that returns the logits alone")
    }
    return classes
  }

  /// A shape that depends on what the images show can't be planned for.
  private func checkShapes(_ graph: Schema.Graph) throws(InputError) {
    var names = Set(graph.sizes.filter { $0.value.isDataDependent }.keys)
    names.formUnion(graph.tensors.filter { $0.value.sizes.contains(where: \.isDataDependent) }.keys)
    guard let first = names.min() else { return }
    let node = graph.nodes.first { node in node.outputs.flatMap(\.names).contains(where: names.contains) }
    throw InputError(
      "shapes in the network depend on what the images show", at: node.map { place(of: $0) } ?? location,
      found: (node?.outputs.flatMap(\.names).first(where: names.contains) ?? first).quoted,
      remedy: "export a network whose shapes follow from the images' shape")
  }

  // MARK: - Nodes

  private func place(of node: Schema.Node) -> String {
    "\(location), node '\((node.name ?? node.outputs.first?.names.first ?? "").excerpt(80))' (\(node.target.excerpt(80)))"
  }

  private mutating func append(
    _ list: [Schema.Node], _ scope: inout [String: OperatorGraph.Value], mode: OperatorGraph.Mode, depth: Int
  ) throws(InputError) {
    for node in list {
      let place = place(of: node)
      guard nodes.count < Self.maximumNodes else {
        throw InputError("the program has too many nodes", at: location, expected: "at most \(Self.maximumNodes)")
      }
      if node.target.hasPrefix("torch.ops.higher_order.") {
        try inline(node, &scope, mode: mode, depth: depth, at: place)
        continue
      }
      let target = Self.target(node.target)
      if Self.isAssertion(target) || isCounting(node, target, &scope) { continue }
      var arguments: [OperatorGraph.Argument] = []
      for input in node.inputs {
        arguments.append(.init(input.name, try operand(input.argument, in: scope, at: "\(place), \(input.name)")))
      }
      let module = node.metadata.modules.map(Self.module) ?? ""
      var results: [OperatorGraph.Result] = []
      for output in node.outputs { results.append(try result(output, in: &scope, at: place)) }
      let name = node.name ?? node.outputs.first?.names.first ?? ""
      nodes.append(
        .init(name: name, target: target, arguments: arguments, results: results, module: module, mode: mode))
    }
  }

  /// `torch.ops.aten.add.Tensor` is `aten::add.Tensor` to LibTorch, `_operator.mul` is arithmetic with sizes.
  private static func target(_ name: String) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    if name.hasPrefix("torch.ops."), parts.count == 5 {
      return "\(parts[2])::\(parts[3])" + (parts[4] == "default" ? "" : ".\(parts[4])")
    }
    if parts.count == 2, parts[0] == "_operator" || parts[0] == "torch" { return "size::\(parts[1])" }
    return name
  }

  /// Checks of what the exporter knew; a wrong shape shows where it is computed with.
  private static func isAssertion(_ target: String) -> Bool {
    let checks = ["_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range"]
    return checks.contains {
      target == "aten::\($0)" || target.hasPrefix("aten::\($0).") || target == "aten::\($0)_for_size"
    }
  }

  /// Whether the node counts a batch norm's training passes, as a program that was exported in training mode does. A
  /// network counts them itself; what reads the result reads the count.
  private func isCounting(
    _ node: Schema.Node, _ target: String, _ scope: inout [String: OperatorGraph.Value]
  ) -> Bool {
    guard target == "aten::add_.Tensor", case .tensor(let name)? = node.inputs.first?.argument,
      counters.contains(name)
    else { return false }
    for result in node.outputs.flatMap(\.names) { scope[result] = scope[name] }
    return true
  }

  /// The path of the innermost module in `L__self__,,resnet.ResNet;L__self__layer1,layer1,torch.nn.Sequential`.
  private static func module(_ stack: String) -> String {
    let parts = (stack.split(separator: ";").last ?? "").split(separator: ",", omittingEmptySubsequences: false)
    return parts.count >= 3 && parts[0].hasPrefix("L") ? String(parts[1]) : ""
  }

  /// The nodes of a sub-graph that is computed under another mode, in the node's place.
  private mutating func inline(
    _ node: Schema.Node, _ scope: inout [String: OperatorGraph.Value], mode: OperatorGraph.Mode, depth: Int,
    at place: String
  ) throws(InputError) {
    guard depth < Self.maximumDepth else { throw InputError("sub-graphs are nested too deeply", at: place) }
    var mode = mode
    let arguments = node.inputs.map(\.argument)
    guard let position = arguments.firstIndex(where: { if case .graph = $0 { true } else { false } }),
      case .graph(let inner) = arguments[position]
    else { throw InputError("the operator is unknown", at: place, remedy: "export the network without it") }
    switch node.target {
    case "torch.ops.higher_order.wrap_with_autocast":
      guard position == 4, case .boolean(let isOn) = arguments[2] else {
        throw InputError("an argument does not fit the operator", at: place)
      }
      if isOn {
        guard case .dtype(let type) = arguments[1] else {
          throw InputError("autocast names no type", at: place, remedy: "name the dtype in torch.autocast")
        }
        mode.autocast = .on(try dtype(type, at: place))
      } else {
        mode.autocast = .off
      }
    case "torch.ops.higher_order.wrap_with_set_grad_enabled":
      guard position == 1, case .boolean(let isOn) = arguments[0] else {
        throw InputError("an argument does not fit the operator", at: place)
      }
      mode.gradient = isOn
    default: throw controlFlow(place)
    }
    var innerScope: [String: OperatorGraph.Value] = [:]
    let given = arguments.dropFirst(position + 1)
    guard given.count == inner.graph.inputs.count else {
      throw InputError("the sub-graph takes another number of inputs", at: place)
    }
    for (outside, inside) in zip(given, inner.graph.inputs) {
      guard let name = inside.names.first, case .value(let value) = try operand(outside, in: scope, at: place)
      else {
        throw InputError("an input of the sub-graph is no tensor", at: place)
      }
      innerScope[name] = value
    }
    try checkShapes(inner.graph)
    try append(inner.graph.nodes, &innerScope, mode: mode, depth: depth + 1)
    let (names, inside) = (node.outputs.flatMap(\.names), inner.graph.outputs.flatMap(\.names))
    guard names.count == inside.count else {
      throw InputError("the sub-graph has another number of results", at: place)
    }
    for (name, source) in zip(names, inside) { scope[name] = try value(source, in: innerScope, at: place) }
  }

  private func controlFlow(_ place: String) -> InputError {
    InputError(
      "the network has control flow or a function of functions", at: place,
      remedy: "export a network that computes the same for all images")
  }
}
