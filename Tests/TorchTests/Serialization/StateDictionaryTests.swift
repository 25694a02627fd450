import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite struct StateDictionaryTests {
  private static func scalar(_ value: Float) -> Tensor { Tensor([value]) }

  @Test func keepsInsertionOrderThroughChanges() {
    var tensors = StateDictionary([("b", Self.scalar(1)), ("a", Self.scalar(2)), ("c", Self.scalar(3))])
    tensors["a"] = Self.scalar(4)
    tensors["b"] = nil
    tensors["missing"] = nil
    tensors["d"] = Self.scalar(5)
    #expect(tensors.keys == ["a", "c", "d"])
    #expect(tensors.map { $0.tensor.array(Float.self) } == [[4], [3], [5]])
    #expect(tensors["c"]?.array(Float.self) == [3])
    #expect(tensors["b"] == nil)
  }

  @Test func tellsFormatsApartByContent() throws {
    let folder = try TemporaryFolder()
    let url = folder.url.appendingPathComponent("weights.bin")
    try Fixtures.safetensors.write(to: url)
    #expect(try StateDictionary.load(url).keys.contains("half"))
    try Fixtures.checkpoint.write(to: url)
    #expect(try StateDictionary.load(url).keys.contains("transposed"))
  }

  @Test(
    arguments: [
      ([0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8], "bare Python pickle"),
      (Array("<!DOCTYPE html><html>".utf8), "no weights"), (Array("PK\u{3}\u{4} and no more".utf8), "no directory"),
      ([], "too short")
    ] as [([UInt8], String)])
  func saysWhatIsWrongWithOtherFiles(bytes: [UInt8], mention: String) throws {
    let error = try #require(throws: InputError.self) {
      _ = try StateDictionary.load(data: Data(bytes), name: "file")
    }
    #expect(error.problem.contains(mention) && error.remedy != nil && error.location == "file")
  }

  @Test func refusesAFolder() throws {
    let folder = try TemporaryFolder()
    let error = try #require(throws: InputError.self) { _ = try StateDictionary.load(folder.url) }
    #expect(error.location == folder.url.path)
  }

  @Test func namesTheTensorThatIsNotFinite() throws {
    var tensors = StateDictionary([("good", Self.scalar(1)), ("steps", Tensor([Int64.max]))])
    try tensors.validateFinite(at: "file")
    tensors["worse"] = Self.scalar(-.infinity)
    let infinite = try #require(throws: InputError.self) { try tensors.validateFinite(at: "file") }
    #expect(infinite.location == "file, tensor \"worse\"" && infinite.problem.contains("infinity"))
    tensors["worse"] = Self.scalar(.nan)
    let notANumber = try #require(throws: InputError.self) { try tensors.validateFinite(at: "file") }
    #expect(notANumber.location == "file, tensor \"worse\"" && notANumber.problem.contains("NaN"))
  }

  /// A damaged file may load or be refused; it must never stop the process or throw anything but an `InputError`.
  @Test(arguments: [Fixtures.safetensors, Fixtures.checkpoint, Fixtures.module])
  func survivesMutations(original: Data) {
    var random = SplitMix(state: 20_240_607)
    var refused = 0
    for _ in 0..<400 {
      var data = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let position = Int.random(in: 0..<data.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: data[position] = .random(in: 0...255, using: &random)
        case 1: data[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: data.removeSubrange(position..<min(position + 3, data.count - 1))
        default: data.insert(data[Int.random(in: 0..<data.count, using: &random)], at: position)
        }
      }
      do throws(InputError) {
        _ = try StateDictionary.load(data: data)
      } catch {
        refused += 1
        #expect(!error.problem.isEmpty)
      }
    }
    #expect(refused > 100)
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
