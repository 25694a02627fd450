import QuenchSupport

extension Value {
  /// Decodes what ``init(encoding:style:)`` encoded.
  /// - Parameters:
  ///   - type: What to decode.
  ///   - style: How the keys are spelled.
  ///   - name: What the value is from, for errors: usually a file's path.
  ///   - allowsOtherKeys: Whether keys that the type does not have are passed over.
  ///   - passedOver: Keys that may be there though the type does not have them.
  /// - Throws: `InputError` that names the key and says what was expected, also for a key that the type does not have,
  ///   with the nearest that it has.
  public func decode<T: Decodable>(
    _ type: T.Type = T.self, style: KeyStyle = .settings, name: String, allowsOtherKeys: Bool = false,
    besides passedOver: Set<String> = []
  ) throws(InputError) -> T {
    let place = ValueDecoder.Place(value: self)
    do {
      let value = try ValueDecoder(place: place, style: style).decode(type)
      if !allowsOtherKeys { try place.requireNoOther(at: name, besides: passedOver) }
      return value
    } catch let error as DecodingError {
      throw ValueDecoder.mistake(error, at: name)
    } catch let error as InputError {
      throw error
    } catch {
      throw InputError("the value cannot be read: \(error)", at: name)
    }
  }
}

/// Decodes from a ``Value``.
struct ValueDecoder: Decoder {
  /// A value with the keys that were asked of it, so that those which nothing asks for are found.
  final class Place {
    let value: Value
    private var asked: Set<String> = []
    private var parts: [(key: String, place: Place)] = []

    init(value: Value) { self.value = value }

    func part(_ key: String) -> Place? {
      ask(key)
      guard let value = value.record?.part(key) else { return nil }
      let place = Place(value: value)
      parts.append((key, place))
      return place
    }

    func ask(_ key: String) {
      asked.insert(key)
      asked.formUnion(value.record?.keys.filter { $0.hasPrefix("\(key).") } ?? [])
    }

    /// Makes every key of the value one that was asked for.
    func askForAll() { asked.formUnion(value.record?.keys ?? []) }

    func requireNoOther(at name: String, besides passedOver: Set<String> = []) throws(InputError) {
      guard !asked.isEmpty, let record = value.record else { return }
      for key in record.keys where !asked.contains(key) && !passedOver.contains(key) {
        throw InputError(
          "unknown key", at: "\(name), key '\(key.excerpt(80))'",
          remedy: asked.nearest(to: key).map { "did you mean '\($0)'?" })
      }
      for (key, place) in parts { try place.requireNoOther(at: "\(name), key '\(key)'") }
    }
  }

  let place: Place
  let style: KeyStyle
  var codingPath: [any CodingKey] = []
  /// The key of the ``PrefixedGroup`` that is decoded.
  var prefix = ""
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  private struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  static func mistake(_ error: DecodingError, at name: String) -> InputError {
    func location(_ context: DecodingError.Context) -> String {
      context.codingPath.reduce(name) { "\($0), key '\($1.stringValue)'" }
    }
    return switch error {
    case .keyNotFound(let key, let context):
      InputError("the key '\(key.stringValue)' is missing", at: location(context))
    case .typeMismatch(let type, let context):
      InputError(
        "a value of another kind is expected", at: location(context), expected: expectation(type),
        found: context.debugDescription)
    case .valueNotFound(let type, let context):
      InputError("the key has no value", at: location(context), expected: expectation(type))
    case .dataCorrupted(let context): InputError(context.debugDescription, at: location(context))
    @unknown default: InputError("the value cannot be read", at: name)
    }
  }

  private static func expectation(_ type: Any.Type) -> String {
    switch type {
    case is Bool.Type: "true or false"
    case is any BinaryInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type: "a number"
    case is String.Type: "text"
    case is any UnkeyedDecodingContainer.Type: "a list"
    case is any KeyedDecodingContainerProtocol.Type: "a mapping of keys to values"
    default: "\(type)"
    }
  }

  private func mismatch(_ type: Any.Type) -> DecodingError {
    .typeMismatch(type, .init(codingPath: codingPath, debugDescription: "'\(place.value.description.excerpt(80))'"))
  }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    if type == Value.self, let value = place.value as? T {
      place.askForAll()
      return value
    }
    do { return try T(from: self) } catch var error as InputError where error.location == nil {
      error.location = codingPath.last?.stringValue
      throw error
    } catch let error as DecodingError {
      // What the compiler makes for enumerations says neither what would be right nor in a person's words.
      guard case .dataCorrupted = error, let cases = type as? any (CaseIterable & RawRepresentable).Type else {
        throw error
      }
      let names = Self.names(of: cases)
      let text = place.value.description.excerpt(80)
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: codingPath,
          debugDescription: "unknown value '\(text)'; expected one of \(names.joined(separator: ", "))"
            + (names.nearest(to: text).map { "; did you mean '\($0)'?" } ?? "")))
    }
  }

  private static func names<T: CaseIterable & RawRepresentable>(of type: T.Type) -> [String] {
    type.allCases.map { "\($0.rawValue)" }
  }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard place.value.record != nil else { throw mismatch(KeyedDecodingContainer<Key>.self) }
    return KeyedDecodingContainer(Keyed<Key>(decoder: self))
  }

  /// A list; one plain value is a list of one, and `a,b` one of two, as flags have it.
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    switch place.value {
    case .array(let values): return Unkeyed(decoder: self, values: values)
    case .string(let text):
      let parts = text.split(separator: ",").map { part -> Value in
        let part = part.trimmingPrefix { $0.isWhitespace }
        return Int(part).map { .int($0) } ?? Double(part).map { .double($0) } ?? .string(String(part))
      }
      return Unkeyed(decoder: self, values: parts)
    case .null, .object: throw mismatch((any UnkeyedDecodingContainer).self)
    case let plain: return Unkeyed(decoder: self, values: [plain])
    }
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { Single(decoder: self) }

  private func bool() throws -> Bool {
    guard let value = place.value.bool else { throw mismatch(Bool.self) }
    return value
  }
  private func double() throws -> Double {
    if style == .figures, place.value == .null { return .nan }  // as JSON has it
    guard let value = place.value.number else { throw mismatch(Double.self) }
    return value
  }
  private func string() throws -> String {
    switch place.value {
    case .string, .int, .double, .bool: return place.value.description
    default: throw mismatch(String.self)
    }
  }
  private func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
    guard let number = place.value.integer ?? place.value.number.flatMap(Int.init(exactly:)),
      let value = T(exactly: number)
    else { throw mismatch(T.self) }
    return value
  }

  private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: ValueDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] {
      decoder.place.askForAll()
      return (decoder.place.value.record?.keys ?? []).compactMap { Key(stringValue: $0) }
    }

    private func name(_ key: Key) -> String { decoder.style.key(key.stringValue, prefix: decoder.prefix) }
    private func prefixed(_ key: Key) -> ValueDecoder {
      ValueDecoder(
        place: decoder.place, style: decoder.style, codingPath: codingPath, prefix: name(key))
    }
    private func part(_ key: Key) throws -> ValueDecoder {
      let name = name(key)
      guard let place = decoder.place.part(name) else {
        throw DecodingError.keyNotFound(
          Name(stringValue: name), .init(codingPath: codingPath, debugDescription: ""))
      }
      return ValueDecoder(
        place: place, style: decoder.style, codingPath: codingPath + [Name(stringValue: name)])
    }

    func contains(_ key: Key) -> Bool {
      decoder.place.ask(name(key))
      return decoder.place.value.record?.part(name(key)) != nil
    }
    func decodeNil(forKey key: Key) throws -> Bool { try part(key).place.value == .null }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
      if type is any InlineGroup.Type { return try T(from: decoder) }
      if type is any PrefixedGroup.Type { return try T(from: prefixed(key)) }
      return try part(key).decode(type)
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
      if type is any InlineGroup.Type || type is any PrefixedGroup.Type {
        let inner = type is any InlineGroup.Type ? decoder : prefixed(key)
        do { return try T(from: inner) } catch DecodingError.keyNotFound { return nil }
      }
      guard contains(key), try !decodeNil(forKey: key) else { return nil }
      return try decode(type, forKey: key)
    }

    func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try part(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
      try part(key).unkeyedContainer()
    }
    func superDecoder() -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { try part(key) }
  }

  private struct Unkeyed: UnkeyedDecodingContainer {
    let decoder: ValueDecoder
    let values: [Value]
    private(set) var currentIndex = 0
    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex >= values.count }

    init(decoder: ValueDecoder, values: [Value]) { (self.decoder, self.values) = (decoder, values) }

    private mutating func next() throws -> ValueDecoder {
      guard !isAtEnd else {
        throw DecodingError.valueNotFound(Value.self, .init(codingPath: codingPath, debugDescription: ""))
      }
      defer { currentIndex += 1 }
      return ValueDecoder(
        place: Place(value: values[currentIndex]), style: decoder.style,
        codingPath: codingPath + [Name(stringValue: "\(currentIndex + 1)")])
    }

    mutating func decodeNil() throws -> Bool {
      guard !isAtEnd, values[currentIndex] == .null else { return false }
      currentIndex += 1
      return true
    }
    mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
      let element = try next()
      let value = try element.decode(type)
      try element.place.requireNoOther(at: codingPath.map(\.stringValue).joined(separator: "."))
      return value
    }
    mutating func nestedContainer<Nested: CodingKey>(
      keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try next() }
  }

  private struct Single: SingleValueDecodingContainer {
    let decoder: ValueDecoder
    var codingPath: [any CodingKey] { decoder.codingPath }

    func decodeNil() -> Bool { decoder.place.value == .null }
    func decode(_ type: Bool.Type) throws -> Bool { try decoder.bool() }
    func decode(_ type: String.Type) throws -> String { try decoder.string() }
    func decode(_ type: Double.Type) throws -> Double { try decoder.double() }
    func decode(_ type: Float.Type) throws -> Float { Float(try decoder.double()) }
    func decode(_ type: Int.Type) throws -> Int { try decoder.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try decoder.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try decoder.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try decoder.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try decoder.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try decoder.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try decoder.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try decoder.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try decoder.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try decoder.integer(type) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try decoder.decode(type) }
  }
}
