import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchVision

/// A network that learned under noise, certified, beside one that did not.
enum CertificationChapter: DemoChapter {
  private static let (network, certified, undefended) = ("noisy", "certified", "certified-undefended")

  static func parts(in folder: URL, precision: Precision) -> [StudyPart] {
    var training = Train()
    (training.work.model, training.noise) = (.smallCNN, 0.25)
    (training.work.recipe.epochs, training.work.recipe.batchSize) = (1, 64)
    (training.work.recipe.augmentation, training.work.learning.precision) = (false, precision)
    func certification(of network: String) -> CertifyClassifier {
      var certification = CertifyClassifier()
      certification.weights = folder.appending(path: "\(network)/\(ClassifierWork.modelFileName)").relativePath
      (certification.certification.sigma, certification.certification.radii) = (0.25, radii)
      (certification.selection.limit, certification.precision) = (100, InferencePrecision(precision))
      return certification
    }
    return [
      StudyPart(network, training), StudyPart(certified, certification(of: network)),
      StudyPart(undefended, certification(of: PruningChapter.dense))
    ]
  }

  private static let radii = [0.25, 0.5]

  private typealias Runs = [(name: String, key: String, figures: CertificationFigures)]

  private static func runs(_ demo: DemoRuns) -> Runs {
    [("trained under noise", certified), ("undefended", undefended)].compactMap { name, part in
      figures(demo, part).map { (name, part.replacing("-", with: "_"), $0) }
    }
  }

  private static func figures(_ demo: DemoRuns, _ name: String) -> CertificationFigures? {
    demo.done(name, CertifyClassifier.self)?.outcome?.figures
  }

  static func summary(_ demo: DemoRuns) -> Record {
    var summary: Record = [:]
    for (_, key, figures) in runs(demo) {
      summary["\(key)_images"] = .int(figures.images)
      for entry in figures.certifiedAccuracies.entries {
        summary["\(key)_certified_accuracy_\(entry.radius)"] = .double(entry.accuracy.value)
      }
      summary["\(key)_samples_per_image"] = .double(figures.samplesPerImage)
      summary["\(key)_fixed_samples_per_image"] = .int(figures.fixedSamples)
    }
    return summary
  }

  static func tables(_ demo: DemoRuns) -> [Table] {
    let runs = runs(demo)
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

  static func keyFigures(_ demo: DemoRuns) -> [Report.KeyFigure] {
    func accuracy(_ name: String) -> String {
      Wording.accuracy(figures(demo, name)?.certifiedAccuracies[0.25]?.value)
    }
    guard figures(demo, certified) != nil else { return [] }
    return [.init("Certified at 0.25", accuracy(certified), detail: "undefended: \(accuracy(undefended))")]
  }

  static func sections(_ demo: DemoRuns) -> [Report.Section] {
    let runs = runs(demo)
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
        ] + tables(demo).map { .table($0) } + [.figure(chart(runs))])
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
