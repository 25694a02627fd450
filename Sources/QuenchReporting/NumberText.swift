import Foundation

/// Numbers as people read them.
public enum NumberText {
  /// `value` with `digits` significant digits and no trailing zeros: `0.0312`, `91.4`, `12,300`, `1.2e-07`.
  public static func plain(_ value: Double, digits: Int = 4) -> String {
    guard value.isFinite else { return "–" }
    guard value != 0 else { return "0" }
    let exponent = Int(log10(value.magnitude).rounded(.down))
    guard (-5..<15).contains(exponent) else { return String(format: "%.\(digits - 1)e", value) }
    let text = fixed(value, decimals: max(0, digits - 1 - exponent))
    guard text.contains(".") else { return text }
    let trimmed = text.reversed().drop { $0 == "0" }.drop { $0 == "." }
    return String(trimmed.reversed())
  }

  /// `value` with exactly so many `decimals` and commas between thousands.
  public static func fixed(_ value: Double, decimals: Int) -> String {
    guard value.isFinite else { return "–" }
    var text = String(format: "%.\(decimals)f", value)
    if text.hasPrefix("-"), text.allSatisfy({ "-.0".contains($0) }) { text.removeFirst() }
    let whole = text.prefix { $0 != "." }.drop { $0 == "-" }
    guard whole.count > 3 else { return text }
    var grouped = ""
    for (index, digit) in whole.enumerated() {
      if index > 0, (whole.count - index) % 3 == 0 { grouped += "," }
      grouped.append(digit)
    }
    return (text.hasPrefix("-") ? "-" : "") + grouped + text.drop { $0 != "." }
  }

  /// A number of things in words: `1 epoch`, `12,345 images`, `0 batches`, `2 queries`.
  public static func count(_ number: Int, _ noun: String) -> String {
    "\(fixed(Double(number), decimals: 0)) \(number == 1 ? noun : plural(noun))"
  }

  private static func plural(_ noun: String) -> String {
    if ["s", "x", "tch", "sh"].contains(where: noun.hasSuffix) { return noun + "es" }
    if noun.hasSuffix("y"), !["ay", "ey", "oy", "uy"].contains(where: noun.hasSuffix) {
      return noun.dropLast() + "ies"
    }
    return noun + "s"
  }

  /// A fraction as a percentage: `0.9134` is `91.34 %`.
  public static func percent(_ fraction: Double, decimals: Int = 2) -> String {
    fraction.isFinite ? fixed(fraction * 100, decimals: decimals) + " %" : "–"
  }
}
