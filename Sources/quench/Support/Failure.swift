import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

/// How a command that did not reach its end says so: a line that begins with `error:` on the standard error stream,
/// and with `--json` also one object on standard output.
///
/// Exit codes: 1 the run failed, 64 wrong usage, 130 interrupted with a checkpoint to continue from.
struct Failure {
  /// Without the word `error:`.
  let message: String
  /// Behind the message: how the command is used.
  var usage = ""
  /// The parts of the message, where the error has parts.
  var error: InputError?
  var code = ExitCode.failure.rawValue

  /// - Returns: nil for what ends a process but is no failure, a request for help or the version, and for an
  ///   `ExitCode`: what was wrong is said already.
  init?(_ error: any Error, _ arguments: [String]) {
    switch error {
    case let error as InputError:
      let error = error.spellingFlags(typed: arguments)
      message = error.description
      self.error = error
    case is Interrupted:
      message = "interrupted; go on with the same command and --resume"
      code = 130
    default:
      let exitCode = Quench.exitCode(for: error)
      guard !exitCode.isSuccess, !(error is ExitCode) else { return nil }
      let unknown = exitCode == .validationFailure ? Self.unknownName(in: arguments) : nil
      let full = Quench.fullMessage(for: error)
      self.error = unknown
      message = unknown?.description ?? Quench.message(for: error)
      usage = full.range(of: "\nUsage: ").map { String(full[$0.lowerBound...]) } ?? ""
      code = exitCode.rawValue
    }
  }

  init(_ error: InputError, code: ExitCode) {
    let error = error.spellingFlags(typed: [])
    message = error.description
    self.error = error
    self.code = code.rawValue
  }

  /// - Returns: What the help of the command that was meant tells; that of all commands takes long to gather.
  private static func unknownName(in arguments: [String]) -> InputError? {
    var command: any ParsableCommand.Type = Quench.self
    var rest = arguments[...]
    while let word = rest.first,
      let next = command.configuration.subcommands.first(where: { $0._commandName == word })
    {
      command = next
      rest = rest.dropFirst()
    }
    return (try? CommandHelp(json: command._dumpHelp()))?.unknownName(in: Array(rest))
  }

  /// What `--json` prints: `error`, `exit_code`, and the error's parts.
  var record: Record {
    var record: Record = ["error": .string(message), "exit_code": .int(Int(code))]
    record["problem"] = error.map { .string($0.problem) }
    record["location"] = error?.location.map { .string($0) }
    record["expected"] = error?.expected.map { .string($0) }
    record["found"] = error?.found.map { .string($0) }
    record["remedy"] = error?.remedy.map { .string($0) }
    return record
  }

  /// Says what is wrong, on the standard error stream.
  func tell() {
    let line = code == 130 ? message : "error: \(message)"
    FileHandle.standardError.write(Data("\(line)\(usage)\n".utf8))
  }

  /// Says what is wrong and ends the process.
  func exit(json: Bool) -> Never {
    tell()
    if json { print(Value.object(record).json()) }
    Foundation.exit(code)
  }
}
