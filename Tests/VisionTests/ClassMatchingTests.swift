import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchVision

@Suite("Classes of data and network") struct ClassMatchingTests {
  @Test("match by name, by a name's first part, by WordNet id, or by number, whatever their order")
  func matches() throws {
    func places(_ names: [String], _ network: [String]) throws -> [Int] {
      try ClassMatching(names, among: network, count: network.count, at: "data").places
    }
    let words = ["n01440764 tench, Tinca tinca", "n01443537 goldfish", "n01484850 great white shark, shark"]
    #expect(try places(["goldfish", "Great_White-Shark"], words) == [1, 2])
    #expect(try places(["n01484850", "n01440764"], words) == [2, 0])
    #expect(try places(["n01443537"], ["n01440764", "n01443537"]) == [1])
    #expect(try places(["dog", "cat"], ["cat", "dog", "tabby, cat"]) == [1, 0])
    #expect(try places(["2", "0"], ["a", "b", "c"]) == [2, 0])
    let ordered = try ClassMatching(["x", "y"], among: ["a", "b"], count: 2, at: "data")
    #expect(ordered.places == [0, 1] && ordered.isByOrder)
  }

  @Test("that do not match are an error that says what to do") func errors() throws {
    func error(_ names: [String], _ network: [String], count: Int = 3) -> InputError? {
      inputError { try ClassMatching(names, among: network, count: count, at: "data") }
    }
    #expect(error(["a", "z"], ["a", "b", "c"])?.location == "data, class 'z'")
    #expect(error(["x", "y"], [])?.remedy?.contains("`classes`") == true)
    #expect(error(["A", "a"], ["a", "b", "c"])?.problem == "two classes are one class of the network")
  }

  @Test("give the images the network's labels") func labels() throws {
    let block = PixelBlock(shape: [3, 1, 1, 1], pixels: Data([1, 2, 3]), labels: [0, 1, 1])
    let data = ImageDataset(
      name: "data", block: block, classNames: ["dog", "ant"], statistics: block.statistics(), fingerprint: "")
    let (matched, note) = try data.matching(["ant", "bee", "cat", "dog"], count: 4)
    #expect(matched.labels.array(Int.self) == [3, 0, 0] && matched.classNames == ["ant", "bee", "cat", "dog"])
    #expect(note == "the data have 2 of the network's 4 classes")
  }
}
