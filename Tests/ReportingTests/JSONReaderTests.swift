import Foundation
import QuenchReporting
import QuenchSupport
import Testing

@Suite("The JSON reader") struct JSONReaderTests {
  private func reader(_ text: String, budget: Int = .max) -> JSONReader {
    JSONReader(Data(text.utf8), name: "test", budget: budget)
  }

  @Test("A value that is passed over is read later by a copy, or not at all")
  func passing() throws {
    var reader = reader(#"{"a": [1, {"b": "\"]"}, null, true], "c": 2}"#)
    var (later, c) = (JSONReader?.none, Value?.none)
    try reader.members { (reader, key) throws(InputError) in
      if key == "a" {
        later = reader
        try reader.pass()
      } else {
        c = try reader.value()
      }
    }
    try reader.end()
    #expect(c == 2)
    #expect(try later?.value() == [1, ["b": "\"]"], nil, true])
  }

  @Test(
    "What is no JSON is not passed over",
    arguments: [
      "[1 2]", "[1,]", #"{"a" 1}"#, "{1: 2}", "[}", #""a"#, #""a\"#, "nul", "", "[1", #"{"a": 1, "a": 2}"#
    ])
  func mistakes(text: String) {
    #expect(throws: InputError.self) {
      var reader = reader(text)
      try reader.pass()
      try reader.end()
    }
  }

  @Test("No more values are built than the budget has")
  func budget() throws {
    var enough = reader("[1, [2, 3]]", budget: 5)
    #expect(try enough.value() == [1, [2, 3]])
    #expect {
      var tooFew = reader("[1, [2, 3]]", budget: 4)
      _ = try tooFew.value()
    } throws: {
      "\($0)" == "test, byte 7: the JSON has too many values"
    }
  }

  @Test("Neither a long number nor a long key is echoed or worked on")
  func long() {
    let digits = String(repeating: "1", count: 1001)
    #expect { try Value(json: Data(digits.utf8), name: "x") } throws: { "\($0)".contains("over 1,000 characters") }
    let key = "\"\(String(repeating: "k", count: 5000))\": 1"
    #expect { try Value(json: Data("{\(key), \(key)}".utf8), name: "x") } throws: { "\($0)".count < 300 }
  }
}
