import ArgumentParser
import Foundation
import Fuzzing
import QuenchSupport

/// Runs the fuzzer over the readers, each in a process of its own that may crash.
@main
struct QuenchFuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quench-fuzz",
    abstract: "Give mutated files to every reader; exit 1 if one crashes, hangs, or takes too much time or memory.")

  @Option(help: "Files for each target.")
  var iterations = 10_000

  @Option(help: ArgumentHelp("One target only.", valueName: "name"))
  var target: String?

  @Option(help: "The same seed gives the same files.")
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("Read this one file of --target in this process.", valueName: "n"))
  var iteration: Int?

  @Option(help: ArgumentHelp("Write the file of --iteration here first.", valueName: "file"))
  var save: String?

  @Option(help: ArgumentHelp("Begin with this iteration; note each in --mark.", visibility: .private))
  var first: Int?

  @Option(help: .private) var mark: String?

  func validate() throws {
    guard iterations > 0 else { throw ValidationError("--iterations must be at least 1.") }
    guard target != nil || (iteration ?? first) == nil else { throw ValidationError("--iteration needs --target.") }
  }

  func run() throws {
    do {
      let targets = try target.map { [try FuzzTarget.named($0)] } ?? FuzzTarget.all
      if let iteration { return try read(iteration, of: targets[0]) }
      if let first, let mark { return try work(on: targets[0], from: first, mark: URL(filePath: mark)) }
      try supervise(targets)
    } catch let error as InputError {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      throw ExitCode.failure
    }
  }

  /// Makes one input again.
  private func read(_ iteration: Int, of target: FuzzTarget) throws {
    let fuzzer = Fuzzer(target, seed: seed)
    let input = fuzzer.input(iteration)
    if let save { try AtomicFile.write(input, to: URL(filePath: save)) }
    print("\(target.name), iteration \(iteration): \(input.count) bytes")
    let (verdict, seconds) = fuzzer.judge(input)
    print("\(verdict) in \(seconds) s")
    if case .finding = verdict { throw ExitCode.failure }
  }

  /// The part that may crash: the iterations from `first` on, the current one noted in a file.
  private func work(on target: FuzzTarget, from first: Int, mark: URL) throws {
    let file = try FileHandle(forUpdating: mark)
    let tally = try Fuzzer(target, seed: seed).run(first..<iterations) { iteration in
      try file.seek(toOffset: 0)
      try file.write(contentsOf: withUnsafeBytes(of: Int64(iteration).littleEndian) { Data($0) })
    }
    print(String(decoding: try JSONEncoder().encode(tally), as: UTF8.self))
  }

  private func supervise(_ targets: [FuzzTarget]) throws {
    var findings: [String] = []
    let nameWidth = targets.map(\.name.count).max() ?? 0
    for target in targets {
      let tally = try Supervisor(target: target, seed: seed, iterations: iterations).run()
      let name = target.name.padding(toLength: nameWidth, withPad: " ", startingAt: 0)
      print(
        "\(name) \(tally.count) files: \(tally.accepted) accepted, \(tally.refused) refused, "
          + "\(tally.findings.count) findings; slowest "
          + "\(Int((tally.slowest.seconds * 1000).rounded(.up))) ms (iteration \(tally.slowest.iteration))")
      for (iteration, what) in tally.findings.sorted(by: { $0.key < $1.key }) {
        findings.append("\(what): quench-fuzz --target \(target.name) --seed \(seed) --iteration \(iteration)")
      }
    }
    for finding in findings { print(finding) }
    if !findings.isEmpty { throw ExitCode.failure }
  }
}
