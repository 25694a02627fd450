import Foundation
import Testing

@testable import QuenchCryoEM

@Suite("A reliability plot") struct ReliabilityTests {
  private func survey(_ fits: [CTFFit]) throws -> Survey {
    try Survey(
      fits.enumerated().map { Survey.Entry(name: "h\($0)", patch: "p", square: "s", tile: "t", fit: $1) },
      from: "test")
  }

  @Test("counts good holes by the probability that was given for them") func bins() throws {
    let survey = try survey([
      .resolution(3), .resolution(7), .failed, .resolution(6), .unmeasured, .resolution(5), .resolution(5)
    ])
    let reliability = Reliability([0.95, 1, 0.1, 0.12, 0.95, 0.5, 0.0], of: survey, threshold: 6, bins: 10)
    #expect(reliability.count == 6)
    #expect(reliability.bins.map(\.count) == [1, 2, 1, 2])
    #expect(reliability.bins.map(\.good) == [1, 1, 1, 1])
    #expect(reliability.bins.map(\.range.lowerBound) == [0, 0.1, 0.5, 0.9])
    let error = (1 + 2 * (0.5 - 0.11) + 0.5 + 2 * (0.975 - 0.5)) / 6
    #expect(abs(reliability.expectedError - error) < 1e-12)
  }

  @Test("is straight where the probabilities are right") func calibrated() throws {
    let survey = try survey((0..<1000).map { $0 % 10 < 3 ? .resolution(4) : .resolution(9) })
    let reliability = Reliability(Array(repeating: 0.3, count: 1000), of: survey, threshold: 6)
    #expect(reliability.expectedError < 1e-12 && reliability.bins.count == 1)
    #expect(reliability.bins[0].observed.interval.contains(0.3))
  }
}
