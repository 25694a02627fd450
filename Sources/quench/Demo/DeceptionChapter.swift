import Foundation
import QuenchDeception
import QuenchReporting
import QuenchVision

/// Attacks on the dense network, and a denoiser that takes them apart again.
enum DeceptionChapter: DemoChapter {
  private static let (pairs, denoiser, judgement) = ("red-data", "red", "red-evaluate")

  static func parts(in folder: URL, precision: Precision) -> [StudyPart] {
    func path(_ name: String) -> String { folder.appending(path: name).relativePath }
    let weights = "\(PruningChapter.dense)/\(ClassifierWork.modelFileName)"
    let victim = [NamedWeights("dense", path(weights))]

    var data = BuildRedData()
    (data.attacks, data.unseenAttacks) = ([.fgsm, .pgd], [.deepFool, .momentumFGSM])
    (data.trainPairs, data.testPairs) = (80, 40)
    (data.victims.victim, data.precision) = (victim, precision)

    var training = TrainRed()
    (training.pairs, training.surrogate) = ([path(pairs)], victim)
    (training.design.depth, training.design.width) = (5, 24)
    (training.recipe.epochs, training.recipe.batchSize, training.precision) = (12, 16, precision)

    var evaluation = EvaluateRed()
    (evaluation.denoiserRun, evaluation.pairs, evaluation.victims.victim) = (path(denoiser), [path(pairs)], victim)
    return [StudyPart(pairs, data), StudyPart(denoiser, training), StudyPart(judgement, evaluation)]
  }

  /// The groups of test cells, as the table calls them.
  private static let groups: [(group: RedEvaluation.Group, name: String)] = [
    (.seen, "FGSM, PGD as trained on"), (.unseenStrength, "FGSM, PGD at 16/255"),
    (.unseenAttack, "DeepFool, MI-FGSM")
  ]

  private static func judged(_ runs: DemoRuns) -> PerformedRun<EvaluateRed>? { runs.done(judgement) }

  static func summary(_ runs: DemoRuns) -> Record {
    guard let outcome = judged(runs)?.outcome else { return [:] }
    var summary: Record = [:]
    for (group, _) in groups {
      guard let figures = outcome.groups?[group] else { continue }
      let prefix = "red_\(group.rawValue.replacing("-", with: "_"))"
      summary["\(prefix)_n"] = .int(figures.means.count)
      summary["\(prefix)_pa_benign"] = .double(figures.paBenignCellMean)
      summary["\(prefix)_pa_adversarial"] = .double(figures.paAdversarialCellMean)
      summary["\(prefix)_pixel_error"] = .double(figures.means.denoised)
      summary["\(prefix)_identity_pixel_error"] = .double(figures.means.perturbed)
    }
    summary["red_auroc"] = outcome.detection?[.standard].map { .double($0.auroc.value) }
    return summary
  }

  static func tables(_ runs: DemoRuns) -> [Table] {
    guard let outcome = judged(runs)?.outcome else { return [] }
    return [
      Table(
        "What a small denoiser recovers from successful attacks, beside the identity",
        columns: [
          .text("Attacks"), .number("Pairs"), .number("PA_benign"), .number("identity"), .number("PA_adv"),
          .number("identity"), .number("Pixel error"), .number("identity")
        ],
        rows: groups.compactMap { group, name in
          outcome.groups?[group].map { figures in
            let shares = [
              figures.paBenignCellMean, figures.identityPaBenign, figures.paAdversarialCellMean,
              figures.identityPaAdversarial
            ]
            return ["\(name)", "\(Wording.count(Double(figures.means.count)))"]
              + shares.map { .init(Wording.accuracy($0)) }
              + [figures.means.denoised, figures.means.perturbed].map { .init(NumberText.fixed($0, decimals: 3)) }
          }
        })
    ]
  }

  static func keyFigures(_ runs: DemoRuns) -> [Report.KeyFigure] {
    guard let seen = judged(runs)?.outcome?.groups?[.seen] else { return [] }
    return [
      .init(
        "Attacks undone", Wording.accuracy(seen.paBenignCellMean),
        detail: "PA_benign; their effect kept (PA_adv): \(Wording.accuracy(seen.paAdversarialCellMean))")
    ]
  }

  static func sections(_ runs: DemoRuns) -> [Report.Section] {
    guard let judged = judged(runs), let outcome = judged.outcome else { return [] }
    let training = runs.done(denoiser, TrainRed.self)
    let auroc = outcome.detection?[.standard]?.auroc.value ?? .nan
    return [
      Report.Section(
        "Taking attacks apart",
        [
          .prose(
            "The dense network was attacked, and a denoiser of five layers learned by CDD-RED to tell the clean image "
              + "from the perturbation, from \(Wording.count(training?.outcome.map { Double($0.pairs) })) pairs. "
              + "PA_benign: the "
              + "network answers the estimated clean image as it does the clean one. PA_adv: the clean image plus the "
              + "estimated perturbation fools it into the same answer. Pixel error: the Euclidean distance of the "
              + "estimate from the clean image; so few pairs need not bring it below that of the attacked image itself. "
              + "A few dozen pairs a cell: it shows that the recipe works, not how well it can.")
        ] + tables(runs).map { .table($0) }
          + [
            .prose(
              "By how far the network's answer moves when an image is denoised, adversarial images are told from "
                + "clean ones with an AUROC of \(NumberText.fixed(auroc, decimals: 3)).")
          ] + EvaluateRed.examples(of: judged))
    ]
  }
}
