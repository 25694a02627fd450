import Foundation
import QuenchSupport

/// The named tensors of a model in a fixed order, under PyTorch's names (`layer1.0.conv1.weight`).
///
/// It is a collection of `(name, tensor)` pairs in insertion order; looking up a name takes constant time.
public struct StateDictionary: RandomAccessCollection {
  private var pairs: [(name: String, tensor: Tensor)] = []
  private var positions: [String: Int] = [:]

  public init() {}

  /// A dictionary of `pairs` in their order; a later pair replaces an earlier one of the same name.
  public init(_ pairs: some Sequence<(String, Tensor)>) {
    for (name, tensor) in pairs { self[name] = tensor }
  }

  /// The names in insertion order.
  public var keys: [String] { pairs.map(\.name) }

  public var startIndex: Int { pairs.startIndex }
  public var endIndex: Int { pairs.endIndex }
  public subscript(position: Int) -> (name: String, tensor: Tensor) { pairs[position] }

  /// The tensor called `name`, or nil. Assigning to a new name appends it; assigning nil removes the name.
  public subscript(name: String) -> Tensor? {
    get { positions[name].map { pairs[$0].tensor } }
    set {
      switch (positions[name], newValue) {
      case (let position?, let tensor?):
        pairs[position].tensor = tensor
      case (nil, let tensor?):
        positions[name] = pairs.count
        pairs.append((name, tensor))
      case (let position?, nil):
        pairs.remove(at: position)
        positions[name] = nil
        for later in position..<pairs.count { positions[pairs[later].name] = later }
      case (nil, nil):
        break
      }
    }
  }
}

extension StateDictionary {
  /// Loads the weights in the file at `url`: safetensors or a `torch.save` zip file of plain tensors, told apart by
  /// content, not by name.
  /// - Parameters:
  ///   - url: The file.
  ///   - elements: How many elements the weights may have in all, where the caller knows: a file that holds far more
  ///     is refused before its tensors are read.
  /// - Throws: `InputError` if the file cannot be read, is neither, or is damaged.
  public static func load(_ url: URL, expecting elements: Int? = nil) throws(InputError) -> StateDictionary {
    try load(ByteSource(contentsOf: url), expecting: elements)
  }

  /// Loads weights from `data` in memory; `name` stands for them in errors.
  /// - Throws: `InputError` as ``load(_:expecting:)-(ByteSource,_)`` does.
  public static func load(data: Data, name: String = "data") throws(InputError) -> StateDictionary {
    try load(ByteSource(data, name: name))
  }

  /// Loads weights that are read from `source`.
  /// - Throws: `InputError` as ``load(_:expecting:)`` does.
  public static func load(
    _ source: ByteSource, expecting elements: Int? = nil
  ) throws(InputError) -> StateDictionary {
    guard try Safetensors.isFound(in: source) else {
      return try TorchCheckpoint.load(source, expecting: elements)
    }
    let file = try Safetensors(source)
    if let elements { try checkCount(file.elementCount, expecting: elements, at: source.name) }
    return try file.stateDictionary()
  }

  /// What the writer of a file of weights left beside them; nothing where its format has no place for it.
  /// - Throws: `InputError` if `source` holds no weights.
  public static func metadata(of source: ByteSource) throws(InputError) -> [String: String] {
    if try Safetensors.isFound(in: source) { return try Safetensors(source).metadata }
    try TorchCheckpoint.check(source)
    return [:]
  }

  /// - Throws: `InputError` if weights of `count` elements cannot be those of a network of `elements`.
  static func checkCount(_ count: Int, expecting elements: Int, at location: String) throws(InputError) {
    guard count / 4 <= elements + 1_000_000 else {
      throw InputError(
        "the file holds far more than the network's weights", at: location, expected: "about \(elements) numbers",
        found: "\(count)", remedy: "save the weights alone")
    }
  }
}

extension StateDictionary {
  /// Checks that every element of every floating-point tensor is finite.
  /// - Parameter location: Where the tensors come from, for the error: usually the file's path.
  /// - Throws: `InputError` that names the first tensor with a NaN or an infinity.
  public func validateFinite(at location: String) throws(InputError) {
    for (name, tensor) in self where tensor.dtype.isFloatingPoint && !tensor.isFinite().all() {
      throw InputError(
        "the tensor holds \(tensor.isNaN().any() ? "NaN" : "an infinity")",
        at: "\(location), tensor \(name.quoted)",
        expected: "finite numbers", remedy: "use weights of a run that did not diverge")
    }
  }
}
