import Foundation
import QuenchSupport

/// A program as `torch.export` tells it in JSON, as far as it is read (PyTorch's `torch/_export/serde/schema.py`,
/// version 8).
struct ExportedProgramSchema: Decodable {
  var module: Module
  var ranges: [String: Range]
  var version: Version

  enum CodingKeys: String, CodingKey {
    case module = "graph_module"
    case ranges = "range_constraints"
    case version = "schema_version"
  }

  struct Version: Decodable {
    var major: Int
    var minor: Int
  }

  /// What can be read whatever the version is.
  struct Envelope: Decodable {
    var version: Version
    enum CodingKeys: String, CodingKey { case version = "schema_version" }
  }

  struct Range: Decodable {
    var min: Int?
    var max: Int?
    enum CodingKeys: String, CodingKey {
      case min = "min_val"
      case max = "max_val"
    }
  }

  struct Module: Decodable {
    var graph: Graph
    var signature: Signature
  }

  struct Graph: Decodable {
    var inputs: [Argument]
    var outputs: [Argument]
    var nodes: [Node]
    var tensors: [String: TensorMeta]
    var sizes: [String: SymbolicSize]

    enum CodingKeys: String, CodingKey {
      case inputs, outputs, nodes
      case tensors = "tensor_values"
      case sizes = "sym_int_values"
    }
  }

  struct Node: Decodable {
    var target: String
    var inputs: [NamedArgument]
    var outputs: [Argument]
    var metadata: Metadata
    var name: String?

    struct Metadata: Decodable {
      var modules: String?
      enum CodingKeys: String, CodingKey { case modules = "nn_module_stack" }
    }
  }

  struct NamedArgument: Decodable {
    var name: String
    var argument: Argument
    enum CodingKeys: String, CodingKey {
      case name
      case argument = "arg"
    }
  }

  struct Name: Decodable { var name: String }

  struct Subgraph: Decodable {
    var name: String
    var graph: Graph
  }

  struct Signature: Decodable {
    var inputs: [InputSpecification]
    var outputs: [OutputSpecification]
    enum CodingKeys: String, CodingKey {
      case inputs = "input_specs"
      case outputs = "output_specs"
    }
  }

  struct TensorMeta: Decodable {
    var type: Int
    var sizes: [SymbolicSize]
    var strides: [SymbolicSize]
    var offset: SymbolicSize
    enum CodingKeys: String, CodingKey {
      case sizes, strides
      case type = "dtype"
      case offset = "storage_offset"
    }
  }

  /// `data/weights/NAME_weights_config.json` and its like: where each tensor's bytes are.
  struct Payloads: Decodable {
    var config: [String: Payload]

    /// What two names of one tensor have in common.
    struct Place: Hashable {
      var path: String
      var view: [Int?]
    }

    struct Payload: Decodable {
      var path: String
      var isPickled: Bool
      var tensor: TensorMeta?
      var place: Place {
        Place(path: path, view: tensor.map { ($0.sizes + $0.strides + [$0.offset]).map(\.number) } ?? [])
      }
      enum CodingKeys: String, CodingKey {
        case path = "path_name"
        case isPickled = "use_pickle"
        case tensor = "tensor_meta"
      }
    }
  }
}

/// The one key of an object that stands for a choice.
private struct Choice: CodingKey, ExpressibleByStringLiteral {
  var stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init(stringLiteral value: String) { stringValue = value }
  init?(intValue: Int) { nil }

  /// The container of an object with one key, and the key.
  static func read(
    _ decoder: any Decoder
  ) throws -> (container: KeyedDecodingContainer<Choice>, key: Choice) {
    let container = try decoder.container(keyedBy: Choice.self)
    guard container.allKeys.count == 1, let key = container.allKeys.first else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "not one choice"))
    }
    return (container, key)
  }
}

extension ExportedProgramSchema {
  /// A size that may be an expression of the input's sizes.
  enum SymbolicSize: Decodable {
    case fixed(Int)
    case expression(String, hint: Int?)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      if key.stringValue == "as_expr" {
        let expression = try container.nestedContainer(keyedBy: Choice.self, forKey: key)
        let hint = try? expression.nestedContainer(keyedBy: Choice.self, forKey: "hint")
        self = .expression(
          try expression.decode(String.self, forKey: "expr_str"),
          hint: try? hint?.decode(Int.self, forKey: "as_int"))
      } else {
        self = .fixed(try container.decode(Int.self, forKey: key))
      }
    }

    /// Nil for an expression.
    var number: Int? { if case .fixed(let number) = self { number } else { nil } }

    /// Whether the size depends on what the input holds, not on its shape alone.
    var isDataDependent: Bool {
      guard case .expression(let text, _) = self else { return false }
      return text.contains("Symbol('u") || text.first == "u"
    }

    /// The name of a size that is an input's own: `s34`.
    var symbol: String? {
      guard case .expression(let text, _) = self else { return nil }
      guard text.hasPrefix("Symbol('") else { return text.allSatisfy { $0.isLetter || $0.isNumber } ? text : nil }
      let name = text.dropFirst("Symbol('".count).prefix { $0 != "'" }
      return text.dropFirst("Symbol('".count + name.count).contains("(") ? nil : String(name)
    }
  }

  /// A number or a computed one, or the text that stands for one that JSON doesn't have.
  struct Real: Decodable {
    var value: Double
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        guard let named = ["Infinity": Double.infinity, "-Infinity": -.infinity, "NaN": .nan][text] else {
          throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a number")
        }
        value = named
      } else {
        value = try container.decode(Double.self)
      }
    }
  }

  /// A number that may be a node's result.
  enum Symbolic<Number: Decodable>: Decodable {
    case named(String)
    case number(Number)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      self =
        key.stringValue == "as_name"
        ? .named(try container.decode(String.self, forKey: key))
        : .number(try container.decode(Number.self, forKey: key))
    }
  }

  enum OptionalName: Decodable {
    case absent
    case present(String)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      self = key.stringValue == "as_tensor" ? .present(try container.decode(Name.self, forKey: key).name) : .absent
    }
  }

  indirect enum Argument: Decodable {
    case none
    case tensor(String)
    case tensors([OptionalName])
    case boolean(Bool)
    case booleans([Bool])
    case integer(Int)
    case integers([Int])
    case real(Double)
    case reals([Double])
    case string(String)
    case size(Symbolic<Int>)
    case sizes([Symbolic<Int>])
    case truth(Symbolic<Bool>)
    case fraction(Symbolic<Real>)
    case dtype(Int)
    case memoryFormat(Int)
    case layout(Int)
    case device
    case graph(Subgraph)
    /// Anything else, by its key.
    case other(String)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T { try container.decode(type, forKey: key) }
      switch key.stringValue {
      case "as_none": self = .none
      case "as_tensor": self = .tensor(try decode(Name.self).name)
      case "as_tensors": self = .tensors(try decode([Name].self).map { .present($0.name) })
      case "as_optional_tensors": self = .tensors(try decode())
      case "as_optional_tensor":
        if case .present(let name) = try decode(OptionalName.self) { self = .tensor(name) } else { self = .none }
      case "as_bool": self = .boolean(try decode())
      case "as_bools": self = .booleans(try decode())
      case "as_int": self = .integer(try decode())
      case "as_ints": self = .integers(try decode())
      case "as_float": self = .real(try decode(Real.self).value)
      case "as_floats": self = .reals(try decode([Real].self).map(\.value))
      case "as_string": self = .string(try decode())
      case "as_sym_int": self = .size(try decode())
      case "as_sym_ints": self = .sizes(try decode())
      case "as_sym_bool": self = .truth(try decode())
      case "as_sym_float": self = .fraction(try decode())
      case "as_scalar_type": self = .dtype(try decode())
      case "as_memory_format": self = .memoryFormat(try decode())
      case "as_layout": self = .layout(try decode())
      case "as_device": self = .device
      case "as_graph": self = .graph(try decode())
      default: self = .other(key.stringValue)
      }
    }
  }

  enum InputSpecification: Decodable {
    case user(Argument)
    case held(OperatorGraph.Held.Kind, argument: String, name: String)
    /// An argument that was left at a constant when the program was exported.
    case constant
    case other(String)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      let content = try container.nestedContainer(keyedBy: Choice.self, forKey: key)
      func held(_ kind: OperatorGraph.Held.Kind, _ name: Choice) throws -> InputSpecification {
        .held(
          kind, argument: try content.decode(Name.self, forKey: "arg").name,
          name: try content.decode(String.self, forKey: name))
      }
      switch key.stringValue {
      case "user_input": self = .user(try content.decode(Argument.self, forKey: "arg"))
      case "parameter": self = try held(.parameter, "parameter_name")
      case "buffer":
        let isPersistent = try content.decodeIfPresent(Bool.self, forKey: "persistent") ?? true
        self = try held(isPersistent ? .buffer : .constant, "buffer_name")
      case "tensor_constant": self = try held(.constant, "tensor_constant_name")
      case "constant_input": self = .constant
      default: self = .other(key.stringValue)
      }
    }
  }

  enum OutputSpecification: Decodable {
    case user(Argument)
    case other(String)

    init(from decoder: any Decoder) throws {
      let (container, key) = try Choice.read(decoder)
      guard key.stringValue == "user_output" else {
        self = .other(key.stringValue)
        return
      }
      let content = try container.nestedContainer(keyedBy: Choice.self, forKey: key)
      self = .user(try content.decode(Argument.self, forKey: "arg"))
    }
  }
}
