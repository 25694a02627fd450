import CryoFixtures
import Testing

@testable import QuenchCryoEM

@Suite("Features") struct FeatureTests {
  /// The frames of the hand-made grid from hole 0 after `visits`.
  static func frames(_ mode: FeatureMode, visits: [Int] = []) throws -> FeatureFrames {
    let environment = try HandGrid.environment()
    var episode = environment.start(at: 0)
    var frames = FeatureFrames(FeatureEncoder(environment, mode: mode), episode.acquisition)
    for hole in visits {
      episode.visit(hole)
      frames.visit(hole, episode.acquisition)
    }
    return frames
  }

  /// The newest frame of `hole`, rounded to four decimals.
  static func newest(_ frames: FeatureFrames, _ hole: Int) -> [Double] {
    frames.observations(of: [hole]).suffix(frames.encoder.mode.width).map { (Double($0) * 1e4).rounded() / 1e4 }
  }

  static let truth = FeatureMode(usesPredictions: false)

  @Test("of true resolutions are as by hand") func truth() throws {
    let frames = try Self.frames(Self.truth)
    let tile = [0.2727, 0.1818, 0.2727, 0.0909, 0.1818, 0.022, 0.012, 0.002, 0.002]
    let square = [0.2, 0.2, 0.6001, 0, 0, 0.0333, 0.02, 0.0067, 0.0067]
    #expect(
      Self.newest(frames, 0) == [0.25, 1, 0.5, 0, 0.5, 0, 0, 0.08, 0.04, 0.04, 0.04] + square + tile + [1, 1, 1])
    #expect(
      Self.newest(frames, 3) == [0.2, 0, 0, 0.3333, 0.6665, 0, 0, 0.12, 0.08, 0, 0] + square + tile + [1, 1, 0])
    #expect(
      Self.newest(frames, 6) == [0.15, 0, 0.3333, 0.3333, 0, 0.3333, 0, 0.12, 0.08, 0, 0]
        + [0.3333, 0.1666, 0, 0.1666, 0.3333, 0.04, 0.02, 0, 0] + tile + [1, 0, 0])
  }

  @Test("of predictions are as by hand") func predictions() throws {
    #expect(
      Self.newest(try Self.frames(FeatureMode()), 0) == [0.26, 1, 0, 1, 0, 0, 0, 0.08, 0.08, 0.04, 0.04]
        + [0, 0.6001, 0.3999, 0, 0, 0.0333, 0.02, 0.0067, 0.0067]
        + [0.0909, 0.3635, 0.2727, 0.0909, 0.1818, 0.022, 0.01, 0.002, 0.002] + [1, 1, 1])
  }

  @Test("are smoothed over bins, mirrored at the ends") func smoothing() throws {
    let response = FeatureEncoder.smoothing(0.5)
    let expected = [
      [0.893021, 0.106715, 0.000264, 0, 0], [0.106715, 0.786571, 0.106451, 0.000264, 0],
      [0.000264, 0.106451, 0.786571, 0.106451, 0.000264], [0, 0.000264, 0.106451, 0.786571, 0.106715],
      [0, 0, 0.000264, 0.106715, 0.893021]
    ]
    for (row, expected) in zip(response, expected) {
      for (found, expected) in zip(row, expected) { #expect(abs(found - expected) < 1e-6) }
      #expect(abs(row.reduce(0, +) - 1) < 1e-12)
    }
    let frames = try Self.frames(FeatureMode(usesPredictions: false, smoothing: 0.5))
    let found = Self.newest(frames, 3)
    #expect(Array(found[2..<7]) == [0.0357, 0.3333, 0.5601, 0.071, 0.0002])
    #expect(Array(found[11..<16]) == [0.2001, 0.2426, 0.4932, 0.0639, 0.0002])
    #expect(Array(found[20..<25]) == [0.2629, 0.2012, 0.2437, 0.12, 0.1721])
  }

  @Test("keep four frames, oldest first") func history() throws {
    let frames = try Self.frames(FeatureMode(), visits: [2, 4])
    let observations = frames.observations(of: [2, 3, 4])
    func entry(_ row: Int, _ frame: Int, _ index: Int) -> Float { observations[row * 128 + frame * 32 + index] }
    #expect((0..<4).map { entry(0, $0, 1) } == [0, 0, 1, 1])
    #expect((0..<4).map { entry(1, $0, 31) } == [0, 0, 0, 1])
    for (frame, expected) in [5.5122, 5.5122, 5.5125, 7.5122].enumerated() {
      let sum = (0..<32).reduce(0) { $0 + Double(entry(2, frame, $1)) }
      #expect(abs(sum - expected) < 5e-5)
    }
  }

  @Test("of classes count measured outcomes") func classification() throws {
    var survey = try HandGrid.survey()
    survey = survey.predicting((0..<12).map { .classes([0.05 * Double($0), 1 - 0.05 * Double($0)]) })
    let environment = try Environment(survey, rules: AcquisitionRules(budget: 1e6, rule: .reference))
    var episode = environment.start(at: 0)
    var frames = FeatureFrames(
      FeatureEncoder(environment, mode: FeatureMode(.classification)), episode.acquisition)
    episode.visit(1)
    frames.visit(1, episode.acquisition)
    #expect(frames.observations(of: [2]).count == 68)
    // Patch 0: hole 2 is left with 0.1; holes 0 (5.0, good) and 1 (7.0, bad) are visited.
    let found = Self.newest(frames, 2)
    #expect(Array(found[..<2]) == [0.1, 0])
    #expect(Array(found[2..<6]) == [0.04, 0.004, 0.08, 0.04])
    #expect(Array(found[6..<10]) == [0.0267, 0.0047, 0.0133, 0.0067])
    #expect(Array(found[14...]) == [1, 1, 1])
  }

  @Test("kept up to date are those computed anew", arguments: FeatureMode.Kind.allCases) func incremental(
    _ kind: FeatureMode.Kind
  ) throws {
    let environment = try HandGrid.environment(budget: 200)
    for smoothing in [0, 0.5] {
      let encoder = FeatureEncoder(environment, mode: FeatureMode(kind, smoothing: smoothing))
      var episode = environment.start(at: 7)
      var frames = FeatureFrames(encoder, episode.acquisition)
      for hole in [0, 8, 3, 11, 1] {
        episode.visit(hole)
        frames.visit(hole, episode.acquisition)
        let fresh = FeatureFrames(encoder, episode.acquisition)
        let all = Array(0..<12)
        #expect(frames.observations(of: all) == fresh.observations(of: all))
      }
    }
  }

  @Test("of all holes can be had from the candidates: best, middle and worst of each patch") func candidates()
    throws
  {
    let encoder = FeatureEncoder(try HandGrid.environment(), mode: FeatureMode())
    #expect(encoder.candidates { _ in false } == [2, 0, 1, 4, 3, 5, 6, 8, 7, 11, 10, 9])
    #expect(encoder.candidates { $0 < 5 || $0 == 8 } == [5, 6, 7, 11, 10, 9])
    #expect(encoder.candidates { _ in true }.isEmpty)
  }
}
