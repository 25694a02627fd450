import Foundation
import QuenchReporting
import QuenchSupport
import Testing

@Suite("A value") struct ValueTests {
  static let sample: Value = [
    "zeta": 1, "alpha": 0.1, "text": "a \"b\"\n\u{1} ü 😀", "list": [1, 2.5, "3", true, nil], "empty": [],
    "none": nil,
    "nested": ["b": -1e-7, "a": ["deep": false]], "looks like a number": "0123", "looks like a word": "true",
    "colon": "a: b # c", "blank": ""
  ]

  @Test func survivesJSONWithItsKeyOrder() throws {
    for pretty in [false, true] {
      let text = Self.sample.json(pretty: pretty)
      let back = try Value(json: Data(text.utf8), name: "sample")
      #expect(back == Self.sample)
      #expect(back.record?.keys == Self.sample.record?.keys)
    }
  }

  @Test func survivesYAMLWithItsKeyOrder() throws {
    let text = try Self.sample.yaml()
    let back = try Value(yaml: Data(text.utf8), name: "sample")
    #expect(back == Self.sample)
    #expect(back.record?.keys == Self.sample.record?.keys)
    #expect(text.hasPrefix("zeta: 1\nalpha: 0.1\n"))
  }

  @Test func writesNonFiniteNumbersAsNullInJSONAndByNameInYAML() throws {
    let value: Value = [.double(.nan), .double(.infinity), .double(-.infinity), .double(2)]
    #expect(value.json() == "[null,null,null,2.0]")
    let back = try Value(yaml: Data(try value.yaml().utf8), name: "").array ?? []
    #expect(back.count == 4 && back[0].number?.isNaN == true)
    #expect(back[1] == .double(.infinity) && back[2] == .double(-.infinity))
  }

  @Test func encodesAStructWithItsFieldsInOrder() throws {
    struct Settings: Encodable { var rate = 0.1, epochs = 20, name = "bip", wide = false }
    #expect(
      try Value(encoding: Settings()) == ["rate": 0.1, "epochs": 20, "name": "bip", "wide": false])
    #expect(try Value(encoding: Settings()).record?.keys == ["rate", "epochs", "name", "wide"])
  }

  @Test(
    "refuses text that is not JSON",
    arguments: [
      "", "{", "[1,]", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "nul", "01x", "+1", "1.", "[1] 2", "\"\\ud800\"",
      "\"\\q\"",
      "\"open", "1e999", "NaN", String(repeating: "[", count: 100_000)
    ])
  func badJSON(_ text: String) {
    #expect(throws: InputError.self) { try Value(json: Data(text.utf8), name: "bad") }
  }

  @Test func refusesJSONThatIsNotUTF8() {
    #expect(throws: InputError.self) { try Value(json: Data([0x22, 0xFF, 0x22]), name: "bad") }
  }

  @Test(
    "refuses YAML that is broken, too deep or grows when read",
    arguments: [
      "a: [1, 2", "a: 1\na: 2", "a: b: c", "[1, 2]: 3", "a: 1\n---\nb: 2", "a: &x [1]\nb: *x\n",
      String(repeating: "[", count: 500) + String(repeating: "]", count: 500),
      String(repeating: "[", count: 100_000)
    ])
  func badYAML(_ text: String) {
    #expect(throws: InputError.self) { try Value(yaml: Data(text.utf8), name: "bad") }
  }

  @Test(
    "refuses anchors and aliases wherever YAML may put them",
    arguments: [
      "a: &x 1", "a: !!str &x b", "? &k a\n: 1", "- &a [1]", "[&a 1]", "{&k a: 1}",
      "{a: [\u{2028}&x 1],\u{2028}b: [\u{2028}*x]}", "[\u{85}&x 1]", "--- &x\na: 1"
    ])
  func anchors(_ text: String) {
    let error = #expect(throws: InputError.self) { try Value(yaml: Data(text.utf8), name: "bad") }
    #expect(error?.problem == "YAML anchors and aliases are not supported", "\(text)")
  }

  @Test func aFewBytesOfYAMLNeverBecomeMany() throws {
    // Ten levels of nine aliases each, behind line separators: a billion values if they were followed.
    var text = "[\u{2028}&a0 [1,1,1,1,1,1,1,1,1]"
    for level in 1...10 {
      let aliases = Array(repeating: "\u{2028}*a\(level - 1)", count: 9).joined(separator: ",")
      text += ",\u{2028}&a\(level) [\(aliases)]"
    }
    text += "]"
    #expect(throws: InputError.self) { try Value(yaml: Data(text.utf8), name: "bomb") }
    let many = "[" + String(repeating: "1,", count: 250_000) + "1]"
    let error = #expect(throws: InputError.self) { try Value(yaml: Data(many.utf8), name: "many") }
    #expect(error?.problem == "the YAML holds over 200000 values")
    let mark = try Value(yaml: Data("a: b & c\nb: '*x'\nc: x*y&z".utf8), name: "plain")
    #expect(mark == ["a": "b & c", "b": "*x", "c": "x*y&z"])
  }

  @Test func aNumberOfAMillionDigitsIsNoNumber() throws {
    let digits = String(repeating: "9", count: 1_000_000)
    #expect(try Value(yaml: Data("a: \(digits)".utf8), name: "yaml").record?["a"] == .string(digits))
    let error = #expect(throws: InputError.self) { try Value(json: Data(digits.utf8), name: "json") }
    #expect(error?.problem.hasSuffix("a number has over 1,000 characters") == true)
  }

  @Test func namesTheLineOfAMistakeInYAML() {
    let error = #expect(throws: InputError.self) {
      try Value(yaml: Data("a: 1\nb: 2\nc: [\n".utf8), name: "config.yaml")
    }
    #expect(error?.description.contains("config.yaml") == true && error?.description.contains("line 4") == true)
  }

  @Test func parsersSurviveMutatedInput() throws {
    var random = SplitMix(state: 7)
    let texts = [Self.sample.json(), try Self.sample.yaml()].map { Array($0.utf8) }
    for round in 0..<2000 {
      var bytes = texts[round % 2]
      for _ in 0..<Int(random.next() % 4) + 1 {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      bytes.removeLast(Int(random.next() % 8))
      if round % 2 == 0 {
        _ = try? Value(json: Data(bytes), name: "")
      } else {
        _ = try? Value(yaml: Data(bytes), name: "")
      }
    }
  }

  @Test func recordsFlattenAndNameTheirDifferences() {
    let one: Record = ["a": 1, "b": ["c": 2, "d": 3], "e": 4]
    let two: Record = ["a": 1, "b": ["c": 5, "d": 3], "f": 4]
    #expect(one.flattened.keys == ["a", "b.c", "b.d", "e"])
    #expect(one.differences(from: two) == ["b.c", "e", "f"])
    #expect(one.differences(from: one).isEmpty)
  }
}

struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
