internal import CYaml
import Foundation
import QuenchSupport
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
  ///   large, nesting over 100 levels and more than 200,000 values are mistakes.
  public init(yaml data: Data, name: String) throws(InputError) {
    guard data.count <= 4 << 20 else {
      throw InputError(
        "the YAML file is too large", at: name, expected: "at most 4 MB", found: "\(data.count) bytes")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw InputError("the YAML file is not UTF-8", at: name)
    }
    try YAMLEvents.check(data, name: name)
    let root: Node?
    do { root = try Parser(yaml: text).singleRoot() } catch {
      throw InputError("this is not valid YAML: \(Value.reason(of: error))", at: name)
    }
    self = try root.map { node throws(InputError) in try Value(node, name: name) } ?? .null
  }

  private init(_ node: Node, name: String) throws(InputError) {
    func mistake(_ problem: String) -> InputError {
      InputError(problem, at: node.mark.map { "\(name), line \($0.line)" } ?? name)
    }
    switch node {
    case .scalar(let scalar):
      self = Value(scalar)
    case .sequence(let sequence):
      var values: [Value] = []
      for element in sequence { values.append(try Value(element, name: name)) }
      self = .array(values)
    case .mapping(let mapping):
      var record = Record()
      for (key, value) in mapping {
        guard let key = key.scalar?.string else { throw mistake("a key is not a plain word") }
        record[key] = try Value(value, name: name)
      }
      self = .object(record)
    case .alias:
      throw mistake("YAML aliases are not supported")
    }
  }

  private init(_ scalar: Node.Scalar) {
    let node = Node.scalar(scalar)
    // No number is so long; to read one that is would take the square of its length.
    let isPlain = (scalar.style == .any || scalar.style == .plain) && scalar.string.utf8.count <= 200
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
      "the key \("\(duplicates.first ?? "")".excerpt(80)) occurs twice (line \(context.mark.line))"
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

/// What the YAML parser reports as it reads, before any value is made of it.
private enum YAMLEvents {
  static let maximumDepth = 100
  static let maximumValues = 200_000

  /// - Throws: `InputError` for an anchor or an alias, too deep nesting or too many values. Text that is no YAML is left
  ///   for the reader to complain about.
  static func check(_ data: Data, name: String) throws(InputError) {
    try data.parse { (bytes) throws(InputError) in
      var parser = yaml_parser_t()
      guard yaml_parser_initialize(&parser) == 1 else { throw InputError("out of memory", at: name) }
      defer { yaml_parser_delete(&parser) }
      yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
      yaml_parser_set_input_string(&parser, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
      var (depth, values) = (0, 0)
      while true {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else { return }
        defer { yaml_event_delete(&event) }
        func mistake(_ problem: String, remedy: String? = nil) -> InputError {
          InputError(problem, at: "\(name), line \(event.start_mark.line + 1)", remedy: remedy)
        }
        var anchor: UnsafeMutablePointer<yaml_char_t>?
        switch event.type {
        case YAML_STREAM_END_EVENT: return
        case YAML_ALIAS_EVENT: anchor = event.data.alias.anchor
        case YAML_SCALAR_EVENT: (anchor, values) = (event.data.scalar.anchor, values + 1)
        case YAML_SEQUENCE_START_EVENT:
          (anchor, values, depth) = (event.data.sequence_start.anchor, values + 1, depth + 1)
        case YAML_MAPPING_START_EVENT:
          (anchor, values, depth) = (event.data.mapping_start.anchor, values + 1, depth + 1)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: depth -= 1
        default: break
        }
        guard anchor == nil else {
          throw mistake(
            "YAML anchors and aliases are not supported", remedy: "write the values out where they are used")
        }
        guard depth <= maximumDepth else { throw mistake("the YAML is nested over \(maximumDepth) levels deep") }
        guard values <= maximumValues else { throw mistake("the YAML holds over \(maximumValues) values") }
      }
    }
  }
}
