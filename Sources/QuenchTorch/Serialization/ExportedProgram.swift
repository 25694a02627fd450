import CTorch
import Foundation
import QuenchSupport

/// Reads the files that `torch.export.save` writes (`.pt2`): a network from images `[N, C, H, W]` to logits
/// `[N, classes]` as a graph of LibTorch's operators, with its weights.
///
/// Nothing in a file is ever run but operators of PyTorch that are known to check what they are given. Files of PyTorch
/// 2.5 and later are read: those since 2.9, which keep each tensor's bytes in an entry, and the older ones, which keep a
/// state dictionary.
public enum ExportedProgram {
  /// Whether the file at `url` is a zip file that holds a program, told by its content.
  /// - Throws: `InputError` if it cannot be read.
  public static func isFound(at url: URL) throws(InputError) -> Bool {
    try isFound(in: ByteSource(contentsOf: url))
  }

  /// As ``isFound(at:)``, of a file that is open.
  public static func isFound(in source: ByteSource) throws(InputError) -> Bool {
    guard try source.read(0..<min(2, source.count)).elementsEqual("PK".utf8) else { return false }
    return try !Archive.programs(in: ZipArchive(source)).isEmpty
  }

  /// Reads the network in the file at `url`, in evaluation mode; its parameters are leaves of autograd.
  /// - Throws: `InputError` if it cannot be read, is damaged, or is no network from images to logits; it says which
  ///   node and operator can't be computed.
  public static func load(_ url: URL) throws(InputError) -> Network {
    try load(ByteSource(contentsOf: url))
  }

  /// Reads a file that lies in memory; `name` stands for it in errors.
  /// - Throws: `InputError` as reading it from a file does.
  public static func load(data: Data, name: String = "data") throws(InputError) -> Network {
    try load(ByteSource(data, name: name))
  }

  /// Reads a file that is open.
  /// - Throws: `InputError` as reading it from a file does.
  public static func load(_ source: ByteSource) throws(InputError) -> Network {
    let archive = try Archive(source)
    var graph = try ExportedProgramTranslator.graph(of: archive.program(), at: source.name)
    try archive.addOtherNames(to: &graph)
    let name = URL(filePath: source.name).lastPathComponent
    let architecture = Architecture(
      name: name.hasSuffix(".pt2") ? String(name.dropLast(4)) : name, graph: graph)
    try architecture.validate(at: source.name)
    let network = Network(architecture, seed: 0)
    try network.adopt(archive.tensors(graph), from: source.name)
    return network
  }

  /// The highest version of the schema that is known; a minor one may be higher.
  static let schemaVersion = 8
  /// More than the largest networks take; it bounds the memory that reading takes.
  fileprivate static let maximumText = 128 << 20
}

extension ExportedProgram {
  /// A program's zip file.
  fileprivate struct Archive {
    let name: String
    let zip: ZipArchive
    /// The entry of the program, and what its path begins with.
    let entry: String
    let folder: String

    static func programs(in zip: ZipArchive) -> [String] {
      zip.entries.keys.filter { key in
        let parts = key.split(separator: "/")
        let isModel = parts.count >= 2 && parts[parts.count - 2] == "models" && key.hasSuffix(".json")
        return isModel || key == "serialized_exported_program.json"
      }
      .sorted()
    }

    init(_ source: ByteSource) throws(InputError) {
      name = source.name
      guard try source.read(0..<min(2, source.count)).elementsEqual("PK".utf8) else {
        throw InputError(
          "the file is no exported program", at: name, expected: "a zip file by torch.export.save",
          remedy: "write it with torch.export.save(torch.export.export(network, (images,)), \"network.pt2\")")
      }
      zip = try ZipArchive(source)
      let programs = Archive.programs(in: zip)
      guard programs.count == 1 else {
        let isCompiled = zip.entries.keys.contains { $0.contains("data/aotinductor/") }
        throw InputError(
          isCompiled && programs.isEmpty
            ? "the file holds compiled code, not a program" : "the zip file does not hold one exported program",
          at: name, expected: "one entry models/NAME.json",
          found: programs.isEmpty ? "none" : programs.joined(separator: ", "),
          remedy: "write it with torch.export.save")
      }
      entry = programs[0]
      let models = programs[0].range(of: "models/", options: .backwards)
      folder = models.map { String(programs[0][..<$0.lowerBound]) } ?? ""
      if zip.entries["\(folder)byteorder"] != nil {
        let order = String(decoding: try zip.content(of: "\(folder)byteorder", limit: 100), as: UTF8.self)
        guard order == "little" else {
          throw InputError("the program has another byte order", at: name, expected: "little", found: order.quoted)
        }
      }
    }

    /// The program's text, once its version is known to be readable.
    func program() throws(InputError) -> ExportedProgramSchema {
      let text = try zip.content(of: entry, limit: maximumText)
      let version = try decode(ExportedProgramSchema.Envelope.self, text, entry).version
      guard version.major == schemaVersion else {
        throw InputError(
          "the program has another version of its format", at: name, expected: "\(schemaVersion).x",
          found: "\(version.major).\(version.minor)",
          remedy: "export the network again with PyTorch 2.5 or later"
            + (version.major > schemaVersion ? ", not later than 2.13" : ""))
      }
      return try decode(ExportedProgramSchema.self, text, entry)
    }

    private func decode<T: Decodable>(_ type: T.Type, _ text: Data, _ entry: String) throws(InputError) -> T {
      do { return try JSONDecoder().decode(type, from: text) } catch {
        throw InputError(
          "the program's text is damaged", at: "\(name), entry \(entry.quoted)", found: Archive.story(of: error),
          remedy: "write the file again with torch.export.save")
      }
    }

    private static func story(of error: any Error) -> String? {
      guard let error = error as? DecodingError else { return nil }
      switch error {
      case .keyNotFound(let key, let context): return "no \(key.stringValue) in \(path(context))"
      case .typeMismatch(_, let context), .valueNotFound(_, let context): return "another type at \(path(context))"
      case .dataCorrupted(let context):
        return context.codingPath.isEmpty ? "no JSON" : "\(context.debugDescription) at \(path(context))"
      @unknown default: return nil
      }
    }

    private static func path(_ context: DecodingError.Context) -> String {
      context.codingPath.map { key in key.intValue.map { "\($0)" } ?? key.stringValue }.joined(separator: ".")
    }
  }
}

// MARK: - Tensors

extension ExportedProgram.Archive {
  typealias Payloads = ExportedProgramSchema.Payloads

  /// The tensors of `graph` by name. Those that share memory in the file share it here.
  func tensors(_ graph: OperatorGraph) throws(InputError) -> [String: Tensor] {
    var wanted = Set(graph.held.map(\.name))
    var tensors: [String: Tensor] = [:]
    var storages: [String: Tensor] = [:]
    for kind in ["weights", "constants"] {
      let configurations = zip.entries.keys.filter {
        $0.hasPrefix("\(folder)data/\(kind)/") && $0.hasSuffix("_config.json")
      }
      for configuration in configurations.sorted() {
        let text = try zip.content(of: configuration, limit: ExportedProgram.maximumText)
        let payloads = try decode(Payloads.self, text, configuration).config
        for (name, payload) in payloads where wanted.contains(name) {
          tensors[name] = try tensor(payload, at: "\(folder)data/\(kind)/\(payload.path)", name, &storages)
        }
        wanted.subtract(payloads.keys)
      }
      if !wanted.isEmpty { try addPickled(kind, &wanted, &tensors) }
    }
    guard let missing = wanted.min() else { return tensors }
    throw InputError(
      "weights are missing", at: name,
      expected: missing.quoted + (wanted.count > 1 ? " and \(wanted.count - 1) more" : ""),
      remedy: "write the file again with torch.export.save")
  }

  /// Tells tied weights apart from others by their place in the file: the program knows them under one name alone.
  func addOtherNames(to graph: inout OperatorGraph) throws(InputError) {
    let known = Dictionary(graph.held.enumerated().map { ($1.name, $0) }) { first, _ in first }
    let configurations = zip.entries.keys.filter {
      $0.hasPrefix("\(folder)data/weights/") && $0.hasSuffix("_config.json")
    }
    for configuration in configurations.sorted() {
      let text = try zip.content(of: configuration, limit: ExportedProgram.maximumText)
      let payloads = try decode(Payloads.self, text, configuration).config
      var places: [Payloads.Place: Int] = [:]
      for (name, payload) in payloads { if let position = known[name] { places[payload.place] = position } }
      for (name, payload) in payloads.sorted(by: { $0.key < $1.key }) where known[name] == nil {
        if let position = places[payload.place] { graph.held[position].otherNames.append(name) }
      }
    }
  }

  /// What older files keep in one state dictionary.
  private func addPickled(
    _ kind: String, _ wanted: inout Set<String>, _ tensors: inout [String: Tensor]
  ) throws(InputError) {
    let older = kind == "weights" ? "serialized_state_dict.pt" : "serialized_constants.pt"
    let entries = zip.entries.keys.filter { key in
      key == older || (key.hasPrefix("\(folder)data/\(kind)/") && key.hasSuffix(".pt"))
    }
    for entry in entries.sorted() {
      guard let size = zip.entries[entry]?.size, size > 0 else { continue }
      let data = try zip.source.read(zip.range(of: entry))
      let state = try TorchCheckpoint.load(data: data, name: "\(name), entry \(entry.quoted)")
      for (name, tensor) in state where wanted.remove(name) != nil { tensors[name] = tensor }
    }
  }

  private func tensor(
    _ payload: Payloads.Payload, at entry: String, _ tensorName: String, _ storages: inout [String: Tensor]
  ) throws(InputError) -> Tensor {
    let place = "\(name), \(tensorName)"
    guard !payload.isPickled, let meta = payload.tensor else {
      throw InputError(
        "a tensor is of a class of its own", at: place, remedy: "convert it to a plain tensor before exporting")
    }
    let layout = try TensorLayout(meta, at: place)
    var strides: [Int] = []
    for stride in meta.strides {
      guard case .fixed(let stride) = stride else { throw InputError("a stride is no number", at: place) }
      strides.append(stride)
    }
    guard case .fixed(let offset) = meta.offset else { throw InputError("an offset is no number", at: place) }
    let key = "\(entry) \(layout.dtype)"
    if storages[key] == nil { storages[key] = try storage(entry, layout.dtype, at: place) }
    guard let storage = storages[key] else { return Tensor.empty(layout.shape, dtype: layout.dtype) }
    guard let span = layout.span(strides: strides, offset: offset), span.upperBound <= storage.count else {
      throw InputError(
        "the tensor reaches beyond its storage", at: place, expected: "\(storage.count) elements",
        found: "shape \(layout.shape), strides \(strides), offset \(offset)")
    }
    guard layout.shape.reduce(1, *) <= max(storage.count, 1 << 24) else {
      throw InputError(
        "the tensor repeats its storage too often", at: place, expected: "\(storage.count) elements",
        found: "shape \(layout.shape)")
    }
    return storage.strided(layout.shape, strides, offset)
  }

  /// All numbers in an entry, read piece by piece into the memory that they stay in.
  private func storage(_ entry: String, _ dtype: DType, at place: String) throws(InputError) -> Tensor {
    let range = try zip.range(of: entry)
    guard range.count.isMultiple(of: dtype.byteCount) else {
      throw InputError(
        "the tensor's data have the wrong length", at: place, expected: "a multiple of \(dtype.byteCount) bytes",
        found: "\(range.count)")
    }
    let tensor = Tensor.empty([range.count / dtype.byteCount], dtype: dtype)
    guard !range.isEmpty else { return tensor }
    var address: UnsafeMutableRawPointer?
    ProgrammingError.check("storage") { error in ct_data(tensor.raw, &address, &error) }
    for start in stride(from: range.lowerBound, to: range.upperBound, by: 4 << 20) {
      let piece = try zip.source.read(start..<min(start + 4 << 20, range.upperBound))
      if dtype == .bool, let wrong = piece.first(where: { $0 > 1 }) {
        throw InputError("a truth value is neither 0 nor 1", at: place, found: "\(wrong)")
      }
      piece.withUnsafeBytes { bytes in
        if let from = bytes.baseAddress {
          address?.advanced(by: start - range.lowerBound).copyMemory(from: from, byteCount: bytes.count)
        }
      }
    }
    return withExtendedLifetime(tensor) { tensor }
  }
}

extension TensorLayout {
  /// The elements of its storage that a view takes, from 0 to its last; nil for strides that no tensor has.
  fileprivate func span(strides: [Int], offset: Int) -> Range<Int>? {
    guard strides.count == shape.count, offset >= 0, strides.allSatisfy({ $0 >= 0 }) else { return nil }
    if shape.contains(0) { return 0..<offset }
    var last = offset
    for (size, stride) in zip(shape, strides) where size > 1 {
      let (reach, overflow) = stride.multipliedReportingOverflow(by: size - 1)
      let (sum, beyond) = last.addingReportingOverflow(reach)
      guard !overflow, !beyond, sum < .max else { return nil }
      last = sum
    }
    return 0..<last + 1
  }
}

extension Tensor {
  private static let stridedOperator = Operator("aten::as_strided")

  /// A view of a vector; every element must lie in it.
  fileprivate func strided(_ shape: [Int], _ strides: [Int], _ offset: Int) -> Tensor {
    withoutGradient { Self.stridedOperator(self, shape, strides, offset) }
  }
}
