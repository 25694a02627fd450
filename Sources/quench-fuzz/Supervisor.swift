import Foundation
import Fuzzing

/// Runs a target's iterations in worker processes: when one crashes or hangs, the iteration is noted and a new
/// worker goes on behind it.
struct Supervisor {
  var target: FuzzTarget
  var seed: UInt64
  var iterations: Int
  /// Seconds without progress after which a worker hangs.
  var patience = 60.0
  /// More crashes than this are not worth looking for.
  var mostCrashes = 10

  private static let folder = FileManager.default.temporaryDirectory

  func run() throws -> Fuzzer.Tally {
    var tally = Fuzzer.Tally()
    var first = 0
    for _ in 0..<mostCrashes {
      switch try work(from: first) {
      case .done(let rest):
        tally.merge(rest)
        return tally
      case .stopped(let iteration, let how):
        tally.findings[iteration] = how
        // What went before is not lost in the count: none of it was a crash.
        first = iteration + 1
        if first >= iterations { return tally }
      }
    }
    return tally
  }

  private enum End {
    case done(Fuzzer.Tally)
    case stopped(iteration: Int, how: String)
  }

  private func work(from first: Int) throws -> End {
    let name = "quench-fuzz-\(UUID().uuidString)"
    let (mark, output) = (Self.folder.appending(path: name), Self.folder.appending(path: name + ".json"))
    for url in [mark, output] { try Data().write(to: url) }
    defer { for url in [mark, output] { try? FileManager.default.removeItem(at: url) } }

    let process = Process()
    process.executableURL = Bundle.main.executableURL
    process.arguments = [
      "--target", target.name, "--seed", "\(seed)", "--iterations", "\(iterations)", "--first", "\(first)",
      "--mark",
      mark.path
    ]
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    process.standardOutput = try FileHandle(forWritingTo: output)
    try process.run()

    var seen = (iteration: -1, time: ContinuousClock.now)
    while process.isRunning {
      Thread.sleep(forTimeInterval: 0.02)
      let iteration = current(mark)
      if iteration != seen.iteration { seen = (iteration, .now) }
      if (ContinuousClock.now - seen.time) / .seconds(1) > patience {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        return .stopped(iteration: max(iteration, first), how: "hung")
      }
    }
    process.waitUntilExit()
    let (status, reason) = (process.terminationStatus, process.terminationReason)
    guard status == 0, reason == .exit else {
      let how = reason == .exit ? "exit code \(status)" : "crashed with signal \(status)"
      return .stopped(iteration: max(current(mark), first), how: how)
    }
    return .done(try JSONDecoder().decode(Fuzzer.Tally.self, from: Data(contentsOf: output)))
  }

  private func current(_ mark: URL) -> Int {
    guard let bytes = try? Data(contentsOf: mark), bytes.count == 8 else { return -1 }
    return Int(bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) })
  }
}
