import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import Testing

@Suite("Top-k masks")
struct MaskTests {
  static let scores: [Double] = [0.3, -0.7, 0.1, 0.7, -0.2, 0.5, 0.05, -0.4]

  @Test(
    "keep the largest magnitudes, of equal ones those of higher index",
    arguments: [
      (scores, 0.75, [1, 1, 0, 1, 1, 1, 0, 1]), (scores, 0.5, [0, 1, 0, 1, 0, 1, 0, 1]),
      (scores, 0.25, [0, 1, 0, 1, 0, 0, 0, 0]), (scores, 0.1, [0, 0, 0, 1, 0, 0, 0, 0]),
      (scores, 1, [1, 1, 1, 1, 1, 1, 1, 1]), ([1, -1, 1, -1], 0.5, [0, 0, 1, 1]),
      ([1, -1, 1, -1], 0.25, [0, 0, 0, 1])
    ] as [([Double], Double, [Int])])
  func ties(_ scores: [Double], _ keep: Double, _ expected: [Int]) throws {
    let kept = try KeepRatio(keep).kept(of: scores.count)
    #expect(Mask.topK(Tensor(scores).abs(), keeping: kept).array(Int.self) == expected)
  }

  @Test(
    "counts are guarded against binary rounding, or truncated as published",
    arguments: [
      (0.9, 10, 0, 1), (0.8, 10, 1, 2), (0.9, 100, 9, 10), (0.8, 1000, 199, 200), (0.7, 10, 3, 3), (0.5, 3, 1, 1),
      (0.2, 268_336, 214_668, 214_668), (0.1, 268_336, 241_502, 241_502), (0.05, 268_336, 254_919, 254_919),
      (0.01, 11_164_352, 11_052_708, 11_052_708), (0.1, 15_302_848, 13_772_563, 13_772_563)
    ] as [(Double, Int, Int, Int)])
  func counts(_ keep: Double, _ count: Int, _ truncated: Int, _ guarded: Int) throws {
    let ratio = try KeepRatio(keep)
    #expect(ratio.kept(of: count) == count - guarded)
    #expect(ratio.keptByTruncation(of: count) == count - truncated)
  }

  @Test("at least one weight stays, and ratios outside (0, 1] are refused")
  func limits() throws {
    #expect(try KeepRatio(0.001).kept(of: 10) == 1)
    for value in [0, -0.1, 1.2, .nan, .infinity] {
      #expect(throws: InputError.self) { try KeepRatio(value) }
    }
  }

  @Test("exactly the asked number stays whatever the ties, and positive scaling changes nothing")
  func property() {
    let generator = Generator(seed: 4)
    for count in [1, 7, 64, 1000] {
      let scores = Tensor.randint([count], in: -3..<4, using: generator).to(.float32)
      for kept in Set([1, count / 3, count / 2, count]) where kept > 0 {
        let mask = Mask.topK(scores.abs(), keeping: kept)
        #expect(Int(mask.sum().item()) == kept)
        #expect(Mask.topK((scores * 37.5).abs(), keeping: kept).isEqual(to: mask))
        let order = scores.abs().argsort()
        let expected = Tensor.ones([count]).scattered(0, order[..<(count - kept)], 0)
        #expect(mask.isEqual(to: expected), "as the stable ascending sort prunes its first entries")
      }
    }
  }
}
