import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A survey out of a navigator file") struct NavigatorSurveyTests {
  /// A square map of half width 10 round (x, y), or a point there.
  private func item(
    _ label: String, _ x: Double, _ y: Double, map: Int? = nil, half: Double = 10, drawnOn: Int? = nil,
    group: Int? = nil, acquire: Bool = false, registration: Int = 1
  ) -> String {
    var lines = ["[Item = \(label)]", "StageXYZ = \(x) \(y) 0", "Regis = \(registration)"]
    if let drawnOn { lines.append("DrawnID = \(drawnOn)") }
    if let group { lines.append("GroupID = \(group)") }
    if acquire { lines.append("Acquire = 1") }
    if let map {
      lines += [
        "NumPts = 5", "Type = 2", "MapID = \(map)",
        "PtsX = \(x - half) \(x + half) \(x + half) \(x - half) \(x - half)",
        "PtsY = \(y - half) \(y - half) \(y + half) \(y + half) \(y - half)"
      ]
    } else {
      lines += ["NumPts = 1", "Type = 0", "PtsX = \(x)", "PtsY = \(y)"]
    }
    return lines.joined(separator: "\n") + "\n\n"
  }

  private func targets(_ items: String...) throws -> Navigator.Targets {
    try Navigator(Data(("AdocVersion = 2.00\n\n" + items.joined()).utf8), name: "a.nav").targets()
  }

  private func path(_ targets: Navigator.Targets, _ hole: Int) -> [String] {
    let entry = targets.survey.entry(hole)
    return [entry.tile, entry.square, entry.patch, entry.name]
  }

  @Test("follows the maps that things were drawn on") func chains() throws {
    let targets = try targets(
      item("atlas", 0, 0, map: 1, half: 500), item("square", 900, 0, map: 2, drawnOn: 1),
      item("patch", 0, 900, map: 3, drawnOn: 2), item("p", 5, 5, drawnOn: 3, group: 4))
    #expect(path(targets, 0) == ["atlas", "square", "patch", "p"])
    #expect(targets.items == [3] && targets.exposures == [1])
    #expect(targets.survey.holes[0].stage == SIMD2(5, 5))
  }

  @Test("goes by what encloses a point where it was drawn on nothing") func containment() throws {
    let targets = try targets(
      item("atlas", 0, 0, map: 1, half: 500), item("patch", 20, 20, map: 3, half: 5),
      item("square", 20, 20, map: 2, half: 50), item("in", 21, 21), item("out", 200, 200), item("lost", 900, 900))
    #expect(path(targets, 0) == ["atlas", "atlas", "atlas", "out"])
    #expect(path(targets, 1) == ["atlas", "square", "patch", "in"])
    #expect(path(targets, 2) == ["whole file", "whole file", "whole file", "lost"])
  }

  @Test("makes patches of the groups on a map, or on none") func groups() throws {
    let targets = try targets(
      item("square", 0, 0, map: 1), item("a", 1, 1, group: 7), item("b", 2, 2, group: 8), item("c", 3, 3, group: 7),
      item("d", 99, 99, group: 7))
    #expect(targets.survey.patches.map(\.name) == ["square group 7", "square group 8", "whole file group 7"])
    #expect(targets.survey.holes.map(\.name) == ["a", "c", "b", "d"])
    #expect(targets.items == [1, 3, 2, 4])
  }

  @Test("takes the points that are marked, and tells apart those of one label") func marked() throws {
    let all = try targets(item("7", 0, 0), item("7", 1, 1))
    #expect(all.survey.holes.map(\.name) == ["7@0/0", "7@1/1"])
    let marked = try targets(item("7", 0, 0), item("8", 1, 1, acquire: true))
    #expect(marked.survey.holes.map(\.name) == ["8"])
  }

  private func navigator(_ items: String...) throws -> Navigator {
    try Navigator(Data(("AdocVersion = 2.00\n\n" + items.joined()).utf8), name: "a.nav")
  }

  private func plan(_ holes: String...) throws -> PlanFile {
    try PlanFile(parsing: Data(("name\n" + holes.joined(separator: "\n") + "\n").utf8), name: "plan.csv")
  }

  @Test("calls twins the same after their order has changed") func twins() throws {
    let before = try navigator(
      item("1", 10, 10, acquire: true), item("1", 20, 20, acquire: true), item("2", 30, 30, acquire: true))
    let (after, leftOut) = try before.ordered(by: plan("2", "1@20/20", "1@10/10"))
    #expect(after.items.map(\.stage.x) == [30, 20, 10] && leftOut.isEmpty)
    let (again, _) = try after.ordered(by: plan("1@20/20", "2"))
    #expect(again.items.map(\.stage.x) == [20, 30, 10])
    #expect(Set(try before.targets().survey.holes.map(\.name)) == Set(try after.targets().survey.holes.map(\.name)))
  }

  @Test("takes a plan though an item was taken since, and leaves that one off") func taken() throws {
    let file = try navigator(item("1", 10, 10), item("2", 20, 20, acquire: true), item("3", 30, 30, acquire: true))
    let (planned, leftOut) = try file.ordered(by: plan("3", "1", "2"))
    #expect(planned.items.map(\.label) == ["3", "2", "1"] && planned.items.map(\.acquires) == [true, true, false])
    #expect(leftOut == ["1"])
    let (all, none) = try file.ordered(by: plan("3", "1", "2"), turnsOn: true)
    #expect(all.items.map(\.label) == ["3", "1", "2"] && all.items.allSatisfy(\.acquires) && none.isEmpty)
    #expect(inputError { try file.ordered(by: plan("1")) }?.remedy == "turn them on again with `turn-on`")
  }

  @Test("has the items of one registration, and says how many are of others") func registrations() throws {
    let file = try navigator(
      item("square", 0, 0, map: 1, half: 90), item("old", 0, 0, map: 2, half: 9, registration: 2),
      item("1", 1, 1, acquire: true), item("2", 1, 1, acquire: true, registration: 2),
      item("3", 2, 2, acquire: true))
    let targets = try file.targets()
    #expect(targets.survey.holes.map(\.name) == ["1", "3"] && targets.survey.patches.map(\.name) == ["square"])
    #expect(targets.registration == 1 && targets.otherRegistrations == 1)
    #expect(try file.targets(registration: 2).survey.holes.map(\.name) == ["2"])
    #expect(inputError { try file.targets(registration: 3) }?.found == "Regis = 1, 2")
  }

  @Test("keeps every byte of a Latin-1 note when the plan's remark is put before it") func latin1() throws {
    var text = item("1", 1, 1, acquire: true).replacing("NumPts", with: "Note = gr#n\nNumPts")
    text = ("AdocVersion = 2.00\n\n" + text).replacing("\n", with: "\r\n")
    let data = Data(text.utf8.map { $0 == UInt8(ascii: "#") ? 0xFC : $0 })
    let (planned, _) = try Navigator(data, name: "a.nav").ordered(by: plan("1"))
    #expect(planned.data.range(of: Data("Note = rank=1 | gr".utf8) + Data([0xFC]) + Data("n\r\n".utf8)) != nil)
    #expect(planned.data.range(of: Data("ü".utf8)) == nil)
  }

  @Test("refuses maps in a ring, maps of one number, and a file without points") func errors() {
    #expect(
      inputError {
        try targets(
          item("a", 0, 0, map: 1, drawnOn: 2), item("b", 0, 0, map: 2, drawnOn: 1), item("p", 0, 0, drawnOn: 1))
      }?
      .description
        == "a.nav, line 3: maps are drawn on each other in a ring (found item 'a'); mend the DrawnID of one of them"
    )
    #expect(
      inputError { try targets(item("a", 0, 0, map: 1), item("b", 0, 0, map: 1), item("p", 0, 0)) }?.problem
        == "two maps have the same MapID")
    #expect(
      inputError { try targets(item("a", 0, 0, map: 1)) }?.problem.hasPrefix("there is no point to expose") == true)
  }
}
