import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@Suite("Programs that are no network, or damaged") struct ExportedFaultTests {
  private func refusal(_ data: Data) -> String? {
    do { _ = try ExportedProgram.load(data: data, name: "net.pt2") } catch { return "\(error)" }
    return nil
  }

  /// What stands in the tiny program, what takes its place, and what the error must say.
  static let faults: [(text: String, other: String, mention: String)] = [
    (
      #""major":8"#, #""major":9"#,
      "net.pt2: the program has another version of its format (expected 8.x, found 9.20); export the network again"
    ),
    (
      "torch.ops.aten.relu.default", "torch.ops.mine.relu.default",
      "node 'relu' (mine::relu): the operator is unknown"
    ),
    ("torch.ops.aten.relu.default", "torch.ops.aten.reloo.default", "(aten::reloo): the operator is unknown"),
    ("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default", "the operator is unknown"),
    ("torch.ops.aten.relu.default", "torch.ops.aten._reshape_alias.default", "the operator is unknown"),
    ("torch.ops.aten.relu.default", "torch.ops.aten.relu.out", "the operator is unknown"),
    (#"{"name":"dim","arg""#, #"{"name":"dims","arg""#, "the operator has no such argument"),
    (#"{"name":"weight","arg":{"as_tensor":{"name":"p_conv_weight"}},"kind":1},"#, "", "an argument is missing"),
    (
      #""name":"weight","arg":{"as_tensor":{"name":"p_conv_weight"}}"#, #""name":"weight","arg":{"as_ints":[1]}"#,
      "weight: an argument does not fit the operator (found [1])"
    ),
    (
      #"{"as_tensor":{"name":"p_conv_weight"}},"kind":1}"#, #"{"as_tensor":{"name":"linear"}},"kind":1}"#,
      #"the program reads a value before it is computed (found "linear")"#
    ),
    (#""as_ints":[2,3]"#, #""as_complexes":[2,3]"#, "of a kind that no operator here takes"),
    (#""metadata":{"#, #""metadate":{"#, "the program's text is damaged"),
    (
      #""sizes":[{"as_int":2},{"as_int":1},{"as_int":3},{"as_int":3}]"#,
      #""sizes":[{"as_int":2},{"as_int":1},{"as_int":9},{"as_int":1}]"#, "a tensor has the wrong shape or type"
    ),
    (
      #""parameter_name":"conv.weight""#, #""parameter_name":"conv.wait""#,
      #"weights are missing (expected "conv.wait")"#
    )
  ]

  @Test("say what is wrong and where", arguments: 0..<faults.count) func damage(_ index: Int) throws {
    let (text, other, mention) = Self.faults[index]
    let data = try ExportedFixture.load("tiny").archive(replacing: text, with: other)
    let message = try #require(refusal(data), "\(other) is accepted")
    #expect(message.contains(mention), "\(message)")
    #expect(!message.contains("\n"))
  }

  /// The same for the attention network, which computes with sizes.
  static let shapes: [(text: String, other: String, mention: String)] = [
    (
      "Symbol('s34', positive=True, integer=True)", "Symbol('u0', integer=True)",
      "shapes in the network depend on what the images show"
    ),
    ("torch.ops.aten.layer_norm.default", "torch.ops.higher_order.cond", "the operator is unknown"),
    (
      #"{"user_input":{"arg":{"as_tensor":{"name":"images"}}}}"#,
      #"{"user_input":{"arg":{"as_tensor":{"name":"images"}}}},{"user_input":{"arg":{"as_tensor":{"name":"mask"}}}}"#,
      "the network takes several inputs (expected one, images [N, C, H, W], found images, mask)"
    ),
    (
      #"{"user_input":{"arg":{"as_tensor":{"name":"images"}}}}"#, #"{"user_input":{"arg":{"as_int":3}}}"#,
      "the network takes something else than images"
    ),
    (
      #"{"user_output":{"arg":{"as_tensor":{"name":"linear_1"}}}}"#,
      #"{"user_output":{"arg":{"as_tensor":{"name":"linear_1"}}}},{"user_output":{"arg":{"as_tensor":{"name":"cat"}}}}"#,
      "the network has several outputs (expected one, logits [N, classes], found linear_1, cat)"
    ),
    (
      #"{"user_output":{"arg":{"as_tensor":{"name":"linear_1"}}}}"#,
      #"{"user_output":{"arg":{"as_tensor":{"name":"cat"}}}}"#,
      "the output is no [N, classes] (expected logits of a classifier, found [N, 5, 4])"
    ),
    (
      #"{"user_output":{"arg":{"as_tensor":{"name":"linear_1"}}}}"#,
      #"{"buffer_mutation":{"arg":{"name":"linear_1"},"buffer_name":"scale"}}"#,
      "export the network in evaluation mode"
    )
  ]

  @Test("say what is no network from images to logits", arguments: 0..<shapes.count)
  func purposes(_ index: Int) throws {
    let (text, other, mention) = Self.shapes[index]
    let data = try ExportedFixture.load("attention").archive(replacing: text, with: other)
    let message = try #require(refusal(data), "\(other) is accepted")
    #expect(message.contains(mention), "\(message)")
  }

  @Test("of integers are refused") func integers() throws {
    let data = try ExportedFixture.load("tiny").archive { program in
      guard let range = program.range(of: #""images":{"dtype":7"#) else { return program }
      return program.replacingCharacters(in: range, with: #""images":{"dtype":5"#)
    }
    #expect(try #require(refusal(data)).contains("the network takes integers, not images"))
  }

  @Test("that lack a tensor's bytes, or some of them, are refused") func missing() throws {
    let fixture = try ExportedFixture.load("tiny")
    let entry = try #require(refusal(fixture.archive(missing: "data/weights/weight_0")))
    #expect(entry.contains(#"the zip file lacks an entry (expected "net/data/weights/weight_0")"#), "\(entry)")
    let config = try #require(refusal(fixture.archive(missing: "data/weights/model_weights_config.json")))
    #expect(config.contains("weights are missing") && config.contains("torch.export.save"), "\(config)")
    var short = fixture
    short.entries["data/weights/weight_0"] = .bytes([UInt8](repeating: 0, count: 68))
    #expect(try #require(refusal(short.archive())).contains("the tensor reaches beyond its storage"))
    short.entries["data/weights/weight_0"] = .bytes([UInt8](repeating: 0, count: 71))
    #expect(try #require(refusal(short.archive())).contains("the tensor's data have the wrong length"))
  }

  @Test("that were cut off anywhere are refused") func truncated() throws {
    let data = try ExportedFixture.load("tiny").archive()
    for count in stride(from: 0, to: data.count - 8, by: 997) {
      let message = try #require(refusal(data.prefix(count)))
      #expect(message.hasPrefix("net.pt2"), "\(message)")
    }
  }

  @Test("that are other files are refused") func others() throws {
    let text = try #require(refusal(Data("not a zip file".utf8)))
    #expect(text.contains("the file is no exported program") && text.contains("torch.export.save"))
    let checkpoint = try #require(refusal(Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor()))).data))
    #expect(
      checkpoint.contains("the zip file does not hold one exported program (expected one entry models/NAME.json"))
    let compiled = ZipBuilder(entries: [("net/data/aotinductor/model/a.so", [1])])
    #expect(try #require(refusal(compiled.data)).contains("the file holds compiled code, not a program"))
  }

  @Test("that were decomposed can't be trained") func frozen() throws {
    let data = try ExportedFixture.load("tiny").archive { program in
      program.replacing("torch.ops.aten.dropout.default", with: "torch.ops.aten.native_dropout.default")
        .replacing(
          #""outputs":[{"as_tensor":{"name":"dropout"}}]"#,
          with: #""outputs":[{"as_tensor":{"name":"dropout"}},{"as_tensor":{"name":"mask"}}]"#)
    }
    let network = try ExportedProgram.load(data: data, name: "net.pt2")
    #expect(!network.isTrainable)
    let error = #expect(throws: InputError.self) { try network.requireTrainable() }
    #expect(
      "\(try #require(error))"
        == "net, node 'dropout' (aten::native_dropout): the program computes evaluation only; "
        + "export the network again without run_decompositions() to train it")
  }

  @Test("say which images they take, and which node failed") func images() throws {
    let network = try ExportedProgram.load(data: ExportedFixture.load("tiny").archive(), name: "net.pt2")
    let size = #expect(throws: InputError.self) { try network.evaluate(.zeros([2, 1, 5, 5])) }
    #expect(
      "\(try #require(size))".contains("(expected N (1 to 512) x 1 x 4 x 4, found [2, 1, 5, 5])"))
    // More images than the program takes at a time are computed in pieces.
    #expect(try withoutGradient { try network.evaluate(.zeros([600, 1, 4, 4])) }.shape == [600, 3])
    let data = try ExportedFixture.load("tiny").archive(replacing: #""as_ints":[2,3]"#, with: #""as_ints":[2,7]"#)
    let broken = try ExportedProgram.load(data: data, name: "net.pt2")
    let node = #expect(throws: InputError.self) { try broken.evaluate(.zeros([2, 1, 4, 4])) }
    #expect(
      "\(try #require(node))".hasPrefix(
        "net, node 'mean' (aten::mean.dim): LibTorch does not compute the operator: Dimension out of range"))
  }
}
