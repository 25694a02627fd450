import Foundation
import QuenchSupport

/// Reads the files that Python's `torch.save` writes, zip files since PyTorch 1.6 and a stream of pickles before: plain
/// tensors in dictionaries, lists and tuples. Other Python objects beside them are left, by their class's name alone;
/// nothing in a file is ever run.
///
/// Where the file's top dictionary keeps the weights in a dictionary under `state_dict`, `model_state_dict`, `model`,
/// `net`, `network`, `module`, `student`, `teacher`, `model_ema`, `state_dict_ema`, `ema`, `params` or `params_ema`, those
/// under the first of these names are loaded and what lies beside them (the optimizer's state, say) is left; so again
/// inside. The names in nested dictionaries and lists are joined by dots. Views of a shared storage become tensors of
/// their own.
public enum TorchCheckpoint {
  /// Loads the tensors in the file at `url`, in the file's order.
  /// - Throws: `InputError` if it cannot be read, is no such file, is damaged, or holds other Python objects.
  public static func load(_ url: URL) throws(InputError) -> StateDictionary {
    try load(ByteSource(contentsOf: url))
  }

  /// Loads the tensors of a file that lies in memory; `name` stands for it in errors.
  /// - Throws: `InputError` as ``load(_:)`` does.
  public static func load(data: Data, name: String = "data") throws(InputError) -> StateDictionary {
    try load(ByteSource(data, name: name))
  }

  /// Loads the tensors of a file that is read from `source`.
  /// - Throws: `InputError` as ``load(_:)`` does, or if they have far more than `elements` elements.
  static func load(_ source: ByteSource, expecting elements: Int? = nil) throws(InputError) -> StateDictionary {
    try check(source)
    var loader = try CheckpointLoader(source, expecting: elements)
    return try loader.load()
  }

  /// - Throws: `InputError` if the first bytes are not those of such a file.
  static func check(_ source: ByteSource) throws(InputError) {
    let start = try source.read(0..<min(264, source.count))
    guard !start.prefix(2).elementsEqual("PK".utf8), !isStream(start) else { return }
    let problem =
      start.first == 0x80
      ? "the file is a bare Python pickle, not what torch.save writes"
      : start.dropFirst(257).prefix(5).elementsEqual("ustar".utf8)
        ? "the file is a tar archive, such as PyTorch before 0.2 wrote"
        : "the file holds no weights that can be read"
    throw InputError(
      problem, at: source.name, expected: "safetensors or what torch.save writes",
      remedy: "save the weights again as safetensors, or with torch.save")
  }

  /// Whether a file begins as torch.save's did before PyTorch 1.6: with a certain number of ten bytes.
  static func isStream(_ start: Data) -> Bool {
    let magic: [UInt8] = [0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    return start.first == 0x80 && start.prefix(32).firstRange(of: magic) != nil
  }
}

/// Finds the tensors among a checkpoint's objects and copies them out.
private struct CheckpointLoader {
  private let source: ByteSource
  private let content: CheckpointContent
  private var name: String { source.name }
  private var pickle: Pickle { content.pickle }
  /// What may still be visited and copied. Shared containers and overlapping views let a small file describe far
  /// more than it holds; a real checkpoint stays well below.
  private var visits: Int
  private var bytes: Int
  /// How many elements the weights may have in all, where the caller knows.
  private let expectedElements: Int?
  private var elements = 0
  private var result = StateDictionary()

  /// The longest name of a tensor, in bytes: what a hostile file may repeat for each.
  private static let maximumNameLength = 4096

  init(_ source: ByteSource, expecting elements: Int?) throws(InputError) {
    self.source = source
    expectedElements = elements
    let isStream = TorchCheckpoint.isStream(try source.read(0..<min(32, source.count)))
    content = isStream ? try CheckpointContent(stream: source) : try CheckpointContent(archive: source)
    visits = 4096 + 4 * content.length
    bytes = (1 << 20) + 4 * source.count
  }

  mutating func load() throws(InputError) -> StateDictionary {
    let weights = weights(in: pickle.root)
    try collect(weights, path: [])
    guard !result.isEmpty else {
      throw InputError(
        "the checkpoint holds no named tensor", at: name, expected: "a state_dict", found: object(in: weights),
        remedy: "save the weights alone: torch.save(model.state_dict(), 'weights.pt')")
    }
    return result
  }

  /// The class of a Python object that stands where weights should: only plain tensors are read.
  private func object(in value: Pickle.Value) -> String? {
    func name(_ value: Pickle.Value) -> String? {
      switch value {
      case .object(let index): "a Python object, \(pickle.classes[pickle.objects[index]].quoted)"
      case .function(.foreign(let index)): "a Python object, \(pickle.classes[index].quoted)"
      case .scalar, .integer, .string, .function, .tuple, .list, .dictionary, .storage, .tensor: nil
      }
    }
    guard case .dictionary(let index) = value else { return name(value) }
    return pickle.dictionaries[index].lazy.compactMap { name($0.value) }.first
  }

  /// The names under which training scripts keep the weights beside other things, what is trained before its averages.
  private static let wrappers = [
    "state_dict", "model_state_dict", "model", "net", "network", "module", "student", "teacher", "model_ema",
    "state_dict_ema", "ema", "params", "params_ema"
  ]

  /// The dictionary of the weights alone where `root` is one that keeps them beside other things, at most four deep.
  private func weights(in root: Pickle.Value) -> Pickle.Value {
    var weights = root
    for _ in 0..<4 {
      guard case .dictionary(let index) = weights else { return weights }
      let inner = Self.wrappers.lazy.compactMap { wrapper -> Pickle.Value? in
        for case (.string(wrapper), .dictionary(let inner)) in pickle.dictionaries[index]
        where !pickle.dictionaries[inner].isEmpty { return .dictionary(inner) }
        return nil
      }
      guard let inner = inner.first else { return weights }
      weights = inner
    }
    return weights
  }

  private mutating func collect(_ value: Pickle.Value, path: [String]) throws(InputError) {
    try spend(1, of: \.visits)
    guard path.count <= 32 else { throw InputError("the checkpoint is nested too deeply", at: name) }
    switch value {
    case .dictionary(let index):
      for (key, value) in pickle.dictionaries[index] {
        switch key {
        case .string(let key): try collect(value, path: path + [key])
        case .integer(let key): try collect(value, path: path + ["\(key)"])
        case .scalar, .function, .tuple, .list, .dictionary, .storage, .tensor, .object:
          guard case .tensor = value else { continue }
          throw InputError("a tensor's key is neither a text nor an integer", at: name)
        }
      }
    case .list(let index), .tuple(let index):
      for (position, value) in pickle.sequences[index].enumerated() {
        try collect(value, path: path + ["\(position)"])
      }
    case .tensor(let index):
      guard !path.isEmpty else { return }
      let length = path.reduce(path.count - 1) { $0 + $1.utf8.count }
      guard length <= Self.maximumNameLength else {
        throw InputError(
          "a tensor's name is too long", at: name, expected: "at most \(Self.maximumNameLength) bytes",
          found: "\(length)")
      }
      try spend(length, of: \.visits)
      let key = path.joined(separator: ".")
      guard result[key] == nil else {
        throw InputError("two tensors have the same name", at: name, found: key.quoted)
      }
      result[key] = try tensor(pickle.tensors[index], at: "\(name), tensor \(key.quoted)")
    case .scalar, .integer, .string, .function, .storage, .object:
      break
    }
  }

  private mutating func spend(_ amount: Int, of budget: WritableKeyPath<Self, Int>) throws(InputError) {
    self[keyPath: budget] -= amount
    guard self[keyPath: budget] >= 0 else {
      throw InputError(
        "the checkpoint describes far more than it holds", at: name, remedy: "save the weights as safetensors")
    }
  }
}

// MARK: Views of storages

extension CheckpointLoader {
  private mutating func tensor(_ view: Pickle.View, at location: String) throws(InputError) -> Tensor {
    let storage = pickle.storages[view.storage]
    let layout = try TensorLayout(shape: integers(view.shape, at: location), dtype: storage.dtype, at: location)
    var strides = try integers(view.strides, at: location)
    let width = storage.dtype.byteCount
    let content = try content.range(of: storage)
    guard (0...content.count / width).contains(storage.elementCount) else {
      throw InputError(
        "the storage has the wrong length", at: location,
        expected: "\(storage.elementCount) elements of \(width) bytes",
        found: "\(content.count) bytes", remedy: "the file is damaged: fetch or write it again")
    }
    guard strides.count == layout.shape.count,
      let span = Self.span(layout.shape, strides: &strides, offset: view.offset, in: storage.elementCount)
    else {
      throw InputError(
        "the tensor reaches beyond its storage", at: location, expected: "\(storage.elementCount) elements",
        found: "shape \(layout.shape), strides \(strides), offset \(view.offset)")
    }
    try spend(max(layout.byteCount, span.count * width), of: \.bytes)
    elements += layout.byteCount / width
    if let expectedElements { try StateDictionary.checkCount(elements, expecting: expectedElements, at: name) }
    let start = content.lowerBound + span.lowerBound * width
    return try source.read(start..<start + span.count * width).parse { (bytes) throws(InputError) in
      if layout.byteCount == 0 || Self.isContiguous(layout.shape, strides) {
        return try layout.tensor(copying: bytes, at: location)
      }
      switch width {
      case 1: return try gathered(bytes, as: UInt8.self)
      case 2: return try gathered(bytes, as: UInt16.self)
      case 4: return try gathered(bytes, as: UInt32.self)
      default: return try gathered(bytes, as: UInt64.self)
      }
    }

    func gathered<Element: FixedWidthInteger>(
      _ bytes: UnsafeRawBufferPointer, as type: Element.Type
    ) throws(InputError) -> Tensor {
      let values = Self.gather(bytes, shape: layout.shape, strides: strides, as: type)
      return try values.withUnsafeBytes { bytes in
        Result { () throws(InputError) -> Tensor in try layout.tensor(copying: bytes, at: location) }
      }.get()
    }
  }

  private func integers(_ sequence: Int, at location: String) throws(InputError) -> [Int] {
    let values = pickle.sequences[sequence]
    guard values.count <= TensorLayout.maximumRank else {
      throw InputError(
        "the tensor has too many dimensions", at: location, expected: "at most \(TensorLayout.maximumRank)",
        found: "\(values.count)")
    }
    var result: [Int] = []
    for value in values {
      guard case .integer(let integer) = value else {
        throw InputError("the tensor's shape or strides are not integers", at: location)
      }
      result.append(integer)
    }
    return result
  }

  /// From the first element to the last, if all lie within `count`; empty if there is none. The stride of a dimension
  /// of size 1 is never taken and becomes 0.
  private static func span(_ shape: [Int], strides: inout [Int], offset: Int, in count: Int) -> Range<Int>? {
    guard (0...count).contains(offset) else { return nil }
    if shape.contains(0) { return offset..<offset }
    var last = offset
    for (axis, size) in shape.enumerated() {
      if size == 1 { strides[axis] = 0 }
      let (reach, overflow) = strides[axis].multipliedReportingOverflow(by: size - 1)
      guard strides[axis] >= 0, !overflow, reach < count - last else { return nil }
      last += reach
    }
    return last < count ? offset..<last + 1 : nil
  }

  private static func isContiguous(_ shape: [Int], _ strides: [Int]) -> Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      guard stride == expected else { return false }
      expected *= size
    }
    return true
  }

  /// The elements of a view in row-major order, as integers of their width.
  private static func gather<Element: FixedWidthInteger>(
    _ elements: UnsafeRawBufferPointer, shape: [Int], strides: [Int], as type: Element.Type
  ) -> [Element] {
    let count = shape.reduce(1, *)
    return [Element](unsafeUninitializedCapacity: count) { buffer, filled in
      var index = [Int](repeating: 0, count: shape.count)
      var position = 0
      for slot in 0..<count {
        let offset = position * MemoryLayout<Element>.size
        buffer.initializeElement(at: slot, to: elements.loadUnaligned(fromByteOffset: offset, as: type))
        for axis in shape.indices.reversed() {
          index[axis] += 1
          position += strides[axis]
          if index[axis] < shape[axis] { break }
          position -= strides[axis] * shape[axis]
          index[axis] = 0
        }
      }
      filled = count
    }
  }
}
