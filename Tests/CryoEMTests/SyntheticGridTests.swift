import Foundation
import TestSupport
import Testing

@testable import QuenchCryoEM

@Suite("A synthetic grid") struct SyntheticGridTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var grid: SyntheticGrid {
    var grid = SyntheticGrid()
    (grid.tiles, grid.squaresPerTile, grid.patchesPerSquare, grid.holesPerPatch) = (2, 1, 2, 8)
    return grid
  }

  @Test("draws the same grid from the same seed, and says everywhere that it is synthetic") func synthetic() throws
  {
    let holes = try grid.holes()
    #expect(try holes == grid.holes())
    #expect(holes.allSatisfy { $0.name.hasPrefix("synthetic") && HoleName($0.name) != nil })
    #expect(Set(holes.map { $0.picture(side: 24) }).count == holes.count)
    try grid.write(to: folder.url, format: .mrc, side: 32)
    #expect(try String(contentsOf: folder / "SYNTHETIC.txt", encoding: .utf8).contains("SYNTHETIC"))
    let data = try Data(contentsOf: folder / "images/\(holes[0].name).mrc")
    #expect(try MRCHeader(data, name: "x").labels[0].contains("SYNTHETIC"))
    let survey = try SurveyFile(contentsOf: folder / "survey.csv").survey
    #expect(survey.holes.map(\.fit) == holes.map(\.fit))
  }

  @Test("shows in a picture what makes its hole bad") func pictures() throws {
    var grid = SyntheticGrid()
    grid.holesPerPatch = 60
    let holes = try grid.holes()
    func middle(_ hole: SyntheticHole) -> Double {
      let pixels = hole.picture(side: 40)
      let rows = (16..<24).flatMap { y in (16..<24).map { Double(pixels[y * 40 + $0]) } }
      return rows.reduce(0, +) / Double(rows.count)
    }
    let clean = holes.filter { $0.state == .intact && $0.contaminants == 0 && $0.slope < 10 }
    let thin = clean.filter { $0.thickness < 30 }.prefix(40)
    let thick = clean.filter { $0.thickness > 60 }.prefix(40)
    #expect(thin.map(middle).min() ?? 0 > thick.map(middle).max() ?? 255)
    func mean(_ holes: some Collection<SyntheticHole>) -> Double {
      holes.compactMap(\.fit.clippedResolution).reduce(0, +) / Double(holes.count)
    }
    #expect(mean(thin) + 1 < mean(thick))
    #expect(mean(clean) + 1 < mean(holes.filter { $0.contaminants > 1 && $0.state == .intact }))
    #expect(mean(holes.filter { $0.state != .intact }) > 12)
  }
}
