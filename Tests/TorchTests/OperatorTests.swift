import Foundation
import QuenchTorch
import Testing

@Suite("Operators")
struct OperatorTests {
  @Test("results and gradients equal PyTorch's, whole tensors", arguments: OperatorCases.allCases)
  func reference(_ group: OperatorCases) throws {
    let figures = try Reference.load(OperatorReference.self, "operators.json")
    #expect(figures.seed == OperatorCases.seed)
    // Random bits and what is made of them by arithmetic are the same everywhere.
    let tolerance: Double? = group == .random ? 0 : nil
    var failure: (any Error)?
    group.visit { name, body in
      do {
        try #require(figures.cases[name], "no figures for \(name)").check(name, tolerance: tolerance, body)
      } catch { failure = error }
    }
    if let failure { throw failure }
  }

  @Test("every operator that the package names is in this LibTorch")
  func resolve() throws {
    for name in try Self.operatorNames(under: "Sources") where name.hasPrefix("aten::") {
      let found = Operator(name)
      #expect(found.isAvailable, "\(name)")
      #expect(found.arity != nil)
    }
    #expect(!Operator("aten::no_such_operator").isAvailable)
    #expect(Operator("aten::no_such_operator").arity == nil)
  }

  @Test("every wrapped operator is called by a case with figures, and every figure by a case")
  func coverage() async {
    await #expect(processExitsWith: .success) {
      let figures = try Reference.load(OperatorReference.self, "operators.json")
      let names = try OperatorTests.operatorNames(under: "Sources/QuenchTorch/Operators")
      func calls() -> [String: UInt64] { Dictionary(uniqueKeysWithValues: names.map { ($0, Operator($0).calls) }) }
      var called: Set<String> = []
      var cases: Set<String> = []
      for group in OperatorCases.allCases {
        group.visit { name, body in
          guard let inputs = try? figures.cases[name]?.makeInputs() else { return }
          let before = calls()
          _ = body(inputs)
          called.formUnion(calls().filter { $0.value > before[$0.key, default: 0] }.keys)
          cases.insert(name)
        }
      }
      let uncalled = names.subtracting(called).sorted()
      #expect(uncalled.isEmpty, "operators without a case: \(uncalled)")
      let unused = Set(figures.cases.keys).subtracting(cases).sorted()
      #expect(unused.isEmpty, "figures without a case: \(unused)")
    }
  }

  @Test("a name has one handle: calls are counted for the process")
  func callsByName() {
    let before = Operator("aten::erf").calls
    _ = Tensor.ones([1]).erf()
    #expect(Operator("aten::erf").calls > before)
  }

  @Test("a shape mistake names operator, shapes and the line that made it")
  func callSite() async {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      OperatorTests.addMismatched()
    }
    let text = result.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? ""
    #expect(text.contains("aten::add.Tensor: [2] float32 × [3] float32"))
    #if os(Linux)
      #expect(text.contains("; at OperatorTests.swift:\(Self.mismatchLine) (static OperatorTests.addMismatched())"))
    #endif
    #expect(text.split(separator: "\n").count == 1)
  }

  @Test("too large a tensor ends the process with exit code 70 and advice")
  func outOfMemory() async {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      _ = Tensor.zeros([1 << 30, 1 << 30], dtype: .uint8)
    }
    let text = result.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? ""
    #expect(text.contains("lower the batch size"))
    #expect(text.split(separator: "\n").count == 1)
  }

  private static let mismatchLine = #line + 2
  private static func addMismatched() {
    _ = Tensor.ones([2]) + Tensor.ones([3])
  }

  /// The names in `Operator("...")` in the Swift files under `folder`.
  static func operatorNames(under folder: String) throws -> Set<String> {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let files = FileManager.default.enumerator(at: root.appending(path: folder), includingPropertiesForKeys: nil)
    var names: Set<String> = []
    for case let file as URL in try #require(files) where file.pathExtension == "swift" {
      // The door's own documentation shows an example.
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.contains("///") {
        for match in line.matches(of: /Operator\("([a-z0-9_]+::[^"]+)"\)/) { names.insert(String(match.1)) }
      }
    }
    try #require(!names.isEmpty, "no operators under \(folder)")
    return names
  }
}
