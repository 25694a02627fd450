import Foundation
import QuenchSupport
import Yams

/// A value of a configuration, a metric or a summary: what JSON and YAML can both say.
public enum Value: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  /// JSON has no NaN and no infinity: such a double is written there as `null`.
  case double(Double)
  case string(String)
  case array([Value])
  case object(Record)

  /// The number, if it is an `int` or a `double`.
  public var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  public var integer: Int? { if case .int(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [Value]? { if case .array(let value) = self { value } else { nil } }
  public var record: Record? { if case .object(let value) = self { value } else { nil } }
}

/// Named values in a fixed order, as in a JSON object.
public struct Record: Hashable, Sendable {
  /// The keys, in order.
  public private(set) var keys: [String] = []
  private var values: [String: Value] = [:]

  public init() {}

  /// Reads or sets the value of `key`. A new key goes to the end; setting `nil` removes the key.
  public subscript(key: String) -> Value? {
    get { values[key] }
    set {
      if let newValue {
        if values.updateValue(newValue, forKey: key) == nil { keys.append(key) }
      } else if values.removeValue(forKey: key) != nil {
        keys.removeAll { $0 == key }
      }
    }
  }

  /// Sets every key of `other`.
  public mutating func merge(_ other: Record) {
    for (key, value) in other { self[key] = value }
  }

  /// The record with those keys of `other` that it has not.
  public func adding(_ other: Record) -> Record {
    var record = self
    for (key, value) in other where self[key] == nil { record[key] = value }
    return record
  }

  /// The record with every key of `other` set.
  public func merging(_ other: Record) -> Record {
    var record = self
    record.merge(other)
    return record
  }

  /// The record without keys that have no value.
  public var withoutNulls: Record {
    reduce(into: Record()) { if $1.value != .null { $0[$1.key] = $1.value } }
  }

  /// The record with nested records taken apart: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.
  public var flattened: Record {
    var flat = Record()
    for (key, value) in self {
      if case .object(let inner) = value {
        for (innerKey, value) in inner.flattened { flat["\(key).\(innerKey)"] = value }
      } else {
        flat[key] = value
      }
    }
    return flat
  }

  /// The value of `key`, or the record that ``flattened`` took apart under it; nil where there is neither.
  func part(_ key: String) -> Value? {
    if let value = self[key] { return value }
    let prefix = "\(key)."
    let inner = reduce(into: Record()) { inner, pair in
      if pair.key.hasPrefix(prefix) { inner[String(pair.key.dropFirst(prefix.count))] = pair.value }
    }
    return inner.isEmpty ? nil : .object(inner)
  }

  /// The flattened keys whose values differ between the two records, those of `self` first.
  public func differences(from other: Record) -> [String] {
    let (mine, theirs) = (flattened, other.flattened)
    return mine.keys.filter { mine[$0] != theirs[$0] } + theirs.keys.filter { mine[$0] == nil }
  }
}

extension Record: Sequence {
  public func makeIterator() -> some IteratorProtocol<(key: String, value: Value)> {
    keys.lazy.compactMap { key in values[key].map { (key: key, value: $0) } }.makeIterator()
  }

  public var isEmpty: Bool { keys.isEmpty }
}

extension Record: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, Value)...) {
    for (key, value) in elements { self[key] = value }
  }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: Value...) { self = .array(elements) }
  public init(nilLiteral: ()) { self = .null }
  public init(dictionaryLiteral elements: (String, Value)...) {
    var record = Record()
    for (key, value) in elements { record[key] = value }
    self = .object(record)
  }
}

extension Value: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .int(value)
    } else if let value = try? container.decode(Double.self) {
      self = .double(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let values = try? container.decode([Value].self) {
      self = .array(values)
    } else {
      let values = try container.decode([String: Value].self)
      self = .object(values.sorted { $0.key < $1.key }.reduce(into: Record()) { $0[$1.key] = $1.value })
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .int(let value): try container.encode(value)
    case .double(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let record):
      try container.encode(Dictionary(record.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }))
    }
  }
}

extension Value: CustomStringConvertible {
  /// The value as a person reads it: strings bare, the elements of an array after each other, an object as in JSON.
  public var description: String {
    switch self {
    case .string(let text): text
    case .array(let values): values.map(\.description).joined(separator: ", ")
    default: json()
    }
  }
}
