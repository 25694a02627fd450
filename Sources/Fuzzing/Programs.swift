import Foundation
import QuenchSupport
import QuenchTorch

extension FuzzTarget {
  /// Exported programs; those that take small images also compute.
  static let exportedProgram = FuzzTarget(name: "exported-program", seeds: ProgramSeeds.archives) { data in
    let network = try ExportedProgram.load(data: data, name: "program")
    let shape = network.graph.input.example
    guard shape.allSatisfy({ $0 <= 64 }) else { return }
    _ = try withoutGradient { try network.evaluate(.zeros(shape)) }
    try network.measure()
  }
}

private enum ProgramSeeds {
  /// A pool and a linear layer; in the second file weights with bytes to spare.
  static let archives: [Data] = [
    zip([
      ("n/models/model.json", Data(program.utf8)), ("n/byteorder", Data("little".utf8)),
      ("n/data/weights/model_weights_config.json", Data(weights.utf8)),
      ("n/data/weights/weight_0", Data(count: 24)), ("n/data/weights/weight_1", Data(count: 8))
    ]),
    zip([
      ("n/models/model.json", Data(program.utf8)),
      ("n/data/weights/model_weights_config.json", Data(weights.utf8)),
      ("n/data/weights/weight_0", Data(repeating: 1, count: 40)), ("n/data/weights/weight_1", Data(count: 12))
    ])
  ]

  private static func meta(_ sizes: [Int], _ strides: [Int]) -> String {
    func list(_ values: [Int]) -> String { values.map { #"{"as_int":\#($0)}"# }.joined(separator: ",") }
    return """
      {"dtype":7,"sizes":[\(list(sizes))],"strides":[\(list(strides))],"storage_offset":{"as_int":0},"layout":7}
      """
  }

  private static let weights = """
    {"config":{"head.weight":{"path_name":"weight_0","use_pickle":false,"tensor_meta":\(meta([2, 3], [3, 1]))},
    "head.bias":{"path_name":"weight_1","use_pickle":false,"tensor_meta":\(meta([2], [1]))}}}
    """

  private static let batch =
    #"{"as_expr":{"expr_str":"Symbol('s7', positive=True, integer=True)","hint":{"as_int":2}}}"#

  private static func node(_ target: String, _ inputs: String, _ output: String) -> String {
    """
    {"target":"\(target)","inputs":[\(inputs)],"outputs":[\(output)],
    "metadata":{"nn_module_stack":"L__self__,,Net;L__self__head,head,torch.nn.Linear"},"name":"node"}
    """
  }

  private static func argument(_ name: String, _ value: String) -> String {
    #"{"name":"\#(name)","arg":{\#(value)}}"#
  }
  private static func tensor(_ name: String) -> String { #""as_tensor":{"name":"\#(name)"}"# }

  private static let program: String = {
    let nodes = [
      node(
        "torch.ops.aten.sym_size.int", argument("self", tensor("x")) + "," + argument("dim", #""as_int":0"#),
        #"{"as_sym_int":{"as_name":"n"}}"#),
      node(
        "torch.ops.aten.mean.dim",
        argument("self", tensor("x")) + "," + argument("dim", #""as_ints":[2,3]"#) + ","
          + argument("keepdim", #""as_bool":false"#), "{\(tensor("m"))}"),
      node(
        "torch.ops.aten.reshape.default",
        argument("self", tensor("m")) + ","
          + argument("shape", #""as_sym_ints":[{"as_name":"n"},{"as_int":3}]"#), "{\(tensor("r"))}"),
      node(
        "torch.ops.aten.mul.Tensor", argument("self", tensor("r")) + "," + argument("other", #""as_float":0.5"#),
        "{\(tensor("h"))}"),
      node(
        "torch.ops.aten.linear.default",
        argument("input", tensor("h")) + "," + argument("weight", tensor("w")) + ","
          + argument("bias", tensor("b")), "{\(tensor("y"))}")
    ]
    let held =
      #"{"parameter":{"arg":{"name":"w"},"parameter_name":"head.weight"}},"#
      + #"{"parameter":{"arg":{"name":"b"},"parameter_name":"head.bias"}}"#
    return """
      {"graph_module":{"graph":{"inputs":[{\(tensor("w"))},{\(tensor("b"))},{\(tensor("x"))}],"outputs":[{\(tensor("y"))}],
      "nodes":[\(nodes.joined(separator: ","))],
      "tensor_values":{"w":\(meta([2, 3], [3, 1])),"b":\(meta([2], [1])),
      "x":{"dtype":7,"sizes":[\(batch),{"as_int":3},{"as_int":2},{"as_int":2}],"strides":[],"storage_offset":{"as_int":0}},
      "y":{"dtype":7,"sizes":[\(batch),{"as_int":2}],"strides":[],"storage_offset":{"as_int":0}}},
      "sym_int_values":{"n":\(batch)}},
      "signature":{"input_specs":[\(held),{"user_input":{"arg":{\(tensor("x"))}}}],
      "output_specs":[{"user_output":{"arg":{\(tensor("y"))}}}]}},
      "range_constraints":{"s7":{"min_val":1,"max_val":64}},"schema_version":{"major":8,"minor":20}}
      """
  }()

  /// A zip file of stored entries, without checksums, which readers of programs don't check.
  private static func zip(_ entries: [(name: String, content: Data)]) -> Data {
    var (body, directory) = (Data(), Data())
    for (name, content) in entries {
      let offset = body.count
      let sizes = Seeds.little(content.count, 4) + Seeds.little(content.count, 4)
      body += Seeds.little(0x0403_4B50, 4) + Seeds.little(20, 2) + Data(count: 12) + sizes
      body += Seeds.little(name.utf8.count, 2) + Data(count: 2) + Data(name.utf8) + content
      directory +=
        Seeds.little(0x0201_4B50, 4) + Seeds.little(20, 2) + Seeds.little(20, 2) + Data(count: 12) + sizes
      directory += Seeds.little(name.utf8.count, 2) + Data(count: 12) + Seeds.little(offset, 4) + Data(name.utf8)
    }
    let counts = Seeds.little(entries.count, 2) + Seeds.little(entries.count, 2)
    let place = Seeds.little(directory.count, 4) + Seeds.little(body.count, 4)
    return body + directory + Seeds.little(0x0605_4B50, 4) + Data(count: 4) + counts + place + Data(count: 2)
  }
}
