import QuenchSupport

/// Figures as every command and report words them.
public enum Wording {
  /// Labels and values in two columns, a pair a line.
  public static func lines(_ pairs: KeyValuePairs<String, String>) -> String {
    let width = (pairs.map(\.key.count).max() ?? 0) + 2
    return pairs.map { $0.key + String(repeating: " ", count: width - $0.key.count) + $0.value }
      .joined(separator: "\n")
  }

  /// `91.34 %`
  public static func accuracy(_ fraction: Double?) -> String { fraction.map { NumberText.percent($0) } ?? "–" }

  /// `90.77 to 91.88 %`
  public static func interval(_ low: Double?, _ high: Double?) -> String {
    guard let low, let high else { return "–" }
    return "\(NumberText.fixed(low * 100, decimals: 2)) to \(NumberText.percent(high))"
  }

  /// `3 min 20 s`
  public static func duration(_ seconds: Double?) -> String {
    guard let seconds, seconds.isFinite else { return "–" }
    guard seconds >= 60 else { return "\(NumberText.plain(seconds, digits: 3)) s" }
    let whole = Int(seconds.rounded())
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0 ? "\(hours) h \(minutes) min" : "\(minutes) min \(whole % 60) s"
  }

  /// What becomes of training images that do not fill a batch.
  public static func leftOut(_ count: Int, of images: Int) -> String {
    "all batches are of one size: each epoch leaves \(NumberText.fixed(Double(count), decimals: 0)) of "
      + "\(NumberText.count(images, "training image")) out, others each time"
  }

  /// What an accuracy over classes with so many images each is to be read with, where some have none: `all are of one
  /// class, 'cat': right answers do not show that classes are told apart`. Nil where each class has some.
  public static func coverage(of counts: [Int], _ names: [String]) -> String? {
    let present = counts.indices.filter { counts[$0] > 0 }
    guard present.count < counts.count, !present.isEmpty else { return nil }
    guard present.count > 1 else {
      return "all are of one class, '\(names[present[0]])': right answers do not show that classes are told apart"
    }
    return "none are of \(counts.count - present.count) of the \(NumberText.count(counts.count, "class"))"
  }

  /// `12,345 images`, `1 image`
  public static func count(_ value: Double?, _ noun: String) -> String {
    value.flatMap(Int.init(exactly:)).map { NumberText.count($0, noun) } ?? "–"
  }

  /// `12,345`
  public static func count(_ value: Double?) -> String { value.map { NumberText.fixed($0, decimals: 0) } ?? "–" }
}
