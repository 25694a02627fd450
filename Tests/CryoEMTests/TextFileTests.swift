import Foundation
import Testing

@testable import QuenchCryoEM

@Suite("A text file") struct TextFileTests {
  @Test("keeps every byte, whatever ends its lines") func bytes() throws {
    let data = Data("a = 1\r\n\n  b \t\r\nlast".utf8)
    let file = try TextFile(data, name: "x")
    #expect(file.lines.map(\.bytes).reduce(Data(), +) == data)
    #expect(file.lines.map(\.text) == ["a = 1", "", "b", "last"])
    #expect(file.lines.map(\.isComplete) == [true, true, true, false])
    #expect(file.lines.map(\.number) == [1, 2, 3, 4])
  }

  @Test("reads text that is no UTF-8 as Latin-1") func latin1() throws {
    let file = try TextFile(Data([0x4E, 0xB5, 0x6D, 0x0A]), name: "x")
    #expect(file.lines[0].text == "Nµm")
  }
}
