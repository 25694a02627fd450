import Foundation
import Reporting

extension OutputOptions {
  /// How progress is shown, on the standard error stream.
  var progress: ProgressLine.Style { quiet ? .quiet : .detected }

  /// Says something that is not the result, on the standard error stream.
  func note(_ text: String) {
    if !quiet { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
  }

  /// Prints the result: `record` for machines, `text` for people.
  func printResult(_ record: Record, _ text: @autoclosure () -> String) {
    print(json ? Value.object(record).json() : text())
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

  /// `12,345`
  static func count(_ value: Double?) -> String { value.map { NumberText.fixed($0, decimals: 0) } ?? "–" }
}
