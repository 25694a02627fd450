import ArgumentParser
import Foundation
import Reporting
import Support
import Vision

extension OutputOptions {
  /// How progress is shown, on the standard error stream.
  var progress: ProgressLine.Style { quiet ? .quiet : .detected }

  /// Says something that is not the result, on the standard error stream.
  func note(_ text: String) {
    if !quiet { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
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

/// Figures as every command and report words them.
enum Wording {
  /// `91.34 %`
  static func accuracy(_ fraction: Double?) -> String { fraction.map { NumberText.percent($0) } ?? "–" }

  /// `90.77 to 91.88 %`
  static func interval(_ low: Double?, _ high: Double?) -> String {
    guard let low, let high else { return "–" }
    return "\(NumberText.fixed(low * 100, decimals: 2)) to \(NumberText.percent(high))"
  }

  /// `3 min 20 s`
  static func duration(_ seconds: Double?) -> String {
    guard let seconds, seconds.isFinite else { return "–" }
    guard seconds >= 60 else { return "\(NumberText.plain(seconds, digits: 3)) s" }
    let whole = Int(seconds.rounded())
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0 ? "\(hours) h \(minutes) min" : "\(minutes) min \(whole % 60) s"
  }

  /// What becomes of training images that do not fill a batch.
  static func leftOut(_ count: Int, of images: Int) -> String {
    "all batches are of one size: each epoch leaves \(NumberText.fixed(Double(count), decimals: 0)) of "
      + "\(NumberText.count(images, "training image")) out, others each time"
  }

  /// What an accuracy over classes with so many images each is to be read with, where some have none: `all are of one
  /// class, 'cat': right answers do not show that classes are told apart`. Nil where each class has some.
  static func coverage(of counts: [Int], _ names: [String]) -> String? {
    let present = counts.indices.filter { counts[$0] > 0 }
    guard present.count < counts.count, !present.isEmpty else { return nil }
    guard present.count > 1 else {
      return "all are of one class, '\(names[present[0]])': right answers do not show that classes are told apart"
    }
    return "none are of \(counts.count - present.count) of the \(NumberText.count(counts.count, "class"))"
  }

  /// `12,345 images`, `1 image`
  static func count(_ value: Double?, _ noun: String) -> String {
    value.flatMap(Int.init(exactly:)).map { NumberText.count($0, noun) } ?? "–"
  }

  /// `12,345`
  static func count(_ value: Double?) -> String { value.map { NumberText.fixed($0, decimals: 0) } ?? "–" }
}
