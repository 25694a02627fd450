import Attacks
import Foundation
import Reporting

/// How an attack's result is told on the terminal.
enum AttackText {
  static func make(_ summary: Record, _ url: URL) -> String {
    let interval = summary["interval"]?.array?.map(\.number) ?? []
    let count = Wording.count(summary["n"]?.number, "image")
    var lines = [
      "clean accuracy   \(Wording.accuracy(summary["clean_accuracy"]?.number)) of \(count)",
      "robust accuracy  \(robust(summary, interval))"
        + (summary["epsilon"]?.number.map { " at \(summary["norm"]?.string ?? "") \(PixelBudget($0))" } ?? "")
    ]
    if let probe = summary["probe"]?.string, let accuracy = summary["probe_robust_accuracy"]?.number {
      lines.append("  after a probe  \(Wording.accuracy(accuracy)), by a short \(probe) on what was left")
    }
    lines += pictures(summary).map { ["8-bit pictures   \($0)"] } ?? []
    let shares = summary["attacks"]?.array?.compactMap(\.record) ?? []
    if shares.count > 1 {
      for share in shares {
        let budget = share["epsilon"]?.number.map { " at \(PixelBudget($0))" } ?? ""
        lines.append(
          "  after \(share["attack"]?.string ?? "")\(budget): \(Wording.accuracy(share["robust_accuracy"]?.number))"
        )
      }
    }
    lines.append("time             \(Wording.duration(summary["seconds"]?.number))")
    lines.append("rows             \(url.appending(path: "rows.csv").relativePath)")
    lines.append("report           \(url.appending(path: "report.html").relativePath)")
    return lines.joined(separator: "\n")
  }

  private static func robust(_ summary: Record, _ interval: [Double?]) -> String {
    guard let accuracy = summary["robust_accuracy"]?.number else {
      return "none: the network answers NaN or infinity"
    }
    return
      "\(Wording.accuracy(accuracy)) (95 %: \(Wording.interval(interval.first ?? nil, interval.last ?? nil)))"
  }

  /// How many broken images still deceive with pixels rounded to 8 bits; nil if none was broken.
  static func pictures(_ summary: Record) -> String? {
    guard let broken = summary["broken"]?.integer, broken > 0, let left = summary["broken_8bit"]?.integer,
      let within = summary["broken_8bit_within_budget"]?.integer
    else { return nil }
    return
      "\(left) of \(NumberText.count(broken, "broken image")) still \(left == 1 ? "deceives" : "deceive") once rounded"
      + (summary["epsilon"]?.number != nil && within < left ? ", \(within) of them within the budget" : "")
  }

  static func findings(_ summary: Record) -> [String] {
    (summary["findings"]?.array ?? []).compactMap { $0.record?["message"]?.string }
  }
}
