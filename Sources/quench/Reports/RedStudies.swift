import Deception
import Foundation
import Reporting

/// What the page of `quench red evaluate` shows of the further studies: attributions, portions and consistency.
enum RedStudies {
  static func sections(_ summary: Record) -> [Report.Section] {
    var sections = [Report.Section("Attribution", [.figure(attribution(summary))])]
    if let rows = summary["portions"]?.array?.compactMap(\.record) {
      sections.append(
        Report.Section("Perturbed in part", [.figure(portions(rows, pairs: summary["studies_n"]?.number))]))
    }
    if let rows = summary["consistency"]?.array?.compactMap(\.record) {
      sections.append(Report.Section("Transformed images", [.table(consistency(rows))]))
    }
    return sections
  }

  private static let share = Axis("Share", unit: nil, style: .percent)

  private static func attribution(_ summary: Record) -> LineChart {
    func series(_ name: String, _ key: String) -> LineChart.Series {
      let counts = summary["groups.all.\(key)_histogram"]?.array?.compactMap(\.number) ?? []
      let all = max(counts.reduce(0, +), 1)
      return .init(
        name, counts.enumerated().map { LineChart.Point((Double($0.offset) + 0.5) / 20, $0.element / all) })
    }
    return LineChart(
      "How far GradCAM maps agree", x: Axis("Overlap of the strongest tenth", unit: nil), y: share,
      series: [
        series("x and its estimate", "iaa_benign"), series("x' and its estimate", "iaa_adversarial")
      ], caption: "All test pairs, in twentieths of the overlap.")
  }

  private static func portions(_ rows: [Record], pairs: Double?) -> LineChart {
    func series(_ name: String, _ key: String) -> LineChart.Series {
      .init(
        name,
        rows.compactMap { row in
          guard let x = row["portion"]?.number, let y = row[key]?.number else { return nil }
          return LineChart.Point(x, y)
        })
    }
    return LineChart(
      "Answers as the perturbation grows", x: Axis("Part of the perturbation", unit: nil), y: share,
      series: [
        series("attacked: deceived", "success"), series("its estimate: deceived", "estimate_success"),
        series("denoised: as the clean image", "pa_benign")
      ], caption: "The \(Wording.count(pairs)) successful PGD pairs of medium strength on the first victim.")
  }

  private static func consistency(_ rows: [Record]) -> Table {
    Table(
      "Transformed then denoised, and the other way round, both held against the victim's answers to the transformed "
        + "clean and attacked images",
      columns: [
        .text("Transformation"), .number("Attack succeeds"), .number("PA_benign, transformed first"),
        .number("denoised first"), .number("PA_adv, transformed first"), .number("denoised first")
      ],
      rows: rows.map { row in
        func share(_ key: String) -> Table.Cell { .init(Wording.accuracy(row[key]?.number)) }
        return [
          "\(row["transformation"]?.string ?? "")", share("attack_success"), share("transformed_first_pa_benign"),
          share("denoised_first_pa_benign"), share("transformed_first_pa_adversarial"),
          share("denoised_first_pa_adversarial")
        ]
      })
  }
}
