import Reporting
import Smoothing

/// A network that learned under noise, certified, beside one that did not.
enum CertificationChapter: DemoChapter {
  private static let (network, certified, undefended) = ("noisy", "certified", "certified-undefended")

  static let parts: [RunPart] = [
    RunPart(
      name: network,
      arguments: ["train", "--model", "small-cnn"] + PruningChapter.data
        + ["--noise", "0.25", "--epochs", "1", "--batch-size", "64", "--no-augmentation"]),
    certification(certified, of: network), certification(undefended, of: PruningChapter.dense)
  ]

  private static func certification(_ name: String, of network: String) -> RunPart {
    RunPart(
      name: name,
      arguments: ["certify", "--weights", "{run}/\(network)/model.safetensors"] + PruningChapter.data
        + ["--sigma", "0.25", "--radii", "0.25,0.5", "--limit", "100"])
  }

  private static func runs(_ parts: [RunFiles.Part]) -> [(name: String, key: String, run: RunFiles)] {
    [("trained under noise", certified), ("undefended", undefended)].compactMap { name, part in
      parts[part].map { (name, part.replacing("-", with: "_"), $0) }
    }
  }

  /// What the fixed test takes of every image.
  private static func fixedCopies(_ run: RunFiles) -> Double? {
    guard let selection = run.number("n0"), let estimation = run.number("n") else { return nil }
    return selection + estimation
  }

  static func summary(_ parts: [RunFiles.Part]) -> Record {
    var summary: Record = [:]
    for (_, key, run) in runs(parts) {
      for name in ["images", "certified_accuracy_0.25", "certified_accuracy_0.5", "samples_per_image"] {
        summary["\(key)_\(name)"] = run.summary[name]
      }
      summary["\(key)_fixed_samples_per_image"] = fixedCopies(run).map { .double($0) }
    }
    return summary
  }

  static func tables(_ parts: [RunFiles.Part]) -> [Table] {
    let runs = runs(parts)
    guard !runs.isEmpty else { return [] }
    return [
      Table(
        "Certified accuracy at two radii, and noisy copies an image, under noise of 0.25",
        columns: [
          .text("Network"), .number("Images"), .number("at 0.25"), .text("95 % interval"),
          .number("at 0.5"), .text("95 % interval"), .number("Copies"),
          .number("fixed test")
        ],
        rows: runs.map { name, _, run in
          func accuracy(_ radius: String) -> [Table.Cell] {
            let key = "certified_accuracy_\(radius)"
            return [
              "\(Wording.accuracy(run.number(key)))",
              "\(Wording.interval(run.number("\(key)_low"), run.number("\(key)_high")))"
            ]
          }
          return ["\(name)", "\(Wording.count(run.number("images")))"] + accuracy("0.25") + accuracy("0.5")
            + ["\(Wording.count(run.number("samples_per_image")))", "\(Wording.count(fixedCopies(run)))"]
        })
    ]
  }

  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure] {
    guard let run = parts[certified] else { return [] }
    return [
      .init(
        "Certified at 0.25", Wording.accuracy(run.number("certified_accuracy_0.25")),
        detail: "undefended: \(Wording.accuracy(parts[undefended]?.number("certified_accuracy_0.25")))")
    ]
  }

  static func sections(_ parts: [RunFiles.Part]) -> [Report.Section] {
    let runs = runs(parts)
    guard !runs.isEmpty else { return [] }
    return [
      Report.Section(
        "Certified answers",
        [
          .prose(
            "A small network learned under Gaussian noise; the dense one did not. Where a certificate is given, no "
              + "change of the image within the radius (L2) changes the answer of the network under noise, but for "
              + "one certificate in a thousand. The sequential test stops as soon as both radii are decided; the fixed "
              + "test takes as many noisy copies of every image. A hundred images: the intervals are wide.")
        ] + tables(parts).map { .table($0) } + [.figure(chart(runs))])
    ]
  }

  private static func chart(_ runs: [(name: String, key: String, run: RunFiles)]) -> BarChart {
    let radii = [0.25, 0.5]
    return BarChart(
      "Certified accuracy at radii", axis: Axis("Certified accuracy", unit: nil, style: .percent),
      groups: radii.map { "radius \(CertifyRun.name(of: $0))" },
      series: runs.map { name, _, run in
        .init(
          name,
          radii.map { radius in
            let accuracy = run.certified.certifiedAccuracy(at: radius)
            return .init(accuracy.fraction, interval: accuracy.interval)
          })
      }, caption: "Bars: 95 % intervals (Wilson).")
  }
}
