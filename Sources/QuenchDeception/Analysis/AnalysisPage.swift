import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The page, the JSON and the lines about pictures that were taken apart.
public struct AnalysisPage {
  let denoiserRun: String
  let weights: String
  /// The pictures in the order in which they were named.
  public let cases: [AnalyseRed.Case]
  let score: SuspicionScore
  let classNames: [String]
  /// Clean images that suspicion is compared with.
  let clean: Int
  /// Pictures named as clean that could not be read.
  let unreadableClean: [AnalyseRed.Case]
  /// How often the likeliest attack was the right one of test pairs, if that was measured.
  let familyAccuracy: Accuracy?
  /// How well suspicion tells the pictures from clean ones, where the user gave some.
  let detection: Detection?

  public static let pageFileName = "analysis.html"
  public static let recordFileName = "analysis.json"

  /// What is wrong with pictures that could not be analysed; nil where all could.
  public var error: InputError? {
    let unread = cases.filter { $0.finding == nil }
    guard !unread.isEmpty else { return nil }
    return InputError(
      "\(unread.count) of \(NumberText.count(cases.count, "picture")) could not be analysed",
      at: Self.names(unread), remedy: "the reasons are listed with the results of the others")
  }

  /// Writes page and JSON into a folder, which is made.
  /// - Returns: The page.
  /// - Throws: `InputError` if they cannot be written.
  @discardableResult
  public func write(into folder: URL) throws(InputError) -> URL {
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError.writing(folder, error)
    }
    try AtomicFile.write(
      Data((Value.object(record).json(pretty: true) + "\n").utf8),
      to: folder.appending(path: Self.recordFileName))
    let page = folder.appending(path: Self.pageFileName)
    try report().write(to: page)
    return page
  }

  /// What the JSON says.
  public var record: Record {
    var record: Record = [
      "run": .string(denoiserRun), "weights": .string(weights), "score": .string(score.rawValue),
      "clean_images": .int(clean), "not_analysed": .int(cases.count { $0.finding == nil }),
      "clean_not_analysed": .array(unreadableClean.map { .string($0.path) }),
      "pictures": .array(cases.map { .object(self.record($0)) })
    ]
    record["detection"] = detection.flatMap { try? Value(encoding: DetectionFigures($0), style: .figures) }
    return record
  }

  /// The names of files, the first few of many.
  private static func names(_ cases: [AnalyseRed.Case]) -> String {
    let names = cases.prefix(5).map(\.path).joined(separator: ", ")
    return cases.count > 5 ? "\(names) and \(cases.count - 5) more" : names
  }

  private func name(_ label: Int) -> String { label < classNames.count ? classNames[label] : "class \(label)" }

  /// What the JSON says of a picture.
  private func record(_ item: AnalyseRed.Case) -> Record {
    var record: Record = ["picture": .string(item.path)]
    guard let finding = item.finding else {
      record["problem"] = item.problem.map { .string($0) }
      return record
    }
    record.merge([
      "label": .string(name(finding.label)), "confidence": .double(finding.confidence),
      "denoised_label": .string(name(finding.denoisedLabel)),
      "denoised_confidence": .double(finding.denoisedConfidence),
      "denoised_likelihood": finding.denoisedLikelihood.map { .double($0.fraction) } ?? .null,
      "suspicion": .double(finding.suspicion),
      "false_positive_rate": finding.falsePositives.map { .double($0.fraction) } ?? .null,
      "false_positive_rate_low": finding.falsePositives.map { .double($0.interval.lowerBound) } ?? .null,
      "false_positive_rate_high": finding.falsePositives.map { .double($0.interval.upperBound) } ?? .null,
      "likely_attack": finding.family.map { .string($0.rawValue) } ?? .null,
      "likely_attack_probability": finding.familyProbability.map { .double($0) } ?? .null,
      "perturbation_linf": .double(finding.estimatedLinf), "perturbation_l2": .double(finding.estimatedL2)
    ])
    return record
  }

  /// A line a picture, the most suspicious first.
  public var text: String {
    let lines = ordered.map { item in
      guard let finding = item.finding else { return "\(item.path): \(item.problem ?? "")" }
      return "\(item.path): \(verdict(finding))"
    }
    return (lines + (detectionText.map { ["", $0] } ?? [])).joined(separator: "\n")
  }

  private var detectionText: String? {
    detection.map { detection in
      let ends = [detection.aurocInterval.lowerBound, detection.aurocInterval.upperBound]
        .map { NumberText.fixed($0, decimals: 3) }
      let recall = detection.recallAtFivePercent.map {
        "; where 5 % of the clean ones are taken for attacked, \(Self.share($0)) of these are found"
      }
      return
        "Suspicion tells \(NumberText.count(detection.adversarial, "picture")) from \(detection.clean) clean ones with an AUROC of "
        + "\(NumberText.fixed(detection.auroc, decimals: 3)) (95 %: \(ends[0]) to \(ends[1]))\(recall ?? "")."
    }
  }

  /// `3 of 60 (95 %: 1.71 to 13.70 %)`
  private static func share(_ share: Accuracy) -> String {
    "\(share.correct) of \(share.count) "
      + "(95 %: \(Wording.interval(share.interval.lowerBound, share.interval.upperBound)))"
  }

  private var ordered: [AnalyseRed.Case] {
    cases.sorted { ($1.finding?.suspicion ?? -1, $0.path) < ($0.finding?.suspicion ?? -1, $1.path) }
  }

  private func verdict(_ finding: Analyst.Finding) -> String {
    let change =
      finding.label == finding.denoisedLabel
      ? "stays \(name(finding.label))"
      : "\(name(finding.label)) becomes \(name(finding.denoisedLabel))\(likelihood(finding))"
    let rate = finding.falsePositives.map { ", as \(Self.share($0)) clean images" } ?? ""
    return "\(change), suspicion \(NumberText.fixed(finding.suspicion, decimals: 3))\(rate)"
  }

  /// How far the label of the denoised picture is to be believed, if the picture was attacked.
  private func likelihood(_ finding: Analyst.Finding) -> String {
    finding.denoisedLikelihood.map {
      LabelCalibration.tells($0)
        ? " (right for \($0.correct) of \($0.count) such labels)"
        : " (a guess: right for \($0.correct) of \($0.count) such labels, so what it was cannot be told)"
    } ?? ""
  }

  /// The page.
  public func report() throws(InputError) -> Report {
    var overview: [Report.Block] = [.table(table)]
    if let detectionText { overview.append(.callout(.note, detectionText)) }
    if clean < SuspicionCalibration.fewest {
      overview.append(
        .callout(
          .caution,
          "\(NumberText.count(clean, "clean image")) known, too few to say how common a suspicion is: name "
            + "\(SuspicionCalibration.fewest) or more with --clean."))
    }
    let unread = cases.filter { $0.finding == nil }
    for (files, what) in [(unread, "could not be analysed"), (unreadableClean, "named as clean were left out")]
    where !files.isEmpty {
      overview.append(
        .callout(
          .caution, "\(NumberText.count(files.count, "picture")) \(what): \(Self.names(files))."))
    }
    var sections = [Report.Section("Overview", overview)]
    for item in ordered { sections.append(try section(item)) }
    let readable = cases.count { $0.finding != nil }
    return Report(
      title: "Analysis of \(NumberText.count(cases.count, "picture"))",
      summary:
        "Each picture was denoised; what the denoiser removed is the estimated perturbation. Suspicion is \(meaning); "
        + "beside it stands how many of \(clean) clean images are at least as suspicious. The likeliest attack supposes that "
        + "there was one of those that the denoiser's run knows\(familyText). \(readable) of "
        + "\(NumberText.count(cases.count, "picture")) could be analysed.",
      sections: sections)
  }

  private var familyText: String {
    familyAccuracy.map { "; it is the right one of \(Self.share($0)) attacked images of its test data" } ?? ""
  }

  private var meaning: String {
    switch score {
    case .answer: "whether the classifier's answer changes by that (0 or 1)"
    case .probabilities: "how much the classifier's probabilities change by that (0 to 2)"
    case .logits: "how far the classifier's logits move by that"
    case .pixels: "how large that is (the Euclidean norm)"
    }
  }

  private var table: Table {
    Table(
      "Pictures, the most suspicious first",
      columns: [
        .text("Picture"), .text("Answer"), .number("Confidence"), .text("Denoised"), .number("Confidence"),
        .number("Suspicion"), .text("Clean images as suspicious"), .text("Likeliest attack")
      ],
      rows: ordered.map { item in
        let file = URL(filePath: item.path).lastPathComponent
        guard let finding = item.finding else { return ["\(file)", "\(item.problem ?? "")"] }
        let family = finding.family.map {
          "\($0.rawValue) (\(NumberText.percent(finding.familyProbability ?? 0, decimals: 0)))"
        }
        return [
          "\(file)", "\(name(finding.label))", "\(NumberText.percent(finding.confidence, decimals: 1))",
          .init(name(finding.denoisedLabel), isStrong: finding.denoisedLabel != finding.label),
          "\(NumberText.percent(finding.denoisedConfidence, decimals: 1))",
          "\(NumberText.fixed(finding.suspicion, decimals: 3))",
          "\(finding.falsePositives.map(Self.share) ?? "–")", "\(family ?? "–")"
        ]
      })
  }

  private func section(_ item: AnalyseRed.Case) throws(InputError) -> Report.Section {
    let title = URL(filePath: item.path).lastPathComponent
    guard let finding = item.finding else {
      return Report.Section(title, [.callout(.caution, item.problem ?? "")])
    }
    let gain = NumberText.plain(finding.gain, digits: 2)
    var items: [ImageGrid.Item] = [
      .init(png: try ImageGrid.png(finding.image), caption: "as given: \(name(finding.label))"),
      .init(png: try ImageGrid.png(finding.denoised), caption: "estimated clean: \(name(finding.denoisedLabel))"),
      .init(png: try ImageGrid.png(finding.perturbation), caption: "perturbation, \(gain) times"),
      .init(
        png: try ImageGrid.png(Self.grey(finding.attribution)), caption: "looked at for \(name(finding.label))"),
      .init(
        png: try ImageGrid.png(Self.grey(finding.denoisedAttribution)),
        caption: "looked at for \(name(finding.denoisedLabel)), denoised")
    ]
    if let discrepancy = finding.discrepancy {
      items.append(
        .init(
          png: try ImageGrid.png(Self.grey(discrepancy * 0.5 + 0.5)),
          caption: "as given: bright for \(name(finding.label)), dark for \(name(finding.denoisedLabel))"))
    }
    if let roles = finding.pixelRoles {
      items.append(
        .init(
          png: try ImageGrid.png(roles.picture),
          caption: "pixels that promote \(name(finding.label)): red; suppress \(name(finding.denoisedLabel)): blue")
      )
    }
    let images = ImageGrid(
      "Images", items, side: 128,
      caption: "The perturbation is shown around gray; in the maps bright is where the classifier looks (GradCAM).")
    return Report.Section(
      title, [.prose(verdict(finding).prefix(1).uppercased() + verdict(finding).dropFirst() + "."), .figure(images)]
    )
  }

  private static func grey(_ map: Tensor) -> Tensor { (map.unsqueezed(0) * 255).rounded().to(.uint8) }
}
