import Foundation
import Support
import Yams

extension Value {
  /// The value as YAML in block style. Keys keep their order and strings that look like something else are quoted.
  /// - Throws: `InputError` if a string holds what YAML cannot say.
  public func yaml() throws(InputError) -> String {
    do { return try Yams.serialize(node: node, width: -1, allowUnicode: true) } catch {
      throw InputError("the value cannot be written as YAML: \(error)")
    }
  }

  private var node: Node {
    switch self {
    case .null: Node("null", Tag(.null))
    case .bool(let value): Node(value ? "true" : "false", Tag(.bool))
    case .int(let value): Node("\(value)", Tag(.int))
    case .double(let value): Node(value.yamlText, Tag(.float))
    case .string(let value): .scalar(value.represented())
    case .array(let values):
      Node(values.map(\.node), Tag(.seq), values.allSatisfy(\.isScalar) ? .flow : .block)
    case .object(let record):
      Node(
        record.map { (.scalar($0.key.represented()), $0.value.node) }, Tag(.map), record.isEmpty ? .flow : .block)
    }
  }

  private var isScalar: Bool {
    switch self {
    case .array, .object: false
    default: true
    }
  }

  /// Reads one YAML document: mappings with string keys, sequences and plain values. Empty text is `null`.
  /// - Parameters:
  ///   - data: UTF-8 text of at most 4 MB.
  ///   - name: What the text is, for errors: usually the file's path.
  /// - Throws: `InputError` with the line of the first mistake. Anchors and aliases, which can make a small file
  ///   large, and nesting over 100 levels are mistakes.
  public init(yaml data: Data, name: String) throws(InputError) {
    guard data.count <= 4 << 20 else {
      throw InputError(
        "the YAML file is too large", at: name, expected: "at most 4 MB", found: "\(data.count) bytes")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw InputError("the YAML file is not UTF-8", at: name)
    }
    guard !(text.hasYAMLMark("&") && text.hasYAMLMark("*")) else {
      throw InputError(
        "YAML anchors and aliases are not supported", at: name, remedy: "write the values out where they are used")
    }
    let root: Node?
    do { root = try Parser(yaml: text).singleRoot() } catch {
      throw InputError("this is not valid YAML: \(Value.reason(of: error))", at: name)
    }
    self = try root.map { node throws(InputError) in try Value(node, name: name, depth: 0) } ?? .null
  }

  private init(_ node: Node, name: String, depth: Int) throws(InputError) {
    func mistake(_ problem: String) -> InputError {
      InputError(problem, at: node.mark.map { "\(name), line \($0.line)" } ?? name)
    }
    guard depth < 100 else { throw mistake("the YAML is nested over 100 levels deep") }
    switch node {
    case .scalar(let scalar):
      self = Value(scalar)
    case .sequence(let sequence):
      var values: [Value] = []
      for element in sequence { values.append(try Value(element, name: name, depth: depth + 1)) }
      self = .array(values)
    case .mapping(let mapping):
      var record = Record()
      for (key, value) in mapping {
        guard let key = key.scalar?.string else { throw mistake("a key is not a plain word") }
        record[key] = try Value(value, name: name, depth: depth + 1)
      }
      self = .object(record)
    case .alias:
      throw mistake("YAML aliases are not supported")
    }
  }

  private init(_ scalar: Node.Scalar) {
    let node = Node.scalar(scalar)
    let isPlain = scalar.style == .any || scalar.style == .plain
    switch isPlain ? node.tag : Tag(.str) {
    case Tag(.null): self = .null
    case Tag(.bool): self = node.bool.map { .bool($0) } ?? .string(scalar.string)
    case Tag(.int): self = Int(scalar.string).map { .int($0) } ?? .string(scalar.string)
    case Tag(.float): self = Double(yaml: scalar.string).map { .double($0) } ?? .string(scalar.string)
    default: self = .string(scalar.string)
    }
  }

  private static func reason(of error: any Error) -> String {
    switch error {
    case YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _):
      "\(problem) (line \(mark.line), column \(mark.column))"
    case YamlError.duplicatedKeysInMapping(let duplicates, let context):
      "the key \(duplicates.first ?? "") occurs twice (line \(context.mark.line))"
    default: "\(error)"
    }
  }
}

extension Double {
  fileprivate var yamlText: String {
    if isNaN { return ".nan" }
    return isInfinite ? (self < 0 ? "-.inf" : ".inf") : "\(self)"
  }

  fileprivate init?(yaml text: String) {
    switch text.lowercased() {
    case ".nan": self = .nan
    case ".inf", "+.inf": self = .infinity
    case "-.inf": self = -.infinity
    default: self.init(text)
    }
  }
}

extension String {
  /// Whether `mark` stands where YAML reads it as an anchor or an alias: before a name, after space or punctuation.
  fileprivate func hasYAMLMark(_ mark: Unicode.Scalar) -> Bool {
    let (mark, before) = (UInt8(ascii: mark), Array(" \t\r\n[{,:?-".utf8))
    var previous = UInt8(ascii: "\n")
    return utf8.contains { byte in
      defer { previous = byte }
      return byte == mark && before.contains(previous)
    }
  }
}
