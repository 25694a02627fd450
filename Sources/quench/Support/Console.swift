import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

extension OutputOptions {
  /// How progress is shown, on the standard error stream.
  var progress: ProgressLine.Style { quiet ? .quiet : .detected }

  /// Says something that is not the result, on the standard error stream.
  func note(_ text: String) {
    if !quiet { FileHandle.standardError.write(Data("\(text.spellingFlags)\n".utf8)) }
  }

  /// Says how a file of weights was read, where there is something to say.
  func tell(_ file: ModelFile, at path: String) {
    for text in file.notes { note("note: \(path): \(text)") }
  }

  /// Prints the result: `record` for machines, `text` for people.
  func printResult(_ record: Record, _ text: @autoclosure () -> String) {
    print(json ? Value.object(record).json() : text())
  }

  /// Prints a result that may be a failure all the same, such as a check's: with `--json` as one object, which holds the
  /// failure's keys beside the result's.
  /// - Throws: What ends the process with exit code 1, where there is a failure.
  func printResult(_ record: Record, _ text: @autoclosure () -> String, failure: InputError?) throws {
    guard let failure = failure.map({ Failure($0, code: .failure) }) else { return printResult(record, text()) }
    var merged = record
    merged.merge(failure.record)
    printResult(merged, text())
    failure.tell()
    throw ExitCode.failure
  }
}
