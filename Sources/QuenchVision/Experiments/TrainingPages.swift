import QuenchReporting
import QuenchSupport

/// How the learning went.
public enum LearningSection {
  /// What was done to training images before they were learned from, as far as the settings tell.
  private static func treatment(_ settings: Record) -> String {
    var treatments: [String] = []
    switch settings["augmentation"] {
    case .bool(true): treatments.append("cropped and mirrored at random")
    case .bool(false): treatments.append("not augmented")
    default: break
    }
    if let noise = settings["noise"]?.number, noise > 0 { treatments.append("with noise") }
    if settings["adversarial"] != nil { treatments.append("attacked") }
    return treatments.map { ", \($0)" }.joined()
  }

  /// - Parameters:
  ///   - metrics: The run's rows.
  ///   - settings: The run's, for what was done to the images.
  ///   - leftOut: Training images that each epoch left out, if it did.
  ///   - count: All training images.
  public static func make(
    _ metrics: [Record], _ settings: Record, leftOut: Int?, of count: Int?
  ) -> Report.Section {
    guard !metrics.isEmpty else {
      return Report.Section("Learning", [.prose("No metrics were written yet.")])
    }
    func points(_ key: String) -> [LineChart.Point] {
      metrics.compactMap { row in
        guard let epoch = row["epoch"]?.number, let value = row[key]?.number else { return nil }
        return LineChart.Point(epoch, value)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    var accuracies = [LineChart.Series("training batches", points("accuracy"))]
    let validation = points("validation_accuracy")
    if !validation.isEmpty { accuracies.append(.init("held-out images", validation)) }
    let leftOut = leftOut.map { Report.Block.prose("In training, \(Wording.leftOut($0, of: count ?? 0)).") }
    return Report.Section(
      "Learning",
      (leftOut.map { [$0] } ?? []) + [
        .figure(
          LineChart(
            "Loss", x: epoch, y: Axis("Cross-entropy", unit: "nat"),
            series: [.init("training batches", points("loss"))],
            caption: "Mean over the batches since the last point.")),
        .figure(
          LineChart(
            "Accuracy", x: epoch, y: Axis("Accuracy", unit: nil, style: .percent), series: accuracies,
            caption: "On training batches as they were learned from\(treatment(settings)); "
              + (validation.isEmpty
                ? "the test images come in at the end alone." : "on held-out images as they are."))),
        .figure(
          LineChart(
            "Learning rate", x: epoch, y: Axis("Learning rate", unit: nil),
            series: [.init("learning rate", points("learning_rate"))]))
      ])
  }
}

/// What the network makes of the test images: by class, and to look at.
public enum TestSections {
  /// Classes that the table shows at most: the worst of more.
  private static let rows = 30

  /// - Parameters:
  ///   - evaluation: What the network made of the images; nil: no sections.
  ///   - network: Whose answers they are, as a sentence names it.
  public static func make(_ evaluation: Evaluation?, of network: String) -> [Report.Section] {
    guard let evaluation else { return [] }
    let coverage = Wording.coverage(of: evaluation.confusion.map { $0.reduce(0, +) }, evaluation.classNames)
    var pictures: [Report.Block] = [
      .figure(
        ImageGrid(
          "The first test images", evaluation.samples.map { item($0, evaluation.classNames) },
          caption: "What the image is; after an arrow, what the network takes it for instead."))
    ]
    if !evaluation.mistakes.isEmpty {
      pictures.append(
        .figure(
          ImageGrid(
            "The surest mistakes", evaluation.mistakes.map { item($0, evaluation.classNames) },
            caption: "The wrong answers that the network gives the highest probability.")))
    }
    return [
      Report.Section(
        "Accuracy by class",
        [.prose("These are the answers of \(network) to the test images.")]
          + (coverage.map { [.callout(.caution, "Of the test images, \($0).")] } ?? [])
          + [.table(table(evaluation))]),
      Report.Section("Images and answers", pictures)
    ]
  }

  private static func item(_ example: Evaluation.Example, _ names: [String]) -> ImageGrid.Item {
    let label = names[example.label]
    let answer = example.predicted == example.label ? label : "\(label) → \(names[example.predicted])"
    return ImageGrid.Item(
      png: example.png, caption: "\(answer), \(NumberText.fixed(example.confidence * 100, decimals: 0))\u{a0}%")
  }

  private static func table(_ evaluation: Evaluation) -> Table {
    let classes = evaluation.confusion.indices.map { label in
      let row = evaluation.confusion[label]
      let accuracy = Accuracy(correct: row[label], count: row.reduce(0, +))
      let others = row.indices.filter { $0 != label && row[$0] > 0 }
      return (label, accuracy, confusedWith: others.max { row[$0] < row[$1] })
    }
    let present = classes.filter { $0.1.count > 0 }
    let shown =
      present.count <= rows ? present : Array(present.sorted { $0.1.fraction < $1.1.fraction }.prefix(rows))
    return Table(
      shown.count == present.count
        ? "Test images of each class" : "The \(rows) worst of \(present.count) classes",
      columns: [
        .text("Class"), .number("Images"), .number("Right"), .number("Accuracy"), .number("95 % interval"),
        .text("Most often taken for")
      ],
      rows: shown.map { label, accuracy, other in
        [
          "\(evaluation.classNames[label])", "\(Wording.count(Double(accuracy.count)))",
          "\(Wording.count(Double(accuracy.correct)))", "\(NumberText.percent(accuracy.fraction, decimals: 1))",
          "\(Wording.interval(accuracy.interval.lowerBound, accuracy.interval.upperBound))",
          .init(other.map { "\(evaluation.classNames[$0]) (\(evaluation.confusion[label][$0]))" } ?? "")
        ]
      })
  }
}
