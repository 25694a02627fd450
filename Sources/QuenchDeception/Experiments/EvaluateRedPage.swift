import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchVision

/// What is said about the evaluation of a denoiser: on the terminal and as a page.
extension EvaluateRed {
  public static func text(of run: PerformedRun<EvaluateRed>) -> String {
    guard let outcome = run.outcome else { return "" }
    var lines = outcome.ofGroups.map { group, figures in
      "\(group.rawValue.padding(toLength: 16, withPad: " ", startingAt: 0)) PA_benign "
        + "\(Wording.accuracy(figures.paBenignCellMean)), PA_adv \(Wording.accuracy(figures.paAdversarialCellMean)), "
        + "d(x, x_R) \(NumberText.plain(figures.means.denoised))"
        + (figures.certainty.map {
          ", told \(Wording.accuracy($0.told)), of these right \(Wording.accuracy($0.paBenignTold))"
        } ?? "")
    }
    let auroc = outcome.detection?[.standard]?.auroc
    func plain(_ value: Double?) -> String { NumberText.plain(value ?? .nan) }
    lines.append(
      "detection        AUROC \(plain(auroc?.value)) (95 %: \(plain(auroc?.low)) to \(plain(auroc?.high)))")
    for row in outcome.defense ?? [] { lines += row.findings.map { "note: \(row.title): \($0.message)" } }
    lines.append("report           \(run.folder.report.relativePath)")
    return lines.joined(separator: "\n")
  }

  public static func report(of run: PerformedRun<EvaluateRed>) -> Report {
    let (experiment, outcome) = (run.experiment, run.outcome)
    let seen = outcome?.groups?[.seen]
    let pairs = "mean over cells, \(Wording.count(seen.map { Double($0.means.count) })) pairs of seen attacks"
    let auroc = outcome?.detection?[.standard]?.auroc
    return Report(
      title: "What the denoiser recovers",
      summary:
        "The denoiser of `\(experiment.denoiserRun)` on the test pairs of `\(experiment.pairs.joined(separator: ", "))`, "
        + "judged by the victim that each attack was made on. The identity, which recovers nothing, is the floor.",
      keyFigures: [
        .init("PA_benign", Wording.accuracy(seen?.paBenignCellMean ?? .nan), detail: pairs),
        .init("PA_adv", Wording.accuracy(seen?.paAdversarialCellMean ?? .nan), detail: pairs),
        .init(
          "AUROC", NumberText.plain(auroc?.value ?? .nan),
          detail: "of the change in \(SuspicionScore.standard.rawValue), 95 %: \(auroc?.ends ?? "–")")
      ], sections: outcome.map { $0.sections(examples(of: run)) } ?? [], record: run.record)
  }

  /// The pictures among a run's files.
  public static func examples(of run: PerformedRun<EvaluateRed>) -> [Report.Block] {
    let strips = run.artefact(PictureStrip.fileName).flatMap { try? PictureStrip.read($0) }
    return (strips ?? []).map { .figure($0.figure) }
  }
}

extension DetectionFigures.AUROC {
  /// `0.861 to 0.904`
  fileprivate var ends: String {
    "\(NumberText.fixed(low, decimals: 3)) to \(NumberText.fixed(high, decimals: 3))"
  }
}

extension EvaluateRed.Outcome {
  /// The groups that have cells, in order.
  fileprivate var ofGroups: [(RedEvaluation.Group, RedEvaluation.GroupFigures)] {
    RedEvaluation.Group.allCases.compactMap { group in groups?[group].map { (group, $0) } }
  }

  fileprivate func sections(_ examples: [Report.Block]) -> [Report.Section] {
    var sections = [
      Report.Section("Prediction alignment", [alignmentTable, certaintyTable].compactMap { $0 }.map { .table($0) }),
      Report.Section("Detection", [.table(detectionTable)])
    ]
    let told = originTable
    if !told.rows.isEmpty { sections.append(Report.Section("Where perturbations come from", [.table(told)])) }
    sections.append(Report.Section("Attribution", [.figure(attributionChart)]))
    if let studies {
      sections.append(Report.Section("Perturbed in part", [.figure(studies.portionChart)]))
      sections.append(Report.Section("Transformed images", [.table(studies.consistencyTable)]))
    }
    if !examples.isEmpty { sections.append(Report.Section("Examples", examples)) }
    if let defense {
      let findings = defense.flatMap { row in
        row.findings.map { Finding($0.kind, "\(row.title): \($0.message)").callout }
      }
      sections.append(
        Report.Section(
          "As a defense",
          [
            .table(Self.table(of: defense)),
            .callout(
              .note, "An attacker who knows the denoiser gets past it: it explains attacks and stops none.")
          ] + findings))
    }
    return sections
  }

  private var alignmentTable: Table {
    Table(
      "Prediction alignment and distances, means over cells and over pairs",
      columns: [
        .text("Cells"), .number("Pairs"), .number("PA_benign"), .number("identity"), .number("PA_adv"),
        .number("identity"), .number("d(x, x_R)"), .number("d(x, x')"), .number("d(f(x), f(x_R))"),
        .number("Angle", unit: "degrees"), .number("IAA benign"), .number("IAA adv")
      ],
      rows: ofGroups.map { group, figures in
        let means = figures.means
        let shares = [
          figures.paBenignCellMean, figures.identityPaBenign, figures.paAdversarialCellMean,
          figures.identityPaAdversarial
        ]
        let others = [
          means.denoised, means.perturbed, means.logitsBenign, means.angle, figures.iaaBenign,
          figures.iaaAdversarial
        ]
        return ["\(group.rawValue)", "\(Wording.count(Double(means.count)))"]
          + shares.map { .init(Wording.accuracy($0)) } + others.map { .init(NumberText.plain($0)) }
      })
  }

  /// Nil where the denoiser's run does not say how likely its labels are right.
  private var certaintyTable: Table? {
    let told = ofGroups.compactMap { group, figures in figures.certainty.map { (group, figures, $0) } }
    guard !told.isEmpty else { return nil }
    let promise = NumberText.percent(LabelCalibration.promise, decimals: 0)
    return Table(
      "Labels that are told: those of which \(promise) or more of the labels that stood as firmly were right",
      columns: [
        .text("Cells"), .number("Pairs"), .number("Told"), .number("Right of these"), .number("Right of all"),
        .number("Mean likelihood")
      ],
      rows: told.map { group, figures, certainty in
        let shares = [
          certainty.told, certainty.paBenignTold, figures.means.benign.value, certainty.meanLikelihood
        ]
        return ["\(group.rawValue)", "\(Wording.count(Double(figures.means.count)))"]
          + shares.map { .init(Wording.accuracy($0)) }
      })
  }

  private var detectionTable: Table {
    Table(
      "How well clean and adversarial images are told apart, with 95 % intervals",
      columns: [
        .text("Score"), .number("Adversarial"), .number("Clean"), .number("AUROC"), .text("interval"),
        .number("AUPR"), .number("Found at 5 % false positives"), .text("interval")
      ],
      rows: SuspicionScore.allCases.map { score in
        let figures = detection?[score]
        return [
          "\(score.rawValue)", "\(Wording.count(figures.map { Double($0.adversarial) }))",
          "\(Wording.count(figures.map { Double($0.clean) }))", "\(NumberText.plain(figures?.auroc.value ?? .nan))",
          "\(figures?.auroc.ends ?? "–")", "\(NumberText.plain(figures?.aupr ?? .nan))",
          "\(Wording.accuracy(figures?.recall?.value))", "\(figures?.recall?.interval ?? "–")"
        ]
      })
  }

  private var originTable: Table {
    Table(
      "What a small network tells of held-out pairs: from the true perturbation (the upper bound), from the estimate, and "
        + "from the image (the baseline)",
      columns: [
        .text("Told"), .text("From"), .text("Classes"), .number("Accuracy"), .text("95 % interval"),
        .number("Pairs")
      ],
      rows: OriginTable.Question.allCases.compactMap { question in
        origins.answers[question].map { answer in
          [
            "\(question.trait.rawValue)",
            "\(question.input == .delta ? "true perturbation" : question.input.rawValue)",
            "\(answer.classes.joined(separator: ", "))", "\(Wording.accuracy(answer.accuracy.value))",
            "\(answer.accuracy.interval)", "\(Wording.count(Double(answer.n)))"
          ]
        }
      })
  }

  private static let share = Axis("Share", unit: nil, style: .percent)

  private var attributionChart: LineChart {
    func series(_ name: String, _ counts: [Int]?) -> LineChart.Series {
      let all = Double(max((counts ?? []).reduce(0, +), 1))
      return .init(
        name, (counts ?? []).enumerated().map { .init((Double($0.offset) + 0.5) / 20, Double($0.element) / all) })
    }
    return LineChart(
      "How far GradCAM maps agree", x: Axis("Overlap of the strongest tenth", unit: nil), y: Self.share,
      series: [
        series("x and its estimate", groups?[.all]?.iaaBenignHistogram),
        series("x' and its estimate", groups?[.all]?.iaaAdversarialHistogram)
      ], caption: "All test pairs, in twentieths of the overlap.")
  }

  private static func table(of defense: [DefenseFigures]) -> Table {
    Table(
      "PGD with 20 steps on the first victim",
      columns: [
        .text("Attacker"), .text("Judged on"), .number("Budget"), .number("Clean accuracy"),
        .number("Robust accuracy"), .text("95 % interval"), .number("Images")
      ],
      rows: defense.map { row in
        [
          "\(row.attacker)", "\(row.model)", "\(row.budget)", "\(Wording.accuracy(row.cleanAccuracy))",
          "\(Wording.accuracy(row.robustAccuracy?.value))", "\(row.robustAccuracy?.interval ?? "–")",
          "\(Wording.count(Double(row.n)))"
        ]
      })
  }
}

extension EvaluateRed.Outcome.Studies {
  fileprivate var portionChart: LineChart {
    func series(_ name: String, _ path: KeyPath<PortionStudy.Point, Double>) -> LineChart.Series {
      .init(name, portions.map { .init($0.portion, $0[keyPath: path]) })
    }
    return LineChart(
      "Answers as the perturbation grows", x: Axis("Part of the perturbation", unit: nil),
      y: Axis("Share", unit: nil, style: .percent),
      series: [
        series("attacked: deceived", \.success), series("its estimate: deceived", \.estimateSuccess),
        series("denoised: as the clean image", \.benignAlignment)
      ],
      caption: "The \(Wording.count(Double(studiesN))) successful PGD pairs of medium strength on the first victim."
    )
  }

  fileprivate var consistencyTable: Table {
    Table(
      "Transformed then denoised, and the other way round, both held against the victim's answers to the transformed "
        + "clean and attacked images",
      columns: [
        .text("Transformation"), .number("Attack succeeds"), .number("PA_benign, transformed first"),
        .number("denoised first"), .number("PA_adv, transformed first"), .number("denoised first")
      ],
      rows: consistency.map { row in
        ["\(row.transformation)"]
          + [
            row.attackSuccess, row.transformedFirstPaBenign, row.denoisedFirstPaBenign,
            row.transformedFirstPaAdversarial, row.denoisedFirstPaAdversarial
          ].map { .init(Wording.accuracy($0)) }
      })
  }
}
