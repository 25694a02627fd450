import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A navigator file") struct NavigatorTests {
  static let text = """
    AdocVersion = 2.00
    LastSavedAs = D:\\Data\\grid1.nav

    [Item = 1-A]
    Color = 2
    StageXYZ = 0 0 44
    NumPts = 5
    Regis = 1
    Type = 2
    MapFile = atlas.mrc
    MapID = 100
    MapScaleMat = 2 0 0 -2
    MapWidthHeight = 400 400
    PtsX = -100 100 100 -100 -100
    PtsY = -100 -100 100 100 -100

    [Item = 2-A]
    Color = 2
    StageXYZ = 10 10 44
    NumPts = 5
    Regis = 1
    Type = 2
    DrawnID = 100
    MapID = 200
    PtsX = 0 20 20 0 0
    PtsY = 0 0 20 20 0

    [Item = 101]
    Color = 0
    StageXYZ = 12.500 12.250 44.000
    NumPts = 1
    Regis = 1
    Type = 0
    Note = near the edge
    GroupID = 7
    DrawnID = 200
    Mystery = kept 1 2 3
    PtsX = 12.500
    PtsY = 12.250

    [Item = 102]
    Color = 0
    StageXYZ = 14 12 44
    NumPts = 1
    Regis = 1
    Type = 0
    GroupID = 7
    Acquire = 1
    HoleArray = 3 3
    SkipHoles = 1 1 2 2
    PtsX = 14
    PtsY = 12

    """

  private func navigator(_ text: String = text) throws -> Navigator {
    try Navigator(Data(text.utf8), name: "a.nav")
  }

  private func error(_ text: String) -> String {
    do {
      _ = try navigator(text)
      return "no error"
    } catch { return "\(error)" }
  }

  @Test("comes out as it went in, byte for byte", arguments: ["\n", "\r\n"]) func roundTrip(_ end: String) throws {
    let text = Self.text.replacingOccurrences(of: "\n", with: end) + "stray line \t\(end)# comment"
    #expect(try navigator(text).data == Data(text.utf8))
  }

  @Test("gives items with their keys") func items() throws {
    let items = try navigator().items
    #expect(items.map(\.label) == ["1-A", "2-A", "101", "102"])
    #expect(items.map(\.kind) == [.map, .map, .point, .point])
    #expect(items[2].stage == StagePosition(x: 12.5, y: 12.25, z: 44))
    #expect(items[2].note == "near the edge" && items[2].groupID == 7 && items[2].drawnID == 200)
    #expect(items.map(\.acquires) == [false, false, false, true])
    #expect(items[3].holes == 7)
    #expect(items[1].line == 17)
  }

  @Test("turns a map's pixels into stage positions and back") func pixels() throws {
    let map = try #require(try navigator().items.first)
    #expect(map.stagePosition(ofPixel: 200, 200) == StagePosition(x: 0, y: 0, z: 44))
    #expect(map.stagePosition(ofPixel: 220, 160) == StagePosition(x: 10, y: 20, z: 44))
    let pixel = try #require(map.pixel(at: StagePosition(x: 10, y: 20)))
    #expect(pixel.x == 220 && pixel.y == 160)
  }

  @Test("says which lines it does not understand, and keeps them") func warnings() throws {
    let text =
      Self.text
      + "[Odd = 1]\nkey = 1\n\n[Item = 9]\nStageXYZ = 0 0 0\nNumPts = 0\nRegis = 1\nType = 8\nPtsX = \nPtsY = \nnonsense\n"
    let navigator = try navigator(text)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let odd = try #require(lines.firstIndex(of: "[Odd = 1]")) + 1
    #expect(
      navigator.warnings == [
        "a.nav, line \(odd + 10): not a 'key = value' line; it is kept as it is",
        "a.nav, line \(odd): a section 'Odd' is kept and not used",
        "a.nav, line \(odd + 3): item '9' has the unknown type 8; it is kept and not used"
      ])
    #expect(navigator.data == Data(text.utf8))
  }

  @Test("puts a plan's points in order, marks them and keeps everything else") func ordered() throws {
    let navigator = try navigator()
    let plan = try navigator.ordered(by: [.init(item: 3, remark: "p=0.91 ctf=4.2"), .init(item: 2)])
    #expect(plan.items.map(\.label) == ["1-A", "2-A", "102", "101"])
    #expect(plan.items.map(\.acquires) == [false, false, true, true])
    #expect(plan.items[2].note == "rank=1 p=0.91 ctf=4.2")
    #expect(plan.items[3].note == "rank=2 | near the edge")
    let text = String(decoding: plan.data, as: UTF8.self)
    #expect(text.contains("DrawnID = 200\nAcquire = 1\nMystery = kept 1 2 3\nPtsX = 12.500"))

    let one = try plan.ordered(by: [.init(item: 3)])
    #expect(one.items.map(\.label) == ["1-A", "2-A", "101", "102"])
    #expect(one.items.map(\.acquires) == [false, false, true, false])
    #expect(one.items.map(\.note) == [nil, nil, "rank=1 | near the edge", nil])
  }

  @Test("refuses a plan of what is no point, and of one point twice") func badPlans() throws {
    let navigator = try navigator()
    #expect(throws: InputError.self) { try navigator.ordered(by: [.init(item: 0)]) }
    #expect(throws: InputError.self) { try navigator.ordered(by: [.init(item: 2), .init(item: 2)]) }
  }

  @Test("may be made of points alone") func made() throws {
    let points = [
      Navigator.Point(label: "101", stage: .init(x: 12.5, y: -300.25, z: 44), note: "p=0.91 ctf=4.2", groupID: 7)
    ]
    let navigator = try Navigator(points: points, name: "plan.nav")
    #expect(
      String(decoding: navigator.data, as: UTF8.self) == """
        AdocVersion = 2.00
        LastSavedAs = plan.nav

        [Item = 101]
        Color = 0
        StageXYZ = 12.500 -300.250 44.000
        NumPts = 1
        Regis = 1
        Type = 0
        Note = p=0.91 ctf=4.2
        GroupID = 7
        Acquire = 1
        PtsX = 12.500
        PtsY = -300.250


        """)
    #expect(throws: InputError.self) {
      try Navigator(points: [.init(label: "a\nb", stage: .init(x: 0, y: 0))], name: "x")
    }
  }

  @Test("names the line of what is wrong") func errors() {
    let text = Self.text
    #expect(
      error("")
        == "a.nav: there is nothing of an autodoc file in it (expected 'key = value' lines and '[Item = ...]' or '[ZValue = ...]' headers, found an empty file)"
    )
    #expect(error("AdocVersion = 2\n") == "a.nav: there is no item in the navigator file (expected [Item = label])")
    #expect(
      error("<?xml version='1.0'?>").hasPrefix("a.nav: this is the XML form of the file (expected the text form)"))
    let truncated = text.components(separatedBy: "DrawnID = 200")[0]
    #expect(
      error(truncated)
        == "a.nav, line 28: item '101' is truncated (expected also PtsX, PtsY, found its end after GroupID); save the navigator file again"
    )
    #expect(
      error(text.replacingOccurrences(of: "PtsX = 12.500", with: "PtsX = 12.5 7"))
        == "a.nav, line 38: PtsX has a wrong value (expected 1 finite number, found 12.5 7)")
    #expect(
      error(text.replacingOccurrences(of: "StageXYZ = 14 12 44", with: "StageXYZ = 14 nan 44"))
        == "a.nav, line 43: StageXYZ has a wrong value (expected 2 to 3 finite numbers, found 14 nan 44)")
    #expect(
      error(text.replacingOccurrences(of: "[Item = 102]", with: "[Item = 102")).hasPrefix(
        "a.nav, line 41: a section's header has no end"))
    #expect(
      error(text.replacingOccurrences(of: "HoleArray = 3 3", with: "HoleArray = 0 3")).hasPrefix(
        "a.nav, line 49: HoleArray has a wrong value"))
    #expect(error("a\0b").contains("not a text file"))
  }
}
