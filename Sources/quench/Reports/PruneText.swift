import Foundation
import Reporting

/// What `quench prune` prints at its end.
enum PruneText {
  static func make(_ summary: Record, _ url: URL) -> String {
    """
    \(PrunedWorth.table(summary).text)

    Tested on \(Wording.count(summary["n"]?.number, "image")).
    \(PrunedWorth.statements(summary).joined(separator: "\n"))
    weights   \(url.appending(path: TrainRun.modelFileName).relativePath)
    packed    \(url.appending(path: PrunedWorth.packedFileName).relativePath)
    report    \(url.appending(path: "report.html").relativePath)
    """
  }
}
