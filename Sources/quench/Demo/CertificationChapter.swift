import Reporting
import Smoothing
import Support
import Torch
import Vision

/// A network that learned under noise, certified, beside one that did not.
enum CertificationChapter: DemoChapter {
  private static let (network, certified, undefended) = ("noisy", "certified", "certified-undefended")

  static let parts: [RunPart] = [
    RunPart(name: network) { _, precision in
      var training = Train()
      (training.work.model, training.noise) = (.smallCNN, 0.25)
      (training.work.recipe.epochs, training.work.recipe.batchSize) = (1, 64)
      (training.work.recipe.augmentation, training.work.learning.precision) = (false, precision)
      return training
    },
    certification(certified, of: network), certification(undefended, of: PruningChapter.dense)
  ]

  private static func certification(_ name: String, of network: String) -> RunPart {
    RunPart(name: name) { run, precision in
      var certification = CertifyClassifier()
      certification.weights = "\(run)/\(network)/\(ClassifierWork.modelFileName)"
      (certification.certification.sigma, certification.certification.radii) = (0.25, radii)
      (certification.selection.limit, certification.precision) = (100, precision)
      return certification
    }
  }

  private static let radii = [0.25, 0.5]

  private typealias Runs = [(name: String, key: String, figures: CertificationFigures)]

  private static func runs(_ parts: [RunFiles.Part]) -> Runs {
    [("trained under noise", certified), ("undefended", undefended)].compactMap { name, part in
      figures(parts, part).map { (name, part.replacing("-", with: "_"), $0) }
    }
  }

  private static func figures(_ parts: [RunFiles.Part], _ name: String) -> CertificationFigures? {
    let outcome: CertifyClassifier.Outcome? = parts[name].flatMap {
      try? Value.object($0.summary).decode(style: .figures, name: name)
    }
    return outcome?.figures
  }

  static func summary(_ parts: [RunFiles.Part]) -> Record {
    var summary: Record = [:]
    for (_, key, figures) in runs(parts) {
      summary["\(key)_images"] = .int(figures.images)
      for entry in figures.certifiedAccuracies.entries {
        summary["\(key)_certified_accuracy_\(entry.radius)"] = .double(entry.accuracy.value)
      }
      summary["\(key)_samples_per_image"] = .double(figures.samplesPerImage)
      summary["\(key)_fixed_samples_per_image"] = .int(figures.fixedSamples)
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
        rows: runs.map { name, _, figures in
          let accuracies = radii.flatMap { radius -> [Table.Cell] in
            let accuracy = figures.certifiedAccuracies[radius]
            return ["\(Wording.accuracy(accuracy?.value))", "\(accuracy?.interval ?? "–")"]
          }
          return ["\(name)", "\(Wording.count(Double(figures.images)))"] + accuracies
            + [
              "\(Wording.count(figures.samplesPerImage))", "\(Wording.count(Double(figures.fixedSamples)))"
            ]
        })
    ]
  }

  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure] {
    func accuracy(_ name: String) -> String {
      Wording.accuracy(figures(parts, name)?.certifiedAccuracies[0.25]?.value)
    }
    guard parts[certified] != nil else { return [] }
    return [.init("Certified at 0.25", accuracy(certified), detail: "undefended: \(accuracy(undefended))")]
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

  private static func chart(_ runs: Runs) -> BarChart {
    BarChart(
      "Certified accuracy at radii", axis: Axis("Certified accuracy", unit: nil, style: .percent),
      groups: radii.map { "radius \($0)" },
      series: runs.map { name, _, figures in .init(name, figures.certifiedAccuracies.entries.map(\.accuracy.bar)) },
      caption: "Bars: 95 % intervals (Wilson).")
  }
}

extension CertificationFigures {
  /// What the fixed test takes of every image.
  fileprivate var fixedSamples: Int { n0 + n }
}
