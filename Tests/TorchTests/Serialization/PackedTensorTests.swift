import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite("Packed tensors") struct PackedTensorTests {
  /// `count` elements of which every seventh is not zero.
  private static func sparse(_ dtype: DType, _ shape: [Int]) -> Tensor {
    let count = shape.reduce(1, *)
    let values = (0..<count).map { $0 % 7 == 3 ? Float($0 % 100 + 1) : 0 }
    return Tensor(values, shape: shape).to(dtype)
  }

  private static func roundTrip(_ tensors: StateDictionary) throws -> (copy: StateDictionary, file: Safetensors) {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("packed.safetensors")
    try Safetensors.write(tensors, metadata: ["note": "kept"], packsZeros: true, to: url)
    let file = try Safetensors(data: Data(contentsOf: url))
    return (try file.stateDictionary(), file)
  }

  @Test("come back bit by bit in their order, whatever their type", arguments: DType.allCases)
  func roundTrip(_ dtype: DType) throws {
    let original = StateDictionary([
      ("first", Tensor([Float(1), 2])), ("w", Self.sparse(dtype, [19, 3, 7, 9])), ("b", Self.sparse(dtype, [8001])),
      ("none", Tensor.zeros([5000], dtype: dtype)), ("steps", Tensor([Int64(7)], shape: []))
    ])
    let (copy, file) = try Self.roundTrip(original)
    #expect(
      file.entries.map(\.name) == [
        "first", "w.bitmask", "w.values", "b.bitmask", "b.values", "none.bitmask", "none.values", "steps"
      ])
    #expect(file.metadata["note"] == "kept")
    #expect(copy.keys == original.keys)
    for (name, tensor) in original {
      let same = try #require(copy[name])
      #expect(same.shape == tensor.shape && same.dtype == tensor.dtype && same.data() == tensor.data(), "\(name)")
    }
  }

  @Test("count elements row by row, however they lie in memory") func channelsLast() throws {
    let weight = Self.sparse(.float32, [16, 8, 3, 3])
    let original = StateDictionary([("w", weight.contiguous(.channelsLast))])
    let (copy, file) = try Self.roundTrip(original)
    #expect(try file.tensor("w.bitmask").array(UInt8.self).prefix(2) == [0b0000_1000, 0b0000_0100])
    #expect(try file.tensor("w.values").array(Float.self).prefix(3) == [4, 11, 18])
    #expect(try #require(copy["w"]).isEqual(to: weight))
  }

  @Test("keep what is no number, and forget the sign of a zero") func specialValues() throws {
    var values = [Float](repeating: 0, count: 1000)
    values[1] = -0.0
    values[17] = .infinity
    values[999] = Float(bitPattern: 0x7FC1_2345)
    values[500] = .leastNonzeroMagnitude
    let (copy, _) = try Self.roundTrip(StateDictionary([("w", Tensor(values))]))
    values[1] = 0
    #expect(try #require(copy["w"]).array(Float.self).map(\.bitPattern) == values.map(\.bitPattern))
  }

  @Test("take a bit an element, four bytes a value that is kept, and little more") func size() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("packed.safetensors")
    var values = [Float](repeating: 0, count: 100_000)
    for index in 0..<10_000 { values[index * 10] = 1 }
    try Safetensors.write(StateDictionary([("w", Tensor(values))]), packsZeros: true, to: url)
    let size = try Data(contentsOf: url).count
    #expect(size >= 100_000 / 8 + 4 * 10_000)
    #expect(size < 100_000 / 8 + 4 * 10_000 + 400)
  }

  @Test("are only those that get smaller") func onlyWhereSmaller() throws {
    let full = StateDictionary([
      ("dense", Tensor([Float](repeating: 1, count: 1000))), ("small", Tensor.zeros([60])),
      ("bytes", Self.sparse(.uint8, [100]))
    ])
    let folder = try TemporaryFolder()
    let urls = ["plain", "packed"].map { folder.url.appendingPathComponent($0) }
    for url in urls { try Safetensors.write(full, packsZeros: url == urls[1], to: url) }
    #expect(try Data(contentsOf: urls[0]) == Data(contentsOf: urls[1]))
  }

  @Test("a plain file does not keep the mark of a packed one") func staleMark() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("plain.safetensors")
    let (copy, file) = try Self.roundTrip(StateDictionary([("w", Self.sparse(.float32, [1000]))]))
    #expect(file.metadata["quench.sparse"] == #"{"w":[1000]}"#)
    try Safetensors.write(copy, metadata: file.metadata, to: url)
    let plain = try Safetensors(contentsOf: url)
    #expect(plain.metadata == ["note": "kept"])
    #expect(plain.entries.map(\.name) == ["w"])
  }

  @Test("refuse names that would look packed", arguments: ["a.bitmask", "a.values"])
  func reservedNames(_ name: String) throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("packed.safetensors")
    let error = try #require(throws: InputError.self) {
      try Safetensors.write(StateDictionary([(name, Tensor([Float(1)]))]), packsZeros: true, to: url)
    }
    #expect(error.problem.contains("reserved") && error.found == name)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  /// A file of a mark and the tensors `(name, type, shape, bytes)`.
  private static func file(_ mark: String, _ tensors: [(String, String, String, [UInt8])]) -> Data {
    let escaped = mark.replacing("\"", with: "\\\"")
    var members = [#""__metadata__":{"quench.sparse":"\#(escaped)"}"#]
    var data = Data()
    for (name, type, shape, bytes) in tensors {
      let end = data.count + bytes.count
      members.append(#""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":[\#(data.count),\#(end)]}"#)
      data += bytes
    }
    let header = Data("{\(members.joined(separator: ","))}".utf8)
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + data
  }

  private static let mask = ("w.bitmask", "U8", "[2]", [0b1000_0001, 0b0000_0010] as [UInt8])
  private static let values = ("w.values", "I8", "[3]", [5, 6, 7] as [UInt8])

  @Test("are read from a file that was made by hand, in any order") func byHand() throws {
    for tensors in [[Self.mask, Self.values], [Self.values, Self.mask]] {
      let state = try StateDictionary.load(data: Self.file(#"{"w":[2,5]}"#, tensors))
      #expect(state.keys == ["w"])
      #expect(state["w"]?.shape == [2, 5])
      #expect(state["w"]?.array(Int8.self) == [5, 0, 0, 0, 0, 0, 0, 6, 0, 7])
    }
  }

  /// Every way in which the halves and the mark can disagree, and what the error must mention.
  static let faults: [(mark: String, tensors: [(String, String, String, [UInt8])], mention: String)] = [
    (#"{"w":[2,5]}"#, [mask], "\"w.values\""), (#"{"w":[2,5]}"#, [values], "\"w.bitmask\""),
    (#"{"w":[2,5]}"#, [], "\"w.bitmask\""), (#"{"w":[2,5],"v":[8]}"#, [mask, values], "\"v.bitmask\""),
    ("{}", [mask, values], "do not name"), (#"{"v":[2,5]}"#, [values, mask], "do not name"),
    (#"{"w":[2,5]}"#, [mask, values, ("w", "U8", "[1]", [1])], "called packed"),
    (#"{"w":[2,8]}"#, [mask, ("w.values", "I8", "[2]", [5, 6])], "does not fit the values"),
    (#"{"w":[2,8]}"#, [mask, ("w.values", "I8", "[4]", [5, 6, 7, 8])], "does not fit the values"),
    (#"{"w":[2,8]}"#, [mask, ("w.values", "I8", "[3,1]", [5, 6, 7])], "does not fit the values"),
    (#"{"w":[2,9]}"#, [mask, values], "wrong size"), (#"{"w":[8]}"#, [mask, values], "wrong size"),
    (#"{"w":[2,5]}"#, [("w.bitmask", "I8", "[2]", [1, 0]), values], "wrong size or type"),
    (#"{"w":[2,5]}"#, [("w.bitmask", "U8", "[1,2]", mask.3), values], "wrong size"),
    (#"{"w":[9]}"#, [mask, values], "beyond the last element"),
    (#"{"w":[4294967296,4294967296]}"#, [mask, values], "impossible"),
    (#"{"w":[9223372036854775807]}"#, [mask, values], "wrong size"),
    (#"{"w":[2,5]}"#, [mask, ("w.values", "BOOL", "[3]", [1, 1, 2])], "truth value"),
    (#"{"w":[2,5"#, [mask, values], "metadata quench.sparse"),
    (#"{"w":"x"}"#, [mask, values], "malformed"),
    (#"{"w":[1],"w":[2]}"#, [mask, values], "appears twice"), ("[]", [mask, values], "malformed"),
    ("", [mask, values], "malformed"), (#"{"w":[2,5]} x"#, [mask, values], "follows the end")
  ]

  @Test("are refused where the halves do not fit, with what is wrong", arguments: faults.indices)
  func refuses(_ index: Int) throws {
    let fault = Self.faults[index]
    let error = try #require(throws: InputError.self) {
      _ = try StateDictionary.load(data: Self.file(fault.mark, fault.tensors), name: "file")
    }
    #expect(error.description.contains(fault.mention), "\(error)")
    #expect(error.description.hasPrefix("file"))
  }

  @Test("that hold NaN are refused as others are") func notANumber() throws {
    var values = [Float](repeating: 0, count: 1000)
    values[17] = .nan
    let (copy, _) = try Self.roundTrip(StateDictionary([("w", Tensor(values))]))
    let error = try #require(throws: InputError.self) { try copy.validateFinite(at: "file") }
    #expect(error.location == "file, tensor \"w\"" && error.problem.contains("NaN"))
  }

  @Test("are refused at every length that is too short") func truncations() {
    let whole = Self.file(#"{"w":[2,5]}"#, [Self.mask, Self.values])
    for count in 0..<whole.count {
      #expect(throws: InputError.self) { _ = try StateDictionary.load(data: whole.prefix(count)) }
    }
  }
}
