import Foundation
import QuenchSupport
import Testing

@testable import Fuzzing

@Suite("The fuzzer") struct FuzzerTests {
  /// A fuzzer that looks away from memory and time: those are the whole process's, and other tests run in it.
  private func fuzzer(_ target: FuzzTarget) -> Fuzzer {
    var fuzzer = Fuzzer(target, seed: 1)
    fuzzer.memoryAllowance = 1 << 40
    fuzzer.timeLimit = .infinity
    return fuzzer
  }

  /// What was found to be wrong.
  private func finding(_ result: (verdict: Fuzzer.Verdict, seconds: Double)) -> String? {
    if case .finding(let what) = result.verdict { what } else { nil }
  }

  @Test("begins with files that every reader accepts", arguments: FuzzTarget.all.map(\.name))
  func seeds(_ name: String) throws {
    let target = try FuzzTarget.named(name)
    for seed in target.seeds {
      #expect(!seed.isEmpty)
      #expect(fuzzer(target).judge(seed).verdict == .accepted)
      #expect(target.repair(seed) == seed, "a valid file needs no repair")
    }
  }

  @Test("makes the same input from seed and iteration, and others from others") func reproducible() throws {
    let target = try FuzzTarget.named("json")
    let inputs = (0..<100).map { Fuzzer(target, seed: 7).input($0) }
    #expect(inputs == (0..<100).map { Fuzzer(target, seed: 7).input($0) })
    #expect(Set(inputs).count > 80)
    #expect(inputs != (0..<100).map { Fuzzer(target, seed: 8).input($0) })
  }

  @Test("gets beyond checksums", arguments: ["png", "tar", "pixel-cache"]) func repairs(_ name: String) throws {
    let target = try FuzzTarget.named(name)
    var unrepaired = target
    unrepaired.repair = { $0 }
    let accepted = try [target, unrepaired].map { try fuzzer($0).run(0..<300).accepted }
    #expect(accepted[0] > accepted[1])
  }

  @Test("finds what is no InputError") func foreignError() throws {
    struct Foreign: Error {}
    let target = FuzzTarget(name: "bad", seeds: [Data("seed".utf8)]) { data in
      if data.count < 3 { throw Foreign() }
      if data.first != UInt8(ascii: "s") { throw InputError("refused") }
    }
    let tally = try fuzzer(target).run(0..<300)
    #expect(tally.count == 300)
    #expect(tally.accepted > 0 && tally.refused > 0)
    #expect(tally.findings.values.contains { $0.contains("Foreign") })
  }

  @Test("finds what takes too long") func slow() {
    let target = FuzzTarget(name: "slow", seeds: [Data("seed".utf8)]) { _ in
      var sum = 0
      for value in 0..<1_000_000 { sum ^= value }
      if sum == -1 { throw InputError("never") }
    }
    var fuzzer = fuzzer(target)
    fuzzer.timeLimit = 1e-5
    #expect(finding(fuzzer.judge(Data()))?.contains("processor time") == true)
  }

  @Test("finds what takes much memory for a small input") func greedy() {
    let target = FuzzTarget(name: "greedy", seeds: [Data("seed".utf8)]) { _ in
      let bytes = [UInt8](repeating: 1, count: ProcessMemory.peakBytes + (64 << 20))
      if bytes[bytes.count / 2] == 0 { throw InputError("never") }
    }
    #expect(finding(Fuzzer(target, seed: 1).judge(Data([1])))?.contains("MiB for 1 bytes") == true)
  }
}
