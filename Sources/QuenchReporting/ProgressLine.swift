import Foundation

/// Shows how far a long task is, at what rate, and how long it will still take.
///
/// On a terminal it redraws one line; elsewhere it writes a plain line every ten seconds, and ever more seldom as
/// the task goes on.
public struct ProgressLine {
  public enum Style: Sendable {
    /// One line of at most `columns` characters, redrawn.
    case terminal(columns: Int)
    case lines
    case quiet

    /// What suits the standard error stream.
    public static var detected: Style {
      guard isatty(STDERR_FILENO) == 1 else { return .lines }
      var size = winsize()
      let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
      return .terminal(columns: isKnown ? Int(size.ws_col) : 80)
    }
  }

  private let task: String
  private let total: Int?
  private let unit: String
  private let start: Int
  private let style: Style
  private let clock: () -> Double
  private let write: (String) -> Void
  private let startTime: Double
  private var lastTime: Double
  private var done: Int

  /// - Parameters:
  ///   - task: What is done, such as `Training`.
  ///   - total: How many units there are; `nil` if nobody knows.
  ///   - unit: What is counted, such as `images`.
  ///   - start: Units that were done before, by the run that is resumed.
  ///   - style: How the line is shown, if it is; by default what the standard error stream allows.
  ///   - clock: Seconds since some fixed moment.
  ///   - write: Takes the text; the standard error stream unless given.
  public init(
    _ task: String, total: Int?, unit: String, startingAt start: Int = 0, style: Style = .detected,
    clock: @escaping () -> Double = { ProcessInfo.processInfo.systemUptime },
    write: @escaping (String) -> Void = { try? FileHandle.standardError.write(contentsOf: Data($0.utf8)) }
  ) {
    self.task = task
    self.total = total
    self.unit = unit
    self.start = start
    self.style = style
    self.clock = clock
    self.write = write
    startTime = clock()
    lastTime = startTime
    done = start
  }

  /// Says that `done` units are done in all; `note` is shown behind, for instance the loss.
  public mutating func update(_ done: Int, note: String = "") {
    self.done = done
    let now = clock()
    switch style {
    case .terminal(let columns) where now - lastTime >= 0.1:
      write("\r" + String(line(now, note).prefix(columns - 1)) + "\u{1B}[K")
    case .lines where now - lastTime >= max(10, (now - startTime) / 20):
      write(line(now, note) + "\n")
    default: return
    }
    lastTime = now
  }

  /// Writes the last line, with the time taken.
  public func finish(note: String = "") {
    let now = clock()
    let rate = rate(now).map { ", \($0)" } ?? ""
    let text = "\(task): \(done) \(unit) in \(ProgressLine.duration(now - startTime))\(rate)" + suffix(note)
    switch style {
    case .terminal: write("\r\(text)\u{1B}[K\n")
    case .lines: write(text + "\n")
    case .quiet: break
    }
  }

  private func line(_ now: Double, _ note: String) -> String {
    var text = "\(task): \(done)"
    if let total { text += "/\(total)" }
    text += " \(unit)"
    if let total, total > 0 { text += " (\(100 * done / total) %)" }
    if let rate = rate(now) { text += ", \(rate)" }
    if let total, done > start, done < total {
      let left = (now - startTime) / Double(done - start) * Double(total - done)
      text += ", \(ProgressLine.duration(left)) left"
    }
    return text + suffix(note)
  }

  private func suffix(_ note: String) -> String { note.isEmpty ? "" : ", \(note)" }

  private func rate(_ now: Double) -> String? {
    guard now > startTime, done > start else { return nil }
    let rate = Double(done - start) / (now - startTime)
    return "\(NumberText.plain(rate, digits: 3)) \(unit)/s"
  }

  /// A duration as `8 s`, `3 min 20 s` or `2 h 05 min`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "unknown time" }
    let whole = Int(seconds.rounded())
    func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch whole {
    case ..<60: return "\(whole) s"
    case ..<3600: return "\(whole / 60) min \(padded(whole % 60)) s"
    default: return "\(whole / 3600) h \(padded(whole / 60 % 60)) min"
    }
  }
}
