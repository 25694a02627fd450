import Foundation
import QuenchTorch
import Testing

/// A small program of `torch.export` as text, from which an archive is made, and what PyTorch computes with it;
/// `scripts/reference_networks.py --tiny` writes both.
struct ExportedFixture: Decodable {
  enum Entry: Decodable {
    case text(String)
    case bytes([UInt8])

    private struct Hexadecimal: Decodable { var hexadecimal: String }

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self = .text(text)
        return
      }
      let digits = Array(try container.decode(Hexadecimal.self).hexadecimal)
      self = .bytes(
        stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) })
    }
  }

  var entries: [String: Entry]
  var figures: [String: StoredTensor]

  static func load(_ name: String) throws -> ExportedFixture {
    try Reference.load(ExportedFixture.self, "exported-\(name).json")
  }

  func figure(_ name: String) throws -> Tensor { try #require(figures[name]).tensor }

  /// The archive, the text of whose entry `models/model.json` was changed as `edit` says, without the entry `missing`.
  func archive(missing: String? = nil, edit: (String) -> String = { $0 }) -> Data {
    var zip = ZipBuilder()
    for (name, entry) in entries.sorted(by: { $0.key < $1.key }) where name != missing {
      switch entry {
      case .text(let text):
        zip.entries.append(("net/\(name)", Array((name == "models/model.json" ? edit(text) : text).utf8)))
      case .bytes(let bytes): zip.entries.append(("net/\(name)", bytes))
      }
    }
    return zip.data
  }

  /// The archive with one text in the program replaced, which must be there.
  func archive(replacing text: String, with other: String) throws -> Data {
    var isFound = false
    let data = archive { program in
      isFound = program.contains(text)
      return program.replacing(text, with: other, maxReplacements: 1)
    }
    try #require(isFound, "\(text) is not in the program")
    return data
  }

  /// The archive as PyTorch before 2.9 laid it out: the program, and a state dictionary in a file of its own.
  func olderArchive() throws -> Data {
    guard case .text(let program)? = entries["models/model.json"] else { throw CocoaError(.fileReadCorruptFile) }
    let network = try ExportedProgram.load(data: archive())
    func pickled(_ tensors: [(String, Tensor)]) -> [UInt8] {
      var items: [(String, [UInt8])] = []
      var storages: [(name: String, content: [UInt8])] = []
      for (index, (name, tensor)) in tensors.enumerated() {
        var strides = [Int](repeating: 1, count: tensor.rank)
        for axis in strides.indices.dropLast().reversed() {
          strides[axis] = strides[axis + 1] * tensor.size(axis + 1)
        }
        let storage = tensor.dtype == .int64 ? "LongStorage" : "FloatStorage"
        items.append(
          (
            name,
            Pickled.tensor(storage, key: "\(index)", count: tensor.count, shape: tensor.shape, strides: strides)
          ))
        storages.append(("archive/data/\(index)", Array(tensor.data())))
      }
      let body = Array("}(".utf8) + items.flatMap { Pickled.text($0.0) + $0.1 } + Array("u".utf8)
      return Array(ZipBuilder(entries: [("archive/data.pkl", Pickled.program(body))] + storages).data)
    }
    let state = network.state.map { ($0.name, $0.tensor) }
    let constants = network.buffers.filter { !$0.isSaved }.map { ($0.name, $0.tensor) }
    return ZipBuilder(entries: [
      ("serialized_exported_program.json", Array(program.utf8)),
      ("serialized_state_dict.pt", pickled(state)), ("serialized_constants.pt", pickled(constants)),
      ("version", Array("8.8".utf8))
    ]).data
  }
}
