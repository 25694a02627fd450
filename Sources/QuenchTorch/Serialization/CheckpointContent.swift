import Foundation
import QuenchSupport

/// A file of `torch.save`: the objects in it, and where its storages lie.
struct CheckpointContent {
  let pickle: Pickle
  /// How long the description of the objects is, in bytes.
  let length: Int
  private let storages: Storages

  private enum Storages {
    case archive(ZipArchive, folder: String)
    /// By key.
    case stream([String: Range<Int>], name: String)
  }

  /// Where in the file the elements of `storage` lie, and perhaps more.
  /// - Throws: `InputError` if they are not there.
  func range(of storage: Pickle.Storage) throws(InputError) -> Range<Int> {
    switch storages {
    case .archive(let archive, let folder): return try archive.range(of: "\(folder)/data/\(storage.key)")
    case .stream(let ranges, let name):
      guard let range = ranges[storage.key] else {
        throw InputError("the file lacks a storage", at: name, expected: storage.key.quoted)
      }
      return range
    }
  }
}

// MARK: Zip files, since PyTorch 1.6

extension CheckpointContent {
  /// - Throws: `InputError` if the zip file is damaged or another than torch.save writes.
  init(archive source: ByteSource) throws(InputError) {
    let archive = try ZipArchive(source)
    let folder = try Self.folder(in: archive, name: source.name)
    let location = "\(source.name), entry data.pkl"
    let content = try archive.content(of: "\(folder)/data.pkl", limit: PickleMachine.maximumLength)
    pickle = try content.parse { (bytes) throws(InputError) in try PickleMachine.run(bytes, name: location) }
    length = content.count
    storages = .archive(archive, folder: folder)
    guard archive.entries["\(folder)/byteorder"] != nil else { return }
    let order = String(decoding: try archive.content(of: "\(folder)/byteorder", limit: 100), as: UTF8.self)
    guard order == "little" else {
      throw InputError(
        "the checkpoint has another byte order", at: source.name, expected: "little", found: order.quoted,
        remedy: "save the weights as safetensors")
    }
  }

  private static func folder(in archive: ZipArchive, name: String) throws(InputError) -> String {
    let folders = archive.entries.keys.compactMap { entry -> String? in
      let parts = entry.split(separator: "/", omittingEmptySubsequences: false)
      return parts.count == 2 && parts[1] == "data.pkl" ? String(parts[0]) : nil
    }
    guard folders.count == 1 else {
      throw InputError(
        "the zip file is not a PyTorch checkpoint", at: name, expected: "one entry called FOLDER/data.pkl",
        found: "\(folders.count)", remedy: "save the weights as safetensors or with torch.save")
    }
    guard archive.entries["\(folders[0])/constants.pkl"] == nil else {
      throw InputError(
        "the file is a TorchScript program, not a checkpoint", at: name,
        remedy: "save the weights alone: torch.save(torch.jit.load('file').state_dict(), 'weights.pt')")
    }
    return folders[0]
  }
}

// MARK: Streams, before PyTorch 1.6

extension CheckpointContent {
  /// A stream is five pickles: a magic number, the version of the protocol, what the writing machine was like, the objects,
  /// and the keys of the storages, whose elements follow in this order, the number of each before them.
  /// - Throws: `InputError` if the file ends early or is damaged.
  init(stream source: ByteSource) throws(InputError) {
    let head = try source.read(0..<min(source.count, PickleMachine.maximumLength))
    let (pickle, keys, length) = try head.parse { (bytes) throws(InputError) in
      var reader = ByteReader(bytes, name: source.name)
      for _ in 0..<3 { _ = try PickleMachine.run(&reader) }
      let pickle = try PickleMachine.run(&reader)
      return (pickle, try PickleMachine.run(&reader), reader.offset)
    }
    let widths = Dictionary(pickle.storages.map { ($0.key, $0.dtype.byteCount) }) { first, _ in first }
    var ranges: [String: Range<Int>] = [:]
    var offset = length
    for key in try Self.names(in: keys, at: source.name) {
      guard let width = widths[key] else { throw Self.damaged("an unknown storage", at: source.name, key) }
      let count = try source.read(offset..<offset + 8).parse { (bytes) throws(InputError) in
        Int64(littleEndian: bytes.loadUnaligned(as: Int64.self))
      }
      offset += 8
      guard count >= 0, count <= Int64((source.count - offset) / width) else {
        throw InputError(
          "the data end too early", at: "\(source.name), storage \(key.quoted)",
          expected: "\(count) elements of \(width) bytes", found: "\(source.count - offset) bytes",
          remedy: "the file is truncated: fetch or write it again")
      }
      guard ranges.updateValue(offset..<offset + Int(count) * width, forKey: key) == nil else {
        throw Self.damaged("a storage twice", at: source.name, key)
      }
      offset += Int(count) * width
    }
    self.pickle = pickle
    self.length = length
    storages = .stream(ranges, name: source.name)
  }

  private static func names(in pickle: Pickle, at location: String) throws(InputError) -> [String] {
    guard case .list(let index) = pickle.root else { throw damaged("no list of storages", at: location) }
    var names: [String] = []
    for key in pickle.sequences[index] {
      guard case .string(let name) = key else { throw damaged("a storage without a name", at: location) }
      names.append(name)
    }
    return names
  }

  private static func damaged(_ what: String, at location: String, _ found: String? = nil) -> InputError {
    InputError(
      "the checkpoint is damaged: it has \(what)", at: location, found: found?.quoted,
      remedy: "fetch or write the file again")
  }
}
