import Reporting

/// The page about `quench demo`.
enum DemoReport {
  static func make(_ run: RunFiles) -> Report {
    let images = Wording.count(run.parts[PruningChapter.dense]?.number("n"))
    return Report(
      title: "Every capability in little",
      summary:
        "ResNet-20 was trained on Fashion-MNIST, then pruned by magnitude (OMP) and by bi-level optimization "
        + "(BiP), and made smaller by cutting half of its channels out; test accuracies are of \(images) images that "
        + "nothing was learned from. A cryo-EM session was planned on a made-up survey, attacks on the network were "
        + "taken apart again, and a network's answers were certified.",
      keyFigures: Demo.chapters.flatMap { $0.keyFigures(run.parts) },
      sections: Demo.chapters.flatMap { $0.sections(run.parts) } + [method(run)], record: run.record)
  }

  private static func method(_ run: RunFiles) -> Report.Section {
    Report.Section(
      "What was run",
      [
        .prose(
          "These runs are short on purpose: one epoch of dense training, then pruning on 12,800 training images. "
            + "OMP drops the smallest weights at once and trains the others for two epochs; BiP learns mask and "
            + "weights together for one epoch, which passes every image twice. So both learn from as many images. "
            + "The commands, in order:")
      ] + run.parts.map { .prose("`\(command(of: $0))`") })
  }

  /// What does a part again: its own command, or for an experiment of the demo's process its configuration.
  private static func command(of part: RunFiles.Part) -> String {
    let command = part.run.record.command
    return command.dropFirst().first == "demo"
      ? "quench run \(part.name)/config.yaml" : command.joined(separator: " ")
  }
}
