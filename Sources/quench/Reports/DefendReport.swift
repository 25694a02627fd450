import Reporting

/// The page about `quench defend pretrain` and `quench defend train`.
enum DefendReport {
  static func make(_ run: RunFiles) -> Report {
    if let error = run.number("test_mse") {
      return Report(
        title: run.setting("part") == "reconstructor"
          ? "A reconstructor of \(run.setting("data"))"
          : "A defense's \(run.setting("part")) on \(run.setting("data"))",
        summary: "It was trained for \(run.setting("epochs")) epochs to give back images"
          + (run.setting("part") == "reconstructor"
            ? " from linear measurements of them." : ", without the model."),
        keyFigures: [
          .init("Mean squared error", NumberText.plain(error), detail: "on the test images"),
          .init("Training time", Wording.duration(run.number("seconds"))),
          .init("Parameters", Wording.count(run.number("parameters")))
        ], sections: [section(run, loss: "Mean squared error")], record: run.record)
    }
    var figures: [Report.KeyFigure] = [
      .init("Queries", Wording.count(run.number("queries")), detail: "images that the model was asked about"),
      ledger(run),
      .init("Training time", Wording.duration(run.number("seconds"))),
      .init(
        "Time in queries", run.number("query_share_of_time").map { NumberText.percent($0, decimals: 1) } ?? "–")
    ]
    if let step = run.number("smoothing_step") {
      let zeros = run.number("zero_differences").map { NumberText.percent($0, decimals: 1) } ?? "–"
      figures.append(
        .init("Step of a difference", NumberText.plain(step), detail: "\(zeros) of the differences were exactly 0"))
    }
    return Report(
      title: "A defense by \(run.setting("method")) on \(run.setting("data"))",
      summary: "A denoiser was trained to keep the model's answers under noise of standard deviation "
        + "`\(run.setting("sigma"))`; `quench defend evaluate` certifies the two together.",
      keyFigures: figures, sections: [section(run, loss: "Loss against the model's answer")], record: run.record)
  }

  /// What the ledger holds, and what it cost.
  static func ledger(_ run: RunFiles) -> Report.KeyFigure {
    let price = run.number("price").map { "; price \(NumberText.plain($0))" } ?? ""
    return .init(
      "In the ledger", Wording.count(run.number("ledger_queries")),
      detail: "\(Wording.count(run.number("retries"))) sent again, \(Wording.count(run.number("cached"))) answered "
        + "from it" + price)
  }

  private static func section(_ run: RunFiles, loss: String) -> Report.Section {
    func points(_ key: String) -> [LineChart.Point] {
      run.metrics.compactMap { row in
        guard let epoch = row["epoch"]?.number, let value = row[key]?.number else { return nil }
        return LineChart.Point(epoch, value)
      }
    }
    let epoch = Axis("Epoch", unit: nil)
    var blocks: [Report.Block] = [
      .figure(
        LineChart(
          "Loss", x: epoch, y: Axis(loss, unit: nil), series: [.init("training batches", points("loss"))],
          caption: "Mean over the batches since the last point."))
    ]
    let kept = points("accuracy")
    if !kept.isEmpty {
      blocks.append(
        .figure(
          LineChart(
            "Answers kept", x: epoch, y: Axis("Answers kept", unit: nil, style: .percent),
            series: [.init("training batches", kept)],
            caption: "Noisy images that get, through the defense, the class that the model gives the clean image."))
      )
    }
    return Report.Section("Learning", blocks)
  }
}
