import Deception
import Reporting

/// Attacks on the dense network, and a denoiser that takes them apart again.
enum DeceptionChapter: DemoChapter {
  private static let (pairs, denoiser, judgement) = ("red-data", "red", "red-evaluate")
  private static let victim = "dense={run}/\(PruningChapter.dense)/model.safetensors"

  static let parts: [RunPart] = [
    RunPart(
      name: pairs,
      arguments: ["red", "build-data", "--victim", victim] + PruningChapter.data
        + [
          "--attacks", "fgsm,pgd", "--unseen-attacks", "deepfool,mi-fgsm", "--train-pairs", "80", "--test-pairs",
          "40"
        ]),
    RunPart(
      name: denoiser,
      arguments: [
        "red", "train", "--pairs", "{run}/\(pairs)", "--surrogate", victim, "--depth", "5", "--width", "24",
        "--epochs", "12", "--batch-size", "16"
      ]),
    RunPart(
      name: judgement,
      arguments: ["red", "evaluate", "--run", "{run}/\(denoiser)", "--pairs", "{run}/\(pairs)", "--victim", victim])
  ]

  /// The groups of test cells, as the table calls them.
  private static let groups: [(group: RedEvaluation.Group, name: String)] = [
    (.seen, "FGSM, PGD as trained on"), (.unseenStrength, "FGSM, PGD at 16/255"),
    (.unseenAttack, "DeepFool, MI-FGSM")
  ]

  static func summary(_ parts: [RunFiles.Part]) -> Record {
    guard let run = parts[judgement] else { return [:] }
    var summary: Record = [:]
    for (group, _) in groups {
      let prefix = "red_\(group.rawValue.replacing("-", with: "_"))"
      for (key, name) in [
        ("n", "n"), ("pa_benign", "pa_benign_cell_mean"), ("pa_adversarial", "pa_adversarial_cell_mean"),
        ("pixel_error", "d_x_xr"), ("identity_pixel_error", "d_x_xa")
      ] { summary["\(prefix)_\(key)"] = run.summary["groups.\(group.rawValue).\(name)"] }
    }
    summary["red_auroc"] = run.summary["detection.\(SuspicionScore.standard.rawValue).auroc"]
    return summary
  }

  static func tables(_ parts: [RunFiles.Part]) -> [Table] {
    guard let run = parts[judgement] else { return [] }
    return [
      Table(
        "What a small denoiser recovers from successful attacks, beside the identity",
        columns: [
          .text("Attacks"), .number("Pairs"), .number("PA_benign"), .number("identity"), .number("PA_adv"),
          .number("identity"), .number("Pixel error"), .number("identity")
        ],
        rows: groups.filter { run.number("groups.\($0.group.rawValue).n") != nil }.map { group, name in
          func number(_ key: String) -> Double? { run.number("groups.\(group.rawValue).\(key)") }
          func share(_ key: String) -> Table.Cell { "\(Wording.accuracy(number(key)))" }
          func distance(_ key: String) -> Table.Cell { "\(NumberText.fixed(number(key) ?? .nan, decimals: 3))" }
          return [
            "\(name)", "\(Wording.count(number("n")))", share("pa_benign_cell_mean"), share("identity_pa_benign"),
            share("pa_adversarial_cell_mean"), share("identity_pa_adversarial"), distance("d_x_xr"),
            distance("d_x_xa")
          ]
        })
    ]
  }

  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure] {
    guard let run = parts[judgement], let benign = run.number("groups.seen.pa_benign_cell_mean") else { return [] }
    return [
      .init(
        "Attacks undone", Wording.accuracy(benign),
        detail: "PA_benign; their effect kept (PA_adv): "
          + Wording.accuracy(run.number("groups.seen.pa_adversarial_cell_mean")))
    ]
  }

  static func sections(_ parts: [RunFiles.Part]) -> [Report.Section] {
    guard let run = parts[judgement] else { return [] }
    let auroc = run.number("detection.\(SuspicionScore.standard.rawValue).auroc") ?? .nan
    return [
      Report.Section(
        "Taking attacks apart",
        [
          .prose(
            "The dense network was attacked, and a denoiser of five layers learned by CDD-RED to tell the clean image "
              + "from the perturbation, from \(Wording.count(parts[denoiser]?.number("pairs"))) pairs. PA_benign: the "
              + "network answers the estimated clean image as it does the clean one. PA_adv: the clean image plus the "
              + "estimated perturbation fools it into the same answer. Pixel error: the Euclidean distance of the "
              + "estimate from the clean image; so few pairs need not bring it below that of the attacked image itself. "
              + "A few dozen pairs a cell: it shows that the recipe works, not how well it can.")
        ] + tables(parts).map { .table($0) }
          + [
            .prose(
              "By how far the network's answer moves when an image is denoised, adversarial images are told from "
                + "clean ones with an AUROC of \(NumberText.fixed(auroc, decimals: 3)).")
          ] + run.examples.map { .figure($0.figure) })
    ]
  }
}
