import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  @Test func readsAFileWrittenByPython() throws {
    let file = try Safetensors(data: Fixtures.safetensors)
    #expect(file.metadata == ["format": "pt", "note": "a \"b\" é"])
    #expect(file.entries.map(\.name) == ["steps", "weight", "half", "empty", "mask"])
    let weight = try file.tensor("weight")
    #expect(weight.dtype == .float32 && weight.shape == [2, 3])
    #expect(weight.array(Float.self) == [0, 0.5, 1, 1.5, 2, 2.5])
    let half = try file.tensor("half")
    #expect(half.dtype == .bfloat16 && half.data() == Data([0xC0, 0x3F, 0x00, 0xC0]))
    let steps = try file.tensor("steps")
    #expect(steps.shape.isEmpty && steps.array(Int.self) == [7])
    #expect(try file.tensor("mask").data() == Data([1, 0, 1]))
    #expect(try file.tensor("empty").shape == [0, 4])
  }

  @Test func readsFromSliceOfData() throws {
    let padded = Data([1, 2, 3]) + Fixtures.safetensors
    #expect(try Safetensors(data: padded[3...]).tensor("steps").array(Int.self) == [7])
  }

  @Test func writesWhatItReads() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("model.safetensors")
    let original = try StateDictionary.load(data: Fixtures.safetensors)
    let metadata = ["k\u{1}\"\\": "line\nbreak ü", "a": ""]
    try Safetensors.write(original, metadata: metadata, to: url)
    let file = try Safetensors(contentsOf: url)
    #expect(file.metadata == metadata)
    let copy = try file.stateDictionary()
    #expect(copy.keys == original.keys)
    for (name, tensor) in original {
      let same = try #require(copy[name])
      #expect(same.shape == tensor.shape && same.dtype == tensor.dtype && same.data() == tensor.data())
    }
  }

  @Test func alignsEveryTensorToItsElementType() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("model.safetensors")
    var tensors = StateDictionary()
    for (index, dtype) in DType.allCases.enumerated() {
      tensors["t\(index)"] = [UInt8](repeating: 0, count: dtype.byteCount).withUnsafeBytes {
        Tensor(bytes: $0, shape: [1], dtype: dtype)
      }
    }
    try Safetensors.write(tensors, to: url)
    let file = try Safetensors(contentsOf: url)
    #expect(file.entries.map(\.dtype) == DType.allCases)
    for entry in file.entries { #expect(entry.range.lowerBound.isMultiple(of: entry.dtype.byteCount)) }
  }

  @Test func refusesToWriteTheReservedNameAndLeavesNoFile() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("model.safetensors")
    #expect(throws: InputError.self) {
      try Safetensors.write(StateDictionary([("__metadata__", Tensor([Float(1)]))]), to: url)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test func writesAndReadsNoTensors() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("none.safetensors")
    try Safetensors.write(StateDictionary(), to: url)
    #expect(try Safetensors(contentsOf: url).entries.isEmpty)
  }

  @Test func namesAnUnknownTensorAndTheFile() throws {
    let file = try Safetensors(data: Fixtures.safetensors, name: "model.safetensors")
    let error = try #require(throws: InputError.self) { try file.tensor("nothing") }
    #expect(error.location == "model.safetensors" && error.expected == "\"nothing\"")
  }

  @Test func readsEscapesAndWhiteSpaceInTheHeader() throws {
    let header = """
      {"a\\u00e9\\ud83d\\ude00\\n" : { "shape" : [ 1 , 2 ] ,
        "data_offsets":[0,2],"dtype":"U8"}}
      """
    let file = try Safetensors(data: safetensors(header, [1, 2]))
    #expect(try file.tensor("aé😀\n").shape == [1, 2])
  }

  /// Every way a header can be wrong, and what the error must mention.
  static let faults: [(header: String, bytes: Int, mention: String)] = [
    ("", 0, "malformed"),
    ("[]", 0, "malformed"),
    ("{", 0, "malformed"),
    (#"{"a"#, 0, "too early"),
    (#"{"a":1}"#, 0, "malformed"),
    (#"{"a":{"a":{"a":{}}}}"#, 0, "unknown key"),
    (#"{} {}"#, 0, "follows the end"),
    (#"{"a\#n":{}}"#, 0, "control character"),
    (#"{"\q":{}}"#, 0, "escape"),
    (#"{"\ud800":{}}"#, 0, "surrogate"),
    (#"{"\udc00":{}}"#, 0, "not a character"),
    (#"{"\u00²0":{}}"#, 0, "hexadecimal"),
    (
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
      2,
      "appears twice"
    ),
    (#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "appears twice"),
    (#"{"__metadata__":{"a":"b","a":"c"}}"#, 0, "appears twice"),
    (#"{"__metadata__":{"a":1}}"#, 0, "malformed"),
    (#"{"__metadata__":"a"}"#, 0, "malformed"),
    (#"{"a":{"dtype":"U8","shape":[1]}}"#, 1, "lacks a key"),
    (#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#, 1, "unsupported dtype"),
    (#"{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}"#, 1, "unsupported dtype"),
    (#"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}"#, 1, "whole number"),
    (#"{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}"#, 1, "whole number"),
    (#"{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}"#, 1, "malformed"),
    (#"{"a":{"dtype":"U8","shape":[²],"data_offsets":[0,2]}}"#, 2, "whole number"),
    (#"{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}"#, 1, "too large"),
    (#"{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "impossible"),
    (#"{"a":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "impossible"),
    (#"{"a":{"dtype":"U8","shape":[\#(ones)],"data_offsets":[0,1]}}"#, 1, "too long"),
    (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}"#, 1, "not a range"),
    (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1, "not a range"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}}"#, 3, "wrong length"),
    (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 3, "beyond the end"),
    (
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}}"#, 3,
      "beyond the end"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
      3,
      "overlaps"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#,
      3,
      "gap"
    ),
    (#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 2, "no tensor")
  ]
  private static let ones = Array(repeating: "1", count: 65).joined(separator: ",")

  @Test(arguments: faults) func rejectsHeader(fault: (header: String, bytes: Int, mention: String)) throws {
    let data = safetensors(fault.header, [UInt8](repeating: 0, count: fault.bytes))
    let error = try #require(throws: InputError.self) { _ = try Safetensors(data: data, name: "file") }
    #expect(error.description.contains(fault.mention))
    #expect(error.description.hasPrefix("file"))
  }

  @Test func rejectsAHeaderThatIsNotUTF8() throws {
    let header: [UInt8] = Array(#"{"__metadata__":{"a":""#.utf8) + [0xFF] + Array(#""}}"#.utf8)
    let data = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header
    let error = try #require(throws: InputError.self) { _ = try Safetensors(data: data) }
    #expect(error.problem.contains("UTF-8"))
  }

  @Test func rejectsDeepNestingWithoutRecursion() {
    let deep = #"{"a":"# + String(repeating: "[", count: 1_000_000)
    #expect(throws: InputError.self) { _ = try Safetensors(data: safetensors(deep, [])) }
  }

  @Test(
    arguments: [
      ([], "at least 8"), ([0, 0, 0, 0, 0, 0, 0], "at least 8"),
      ([255, 255, 255, 255, 255, 255, 255, 255], "too long"),
      ([0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0], "too long"), ([0x00, 0xE1, 0xF5, 0x05, 0, 0, 0, 0], "ends within"),
      ([8, 0, 0, 0, 0, 0, 0, 0, 0x7B], "ends within")
    ] as [([UInt8], String)])
  func rejectsHeaderLength(bytes: [UInt8], mention: String) throws {
    let error = try #require(throws: InputError.self) { _ = try Safetensors(data: Data(bytes)) }
    #expect(error.description.contains(mention))
  }

  @Test func rejectsEveryTruncation() {
    for count in 0..<Fixtures.safetensors.count {
      #expect(throws: InputError.self) { _ = try Safetensors(data: Fixtures.safetensors.prefix(count)) }
    }
  }

  @Test func rejectsATruthValueOfTwo() throws {
    let file = try Safetensors(
      data: safetensors(#"{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#, [1, 2]))
    let error = try #require(throws: InputError.self) { _ = try file.tensor("a") }
    #expect(error.found == "2")
  }

  @Test func namesAMissingFile() throws {
    let url = URL(fileURLWithPath: "/nowhere/model.safetensors")
    let error = try #require(throws: InputError.self) { _ = try Safetensors(contentsOf: url) }
    #expect(error.description == "/nowhere/model.safetensors: cannot read the file: no such file")
  }

  @Test func aFileThatShrinksWhileItIsOpenIsAnError() throws {
    let folder = try TemporaryFolder()
    let url = folder / "model.safetensors"
    try Safetensors.write(StateDictionary([("a", .zeros([100_000]))]), to: url)
    let file = try Safetensors(contentsOf: url)
    #expect(truncate(url.path, 4096) == 0)
    let error = try #require(throws: InputError.self) { _ = try file.tensor("a") }
    #expect(error.problem == "the file became shorter while it was read")
  }

  @Test func farMoreThanTheNetworkIsRefusedBeforeItIsRead() throws {
    let folder = try TemporaryFolder()
    let url = folder / "huge.safetensors"
    let count = 1 << 40
    let header = #"{"w":{"dtype":"F32","shape":[\#(count)],"data_offsets":[0,\#(4 * count)]}}"#
    try safetensors(header, []).write(to: url)
    #expect(truncate(url.path, off_t(8 + header.utf8.count + 4 * count)) == 0)
    let error = try #require(throws: InputError.self) { _ = try StateDictionary.load(url, expecting: 1000) }
    #expect(error.problem == "the file holds far more than the network's weights")
    #expect(error.found == "\(count)")
  }

  @Test func aHeaderOfVeryManyTensorsIsRefused() throws {
    let entry = #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#
    let members = (0...100_000).map { "\"\($0)\":\(entry)" }.joined(separator: ",")
    let error = try #require(throws: InputError.self) { _ = try Safetensors(data: safetensors("{\(members)}", [])) }
    #expect(error.problem == "there are too many keys")
  }

  @Test func aChecksumTellsEveryFlippedBit() throws {
    let folder = try TemporaryFolder()
    let url = folder / "checked.safetensors"
    let tensors = StateDictionary([("a", Tensor([Float(1), 2])), ("quench.sha256", Tensor([Int64(3)]))])
    let metadata = ["note": #""quench.sha256":"\#(String(repeating: "0", count: 64))""#]
    try Safetensors.write(tensors, metadata: metadata, hasChecksum: true, to: url)
    let file = try Safetensors(contentsOf: url)
    try file.verifyChecksum()
    #expect(file.hasChecksum && file.metadata["note"] == metadata["note"])
    let whole = try Data(contentsOf: url)
    for byte in whole.indices {
      var data = whole
      data[byte] ^= 1
      #expect(throws: InputError.self, "byte \(byte)") {
        let file = try Safetensors(data: data)
        try file.verifyChecksum()
      }
    }
    try Safetensors.write(tensors, to: url)
    #expect(throws: InputError.self) { try Safetensors(contentsOf: url).verifyChecksum() }
  }

  @Test func readsAnEmptyFileAsTooShort() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("empty")
    try Data().write(to: url)
    let error = try #require(throws: InputError.self) { _ = try Safetensors(contentsOf: url) }
    #expect(error.problem.contains("too short"))
  }
}

/// A safetensors file of a header and the bytes after it.
private func safetensors(_ header: String, _ bytes: [UInt8]) -> Data {
  withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) } + Data(header.utf8) + Data(bytes)
}
