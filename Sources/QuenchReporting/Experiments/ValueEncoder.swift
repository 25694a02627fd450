import QuenchSupport

extension Value {
  /// What `value` encodes to: keys in the order in which it encodes them, ``InlineGroup``s among those of their
  /// holder, and `null` for what it has no value for.
  /// - Throws: `InputError` if the value cannot be encoded.
  public init(encoding value: some Encodable, style: KeyStyle = .settings) throws(InputError) {
    let node = ValueEncoder.Node()
    do { try value.encode(to: ValueEncoder(node: node, style: style)) } catch {
      throw InputError("the value cannot be encoded: \(error)", at: "\(type(of: value))")
    }
    self = node.value
  }
}

/// Encodes into a ``Value``.
struct ValueEncoder: Encoder {
  /// A value that is being put together.
  final class Node {
    enum Content {
      case plain(Value)
      case array([Node])
      case object([(key: String, node: Node)])
    }

    var content = Content.object([])

    var value: Value {
      switch content {
      case .plain(let value): value
      case .array(let nodes): .array(nodes.map(\.value))
      case .object(let pairs):
        .object(pairs.reduce(into: Record()) { $0[$1.key] = $1.node.value })
      }
    }

    func child(_ key: String) -> Node {
      let node = Node()
      if case .object(let pairs) = content { content = .object(pairs + [(key, node)]) }
      return node
    }

    func element() -> Node {
      let node = Node()
      if case .array(let nodes) = content { content = .array(nodes + [node]) }
      return node
    }
  }

  let node: Node
  let style: KeyStyle
  /// The key of the ``PrefixedGroup`` that is encoded.
  var prefix = ""
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(Keyed<Key>(encoder: self))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    node.content = .array([])
    return Unkeyed(encoder: self)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

  private func encode(_ value: some Encodable, into node: Node) throws {
    switch value {
    case let value as Value: node.content = .plain(value)
    case let value as Bool: node.content = .plain(.bool(value))
    case let value as Double: node.content = .plain(.double(value))
    case let value as Float: node.content = .plain(.double(Double(value)))
    case let value as String: node.content = .plain(.string(value))
    case let value as any BinaryInteger:
      guard let value = Int(exactly: value) else { throw InputError("the integer is too large", found: "\(value)") }
      node.content = .plain(.int(value))
    default: try value.encode(to: ValueEncoder(node: node, style: style))
    }
  }

  private struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: ValueEncoder
    var codingPath: [any CodingKey] { [] }

    private func name(_ key: Key) -> String { encoder.style.key(key.stringValue, prefix: encoder.prefix) }
    private func child(_ key: Key) -> Node { encoder.node.child(name(key)) }

    func encodeNil(forKey key: Key) { child(key).content = .plain(.null) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
      if value is any InlineGroup { return try value.encode(to: encoder) }
      if value is any PrefixedGroup {
        return try value.encode(to: ValueEncoder(node: encoder.node, style: encoder.style, prefix: name(key)))
      }
      try encoder.encode(value, into: child(key))
    }
    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws {
      if let value { return try encode(value, forKey: key) }
      if !(T.self is any InlineGroup.Type || T.self is any PrefixedGroup.Type) { encodeNil(forKey: key) }
    }
    // The library's defaults for plain types leave absent values out.
    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value, key) }
    private func optional<T: Encodable>(_ value: T?, _ key: Key) throws {
      if let value { try encode(value, forKey: key) } else { encodeNil(forKey: key) }
    }

    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
      ValueEncoder(node: child(key), style: encoder.style).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
      ValueEncoder(node: child(key), style: encoder.style).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { encoder }
    func superEncoder(forKey key: Key) -> any Encoder { ValueEncoder(node: child(key), style: encoder.style) }
  }

  private struct Unkeyed: UnkeyedEncodingContainer {
    let encoder: ValueEncoder
    var codingPath: [any CodingKey] { [] }
    var count: Int { if case .array(let nodes) = encoder.node.content { nodes.count } else { 0 } }

    func encodeNil() { encoder.node.element().content = .plain(.null) }
    func encode<T: Encodable>(_ value: T) throws { try encoder.encode(value, into: encoder.node.element()) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
      ValueEncoder(node: encoder.node.element(), style: encoder.style).container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
      ValueEncoder(node: encoder.node.element(), style: encoder.style).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { ValueEncoder(node: encoder.node.element(), style: encoder.style) }
  }

  private struct Single: SingleValueEncodingContainer {
    let encoder: ValueEncoder
    var codingPath: [any CodingKey] { [] }

    func encodeNil() { encoder.node.content = .plain(.null) }
    func encode<T: Encodable>(_ value: T) throws { try encoder.encode(value, into: encoder.node) }
  }
}
