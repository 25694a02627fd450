import Foundation
import QuenchReporting
import QuenchSupport

/// A made-up survey with the habits of real ones: quality clusters by tile, square and patch, and so do a predictor's
/// errors. It is synthetic, and its names say so.
public struct SyntheticSurvey: InlineGroup, Hashable, Sendable {
  public var grids = 1
  public var tiles = 6
  /// Squares of a tile, on average.
  public var squares = 2.0
  /// Patches of a square, on average.
  public var patches = 6.0
  /// Holes of a patch, on average.
  public var holes = 20.0
  /// Standard deviations of log-resolution by level; those of the public survey are much alike.
  public var tileSpread = 0.15
  public var squareSpread = 0.15
  public var patchSpread = 0.25
  public var holeSpread = 0.35
  /// Median resolution in Å.
  public var median = 6.8
  /// Share of exposures whose fit fails.
  public var failures = 0.015
  /// Standard deviations of the predictor's log-error, by patch and by hole.
  public var patchError = 0.12
  public var holeError = 0.22

  public init() {}

  /// - Throws: `InputError` if a number makes no sense.
  public func validate() throws(InputError) {
    try requireSetting((1...100).contains(grids), "grids", "1 to 100", grids)
    try requireSetting((1...1000).contains(tiles), "tiles", "1 to 1000", tiles)
    try requireSetting((1...100).contains(squares), "squares", "1 to 100", squares)
    try requireSetting((1...1000).contains(patches), "patches", "1 to 1000", patches)
    try requireSetting((1...1000).contains(holes), "holes", "1 to 1000", holes)
    let expected = Double(grids * tiles) * squares * patches * holes
    guard expected <= 200_000 else {
      throw InputError(
        "the synthetic survey would be too large", at: "holes",
        expected: "at most 200,000 holes", found: "about \(Int(expected))")
    }
  }

  /// Makes a survey; the same one for the same seed.
  public func make(seed: UInt64) throws(InputError) -> Survey {
    try validate()
    var generator = SplitMix64(seed, 0x5147)
    func normal(_ deviation: Double) -> Double {
      let u = Double.random(in: Double.leastNonzeroMagnitude..<1, using: &generator)
      let v = Double.random(in: 0..<1, using: &generator)
      return deviation * (-2 * log(u)).squareRoot() * cos(2 * .pi * v)
    }
    func count(_ mean: Double) -> Int {
      max(1, Int((mean * exp(normal(0.25) - 0.03)).rounded()))
    }
    func digits(_ number: Int, _ suffix: String) -> String {
      String(format: "%05d", number) + suffix
    }
    var entries: [Survey.Entry] = []
    for grid in 0..<grids {
      let gridEffect = grids > 1 ? normal(tileSpread) : 0
      for tile in 0..<tiles {
        let tileEffect = gridEffect + normal(tileSpread)
        let tilePlace = SIMD2(Double(tile % 5), Double(tile / 5)) * 400
        for square in 0..<count(squares) {
          let squareEffect = tileEffect + normal(squareSpread)
          let squarePlace = tilePlace + SIMD2(Double(square % 3), Double(square / 3)) * 110
          for patch in 0..<count(patches) {
            let patchEffect = squareEffect + normal(patchSpread)
            let offset = normal(patchError)
            let patchPlace = squarePlace + SIMD2(Double(patch % 4), Double(patch / 4)) * 20
            for hole in 0..<min(count(holes), 99) {
              let quality = log(median) + patchEffect + normal(holeSpread)
              let resolution = max(2.05, exp(quality))
              let prediction = max(2, exp(quality + offset + normal(holeError)))
              let failed = Double.random(in: 0..<1, using: &generator) < failures
              let pixel = SIMD2(Double(hole % 5) - 2, Double(hole / 5) - 2) * 180
              let name =
                "synthetic\(seed)_grid\(grid + 1)_\(digits(tile + 1, "gr"))_\(digits(square + 1, "sq"))_v01_"
                + "\(digits(patch + 1, "hl"))_v01_\(digits(hole + 1, "en-a"))"
              guard let parsed = HoleName(name) else { continue }
              var entry = Survey.Entry(
                parsed, offset: pixel, fit: failed ? .failed : .resolution((resolution * 1e4).rounded() / 1e4),
                confidence: ((0.98 - min(resolution, 20) / 25) * 1e4).rounded() / 1e4)
              entry.stage = patchPlace + pixel / 90
              entry.prediction = .resolution((prediction * 100).rounded() / 100)
              entries.append(entry)
            }
          }
        }
      }
    }
    return try Survey(entries, from: "the synthetic survey")
  }

  /// Time stamps of a session that took all exposures in the survey's order, with the public session's habits: 91 s a
  /// hole, about 185 s for a larger move, a long stop at one patch change in ten.
  public static func timestamps(of survey: Survey, seed: UInt64) -> [TimestampFile.Entry] {
    var generator = SplitMix64(seed, 0x71E5)
    var seconds = 1_704_099_600
    var entries: [TimestampFile.Entry] = []
    for (index, hole) in survey.holes.enumerated() {
      if index > 0 {
        switch survey.move(from: index - 1, to: index) {
        case .hole: seconds += Int.random(in: 75...93, using: &generator)
        case .grid: seconds += Int.random(in: 1100...1190, using: &generator)
        default:
          let stops = Double.random(in: 0..<1, using: &generator) < 0.1
          seconds +=
            stops ? Int.random(in: 640...720, using: &generator) : Int.random(in: 180...196, using: &generator)
        }
      }
      let raw = hole.name.hasSuffix("-a") ? String(hole.name.dropLast(2)) : hole.name
      entries.append(TimestampFile.Entry(image: raw, seconds: seconds))
      entries.append(
        TimestampFile.Entry(image: raw + "-a", seconds: seconds + Int.random(in: 35...60, using: &generator)))
    }
    return entries
  }
}
