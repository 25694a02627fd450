import CStatistics
import Foundation
import QuenchTorch
import Testing

@testable import QuenchSmoothing

@Suite("Noise") struct NoiseStreamTests {
  /// Known answers of Random123's `philox4x32 10`.
  @Test("The generator is Philox4x32-10")
  func knownAnswers() {
    func block(_ counter: [UInt32], _ key: [UInt32]) -> [UInt32] {
      var out = [UInt32](repeating: 0, count: 4)
      cs_philox(counter, key, &out)
      return out
    }
    #expect(block([0, 0, 0, 0], [0, 0]) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
    let ones = UInt32.max
    #expect(
      block([ones, ones, ones, ones], [ones, ones]) == [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])
    #expect(
      block([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0])
        == [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1])
  }

  private func values(_ count: Int, seed: UInt64 = 1, sample: UInt32 = 0) -> [Float] {
    var out = [Float](repeating: 0, count: count)
    cs_add_normal(&out, nil, count, 1, seed, [sample, 0, 1])
    return out
  }

  @Test("A value is the normal quantile of its random bits")
  func quantile() {
    let drawn = values(256, seed: 0)
    for (element, value) in drawn.enumerated() where element % 37 == 0 {
      var words = [UInt32](repeating: 0, count: 4)
      cs_philox([UInt32(element % 64), 0, 0, 1], [0, 0], &words)
      let word = words[element / 64]
      let tail = (Double(word >> 1) + 0.5) * 0x1p-32
      let exact = word & 1 == 1 ? Normal.quantile(tail) : -Normal.quantile(tail)
      #expect(abs(Double(value) - exact) < 2e-6 * max(1, abs(exact)))
    }
  }

  @Test("The values have the moments of the normal distribution, tails included")
  func moments() {
    let drawn = values(400_000).map(Double.init)
    let n = Double(drawn.count)
    let moments = [1.0, 2, 3, 4].map { power in drawn.reduce(0.0) { $0 + pow($1, power) } / n }
    // Four standard errors: the moments' variances are 1, 2, 15 and 96.
    for (moment, (expected, variance)) in zip(moments, [(0.0, 1.0), (1, 2), (0, 15), (3, 96)]) {
      #expect(abs(moment - expected) < 4 * (variance / n).squareRoot())
    }
    let beyond = drawn.count { abs($0) > 3 }
    #expect(abs(Double(beyond) - n * 2 * Normal.cdf(-3)) < 4 * (n * 2 * Normal.cdf(-3)).squareRoot())
  }

  @Test("Streams of other seeds, samples, images and purposes differ, the same one repeats")
  func streams() {
    #expect(values(64) == values(64))
    #expect(values(64) != values(64, seed: 2))
    #expect(values(64, seed: 1 << 40) != values(64, seed: 0))
    #expect(values(64) != values(64, sample: 1))
    #expect(Array(values(100).prefix(64)) == values(64))
  }

  @Test("A copy's noise does not depend on which copies are drawn with it")
  func batches() {
    let image = Tensor.full([3, 5, 7], 0.5)
    let (a, b) = (NoiseStream.Source(image, index: 4), NoiseStream.Source(image * 0.5, index: 9))
    let noise = NoiseStream(seed: 11)
    let together = noise.noisyCopies([.init(a, .estimation, 0..<10), .init(b, .selection, 3..<5)], sigma: 0.25)
    #expect(together.shape == [12, 3, 5, 7] && together.isContiguous(.channelsLast))
    let alone = noise.noisyCopies([.init(a, .estimation, 7..<8)], sigma: 0.25)
    #expect(together[7].isEqual(to: alone[0]))
    #expect(!together[7].isEqual(to: noise.noisyCopies([.init(a, .selection, 7..<8)], sigma: 0.25)[0]))
    #expect(together[11].isEqual(to: noise.noisyCopies([.init(b, .selection, 4..<5)], sigma: 0.25)[0]))
    #expect(abs((together[0..<10].mean().item()) - 0.5) < 0.05)
  }
}
