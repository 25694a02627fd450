import Foundation
import QuenchSupport

/// The messages of an ONNX file, as far as a network needs them. Tensors stay where they lie.
enum ONNXProto {
  struct Model {
    var graph = Graph()
    /// Versions of the operator sets by domain.
    var opsets: [String: Int] = [:]
    var producer = ""
  }

  struct Graph {
    var nodes: [Node] = []
    var initializers: [Tensor] = []
    var inputs: [ValueInfo] = []
    var outputs: [ValueInfo] = []
    var hasSparse = false
  }

  struct Node {
    var name = ""
    var type = ""
    var domain = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [String: Attribute] = [:]
  }

  enum Attribute {
    case integer(Int)
    case real(Double)
    case text(String)
    case tensor(Tensor)
    case integers([Int])
    case reals([Double])
    /// A graph, texts, or what else numbers are not.
    case other
  }

  struct Tensor {
    var name = ""
    var shape: [Int] = []
    var type = 0
    var raw: Range<Int>?
    /// Numbers that lie by themselves or packed, with the number of the field that holds them.
    var numbers: [(field: Int, range: Range<Int>)] = []
    var isExternal = false
    var external: [String: String] = [:]
  }

  struct ValueInfo {
    enum Size: Equatable {
      case fixed(Int)
      case free
    }

    var name = ""
    /// What ONNX calls the type of its elements; 0 for what is no tensor.
    var type = 0
    /// Nil where the file doesn't tell.
    var sizes: [Size]?
  }

  static func model(_ source: ByteSource) throws(InputError) -> Model {
    var wire = ONNXWire(source)
    var model = Model()
    var found = false
    while let field = try wire.next() {
      guard let range = field.range else { continue }
      switch field.number {
      case 2: model.producer = try wire.text(range)
      case 7:
        model.graph = try graph(wire.message(range))
        found = true
      case 8:
        var (domain, version) = ("", 1)
        var message = wire.message(range)
        while let field = try message.next() {
          if field.number == 1, let range = field.range { domain = try wire.text(range) }
          if field.number == 2, let value = field.integer { version = value }
        }
        model.opsets[domain == "ai.onnx" ? "" : domain] = version
      default: break
      }
    }
    guard found else {
      throw InputError(
        "the ONNX model holds no graph", at: source.name, remedy: "the file is truncated: fetch or write it again")
    }
    return model
  }

  private static let maximumNodes = 200_000

  private static func graph(_ message: ONNXWire) throws(InputError) -> Graph {
    var wire = message
    var graph = Graph()
    while let field = try wire.next() {
      guard let range = field.range else { continue }
      switch field.number {
      case 1:
        guard graph.nodes.count < maximumNodes else {
          throw InputError(
            "the model has too many nodes", at: wire.source.name, expected: "at most \(maximumNodes)")
        }
        graph.nodes.append(try node(wire.message(range)))
      case 5: graph.initializers.append(try tensor(wire.message(range)))
      case 11: graph.inputs.append(try valueInfo(wire.message(range)))
      case 12: graph.outputs.append(try valueInfo(wire.message(range)))
      case 15: graph.hasSparse = true
      default: break
      }
    }
    return graph
  }

  private static func node(_ message: ONNXWire) throws(InputError) -> Node {
    var wire = message
    var node = Node()
    while let field = try wire.next() {
      guard let range = field.range else { continue }
      switch field.number {
      case 1: node.inputs.append(try wire.text(range))
      case 2: node.outputs.append(try wire.text(range))
      case 3: node.name = try wire.text(range)
      case 4: node.type = try wire.text(range)
      case 5:
        let (name, value) = try attribute(wire.message(range))
        node.attributes[name] = value
      case 7:
        let domain = try wire.text(range)
        node.domain = domain == "ai.onnx" ? "" : domain
      default: break
      }
    }
    return node
  }

  private static func attribute(_ message: ONNXWire) throws(InputError) -> (String, Attribute) {
    var wire = message
    var name = ""
    var value = Attribute.other
    var type: Int?
    var integers: [Int] = []
    var reals: [Double] = []
    while let field = try wire.next() {
      switch (field.number, field.payload) {
      case (1, .bytes(let range)): name = try wire.text(range)
      case (2, .bytes(let range)): value = .real(try floats(wire, range).first ?? 0)
      case (3, .integer(let number)): value = .integer(Int(truncatingIfNeeded: number))
      case (4, .bytes(let range)): value = .text(try wire.text(range))
      case (5, .bytes(let range)): value = .tensor(try tensor(wire.message(range)))
      case (7, .bytes(let range)): reals += try floats(wire, range)
      case (8, .integer(let number)): integers.append(Int(truncatingIfNeeded: number))
      case (8, .bytes(let range)):
        var packed = wire.message(range)
        while !packed.isAtEnd { integers.append(Int(truncatingIfNeeded: try packed.varint())) }
      case (20, .integer(let number)): type = Int(truncatingIfNeeded: number)
      default: break
      }
    }
    // What holds an empty list or a number 0 may leave the field out.
    switch type {
    case 1: if case .real = value {} else { value = .real(0) }
    case 2: if case .integer = value {} else { value = .integer(0) }
    case 3: if case .text = value {} else { value = .text("") }
    case 6: value = .reals(reals)
    case 7: value = .integers(integers)
    default: if !integers.isEmpty { value = .integers(integers) } else if !reals.isEmpty { value = .reals(reals) }
    }
    return (name, value)
  }

  private static func floats(_ wire: ONNXWire, _ range: Range<Int>) throws(InputError) -> [Double] {
    let bytes = [UInt8](try wire.source.read(range))
    return stride(from: 0, to: bytes.count - 3, by: 4).map { start in
      let bits = bytes[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      return Double(Float(bitPattern: bits))
    }
  }

  private static func tensor(_ message: ONNXWire) throws(InputError) -> Tensor {
    var wire = message
    var tensor = Tensor()
    while let field = try wire.next() {
      switch (field.number, field.payload) {
      case (1, .integer(let size)): tensor.shape.append(Int(truncatingIfNeeded: size))
      case (1, .bytes(let range)):
        var packed = wire.message(range)
        while !packed.isAtEnd { tensor.shape.append(Int(truncatingIfNeeded: try packed.varint())) }
      case (2, .integer(let type)): tensor.type = Int(truncatingIfNeeded: type)
      case (4, .bytes(let range)), (5, .bytes(let range)), (7, .bytes(let range)), (10, .bytes(let range)),
        (11, .bytes(let range)):
        tensor.numbers.append((field.number, range))
      case (5, .integer), (7, .integer), (11, .integer):
        throw InputError(
          "a tensor's numbers are not packed", at: wire.source.name, remedy: "write the model again with onnx.save")
      case (8, .bytes(let range)): tensor.name = try wire.text(range)
      case (9, .bytes(let range)): tensor.raw = range
      case (13, .bytes(let range)):
        var (key, value) = ("", "")
        var entry = wire.message(range)
        while let field = try entry.next() {
          if field.number == 1, let range = field.range { key = try wire.text(range) }
          if field.number == 2, let range = field.range { value = try wire.text(range) }
        }
        tensor.external[key] = value
      case (14, .integer(let place)): tensor.isExternal = place == 1
      default: break
      }
    }
    return tensor
  }

  private static func valueInfo(_ message: ONNXWire) throws(InputError) -> ValueInfo {
    var wire = message
    var info = ValueInfo()
    while let field = try wire.next() {
      guard let range = field.range else { continue }
      if field.number == 1 { info.name = try wire.text(range) }
      guard field.number == 2 else { continue }
      var type = wire.message(range)
      while let field = try type.next() {
        guard field.number == 1, let range = field.range else { continue }
        var tensor = type.message(range)
        while let field = try tensor.next() {
          if field.number == 1, let value = field.integer { info.type = value }
          if field.number == 2, let range = field.range { info.sizes = try sizes(tensor.message(range)) }
        }
      }
    }
    return info
  }

  private static func sizes(_ message: ONNXWire) throws(InputError) -> [ValueInfo.Size] {
    var wire = message
    var sizes: [ValueInfo.Size] = []
    while let field = try wire.next() {
      guard field.number == 1, let range = field.range else { continue }
      var size = ValueInfo.Size.free
      var dimension = wire.message(range)
      while let field = try dimension.next() {
        if field.number == 1, let value = field.integer, value > 0 { size = .fixed(value) }
      }
      sizes.append(size)
    }
    return sizes
  }
}
