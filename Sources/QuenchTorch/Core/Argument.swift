import CTorch
import Foundation

/// A value that can be an operator's argument.
public protocol Argument {
  func append(to list: inout ArgumentList)
}

/// An argument that takes the schema's default, for one that stands before others.
public struct SchemaDefault: Argument {
  public init() {}
  public func append(to list: inout ArgumentList) { list.append(tag: CT_DEFAULT) }
}

/// The arguments of one call in the door's form: values, and the lists that they point into.
public struct ArgumentList {
  private var values: [ct_value] = []
  private var integers: [Int64] = []
  private var reals: [Double] = []
  private var tensors: [OpaquePointer?] = []
  private var strings: [[CChar]] = []

  init(reserving count: Int) { values.reserveCapacity(count) }

  mutating func append(tag: Int, _ fill: (inout ct_value) -> Void = { _ in }) {
    var value = ct_value()
    value.tag = Int32(tag)
    fill(&value)
    values.append(value)
  }

  /// A list lies in its pool from `offset` on; ``withValues(_:)`` turns the offset into an address.
  private mutating func append(tag: Int, offset: Int, count: Int) {
    append(tag: tag) {
      $0.count = Int64(count)
      $0.as.integer = Int64(offset)
    }
  }

  mutating func append(_ list: [Int]) {
    append(tag: CT_INTEGERS, offset: integers.count, count: list.count)
    integers.append(contentsOf: list.lazy.map(Int64.init))
  }

  mutating func append(_ list: [Double]) {
    append(tag: CT_REALS, offset: reals.count, count: list.count)
    reals.append(contentsOf: list)
  }

  mutating func append(_ list: some Collection<OpaquePointer?>) {
    append(tag: CT_TENSORS, offset: tensors.count, count: list.count)
    tensors.append(contentsOf: list)
  }

  mutating func append(_ string: String) {
    let position = strings.count
    append(tag: CT_STRING) { $0.as.integer = Int64(position) }
    strings.append(Array(string.utf8CString))
  }

  /// Runs `body` with every list's address filled in; the addresses are valid only there.
  mutating func withValues<Result>(_ body: (UnsafeBufferPointer<ct_value>) -> Result) -> Result {
    integers.withUnsafeBufferPointer { integers in
      reals.withUnsafeBufferPointer { reals in
        tensors.withUnsafeBufferPointer { tensors in
          let texts = strings.map { text in text.withUnsafeBufferPointer { strdup($0.baseAddress!) } }
          defer { for text in texts { free(text) } }
          for index in values.indices {
            let offset = Int(values[index].as.integer)
            switch Int(values[index].tag) {
            case CT_INTEGERS: values[index].as.integers = integers.baseAddress.map { $0 + offset }
            case CT_REALS: values[index].as.reals = reals.baseAddress.map { $0 + offset }
            case CT_TENSORS: values[index].as.tensors = tensors.baseAddress.map { $0 + offset }
            case CT_STRING: values[index].as.string = texts[offset].map { UnsafePointer($0) }
            default: break
            }
          }
          return values.withUnsafeBufferPointer(body)
        }
      }
    }
  }
}

extension Tensor: Argument {
  public func append(to list: inout ArgumentList) { list.append(tag: CT_TENSOR) { $0.as.tensor = raw } }
}

extension Int: Argument {
  public func append(to list: inout ArgumentList) { list.append(tag: CT_INTEGER) { $0.as.integer = Int64(self) } }
}

extension Double: Argument {
  public func append(to list: inout ArgumentList) { list.append(tag: CT_REAL) { $0.as.real = self } }
}

extension Bool: Argument {
  public func append(to list: inout ArgumentList) { list.append(tag: CT_BOOLEAN) { $0.as.integer = self ? 1 : 0 } }
}

extension String: Argument {
  public func append(to list: inout ArgumentList) { list.append(self) }
}

extension DType: Argument {
  public func append(to list: inout ArgumentList) { Int(rawValue).append(to: &list) }
}

extension MemoryFormat: Argument {
  public func append(to list: inout ArgumentList) { rawValue.append(to: &list) }
}

extension Device: Argument {
  public func append(to list: inout ArgumentList) {
    list.append(tag: CT_DEVICE) {
      $0.as.integer = Int64(type)
      $0.count = Int64(index)
    }
  }
}

extension Generator: Argument {
  public func append(to list: inout ArgumentList) { list.append(tag: CT_GENERATOR) { $0.as.generator = raw } }
}

extension Optional: Argument where Wrapped: Argument {
  public func append(to list: inout ArgumentList) {
    if let self { self.append(to: &list) } else { list.append(tag: CT_NONE) }
  }
}

extension Array: Argument where Element: ListElement {
  public func append(to list: inout ArgumentList) { Element.append(self, to: &list) }
}

/// An element of a list argument.
public protocol ListElement {
  static func append(_ elements: [Self], to list: inout ArgumentList)
}

extension Int: ListElement {
  public static func append(_ elements: [Int], to list: inout ArgumentList) { list.append(elements) }
}

extension Double: ListElement {
  public static func append(_ elements: [Double], to list: inout ArgumentList) { list.append(elements) }
}

extension Tensor: ListElement {
  public static func append(_ elements: [Tensor], to list: inout ArgumentList) { list.append(elements.map(\.raw)) }
}

extension Optional: ListElement where Wrapped == Tensor {
  public static func append(_ elements: [Tensor?], to list: inout ArgumentList) {
    list.append(elements.map { $0?.raw })
  }
}
