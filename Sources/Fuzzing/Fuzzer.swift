import Foundation
import QuenchSupport
import QuenchVision

/// A reader of files, and valid files that it reads.
public struct FuzzTarget: Sendable {
  public var name: String
  /// Small valid files; mutations begin with one of them.
  public var seeds: [Data]
  /// Puts right what guards a file as a whole, such as a checksum, so that a mutation gets beyond it.
  var repair: @Sendable (Data) -> Data = { $0 }
  /// Reads a file as the product does.
  /// - Throws: `InputError` for what it refuses; anything else is a finding.
  var read: @Sendable (Data) throws -> Void
}

/// Gives mutated files to a reader, which must return or throw an `InputError`, soon and without much memory.
///
/// An input follows from the seed, the target and the iteration alone, so a finding can be made again. A reader
/// that crashes takes the process with it: whoever wants to go on then runs the fuzzer in a process of its own.
public struct Fuzzer: Sendable {
  public var target: FuzzTarget
  public var seed: UInt64
  /// Seconds of processor time that one input may take.
  public var timeLimit = 2.0
  /// Bytes that the process may grow by for one input: this much, and so many for each byte of the input.
  public var memoryAllowance = 32 << 20
  public var memoryFactor = 64

  public init(_ target: FuzzTarget, seed: UInt64) {
    self.target = target
    self.seed = seed
  }

  /// What became of one input.
  public enum Verdict: Hashable, Codable, Sendable {
    case accepted
    case refused(String)
    /// What must not happen.
    case finding(String)
  }

  /// What became of many.
  public struct Tally: Hashable, Codable, Sendable {
    public var accepted = 0
    public var refused = 0
    /// The input that took longest, in processor seconds.
    public var slowest = Slowest(iteration: 0, seconds: 0)
    /// What must not happen, by iteration.
    public var findings: [Int: String] = [:]

    public struct Slowest: Hashable, Codable, Sendable {
      public var iteration: Int
      public var seconds: Double
    }

    public init() {}

    public var count: Int { accepted + refused + findings.count }

    public mutating func add(_ verdict: Verdict, at iteration: Int, seconds: Double) {
      note(Slowest(iteration: iteration, seconds: seconds))
      switch verdict {
      case .accepted: accepted += 1
      case .refused: refused += 1
      case .finding(let what): findings[iteration] = what
      }
    }

    public mutating func merge(_ other: Tally) {
      accepted += other.accepted
      refused += other.refused
      note(other.slowest)
      findings.merge(other.findings) { first, _ in first }
    }

    private mutating func note(_ other: Slowest) { if other.seconds > slowest.seconds { slowest = other } }
  }

  /// The input of an iteration.
  public func input(_ iteration: Int) -> Data {
    let name = target.name.utf8.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }
    var random = SplitMix64(seed, name, UInt64(iteration))
    let seeds = (0..<2).map { _ in target.seeds[Int.random(in: target.seeds.indices, using: &random)] }
    let isRepaired = Bool.random(using: &random)
    var mutator = Mutator(random: random)
    let input = mutator.mutate(seeds[0], with: seeds[1])
    return isRepaired ? target.repair(input) : input
  }

  /// Reads one input.
  public func judge(_ input: Data) -> (verdict: Verdict, seconds: Double) {
    let (start, memory) = (Fuzzer.processorSeconds, ProcessMemory.peakBytes)
    var verdict = Verdict.accepted
    do { try target.read(input) } catch let error as InputError {
      verdict = .refused("\(error)")
    } catch {
      verdict = .finding("threw \(type(of: error)): \(error)")
    }
    let (seconds, growth) = (Fuzzer.processorSeconds - start, ProcessMemory.peakBytes - memory)
    if seconds > timeLimit { verdict = .finding("took \(seconds) s of processor time") }
    if growth > memoryAllowance + memoryFactor * input.count {
      verdict = .finding("took \(growth >> 20) MiB for \(input.count) bytes")
    }
    return (verdict, seconds)
  }

  /// Reads the inputs of some iterations.
  /// - Parameter mark: Called with each iteration before it is read.
  public func run(_ iterations: Range<Int>, mark: (Int) throws -> Void = { _ in }) throws -> Tally {
    // What is taken once, on the first use of a library, is no input's fault.
    for seed in target.seeds { _ = judge(seed) }
    var tally = Tally()
    for iteration in iterations {
      try mark(iteration)
      let (verdict, seconds) = judge(input(iteration))
      tally.add(verdict, at: iteration, seconds: seconds)
    }
    return tally
  }

  private static var processorSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
