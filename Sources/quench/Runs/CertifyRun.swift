import Foundation
import Reporting
import Smoothing
import Support
import Torch
import Vision

/// One certification of a data set's images: what `quench certify` and the evaluation of a defence do.
struct CertifyRun {
  let options: CertificationOptions
  let data: ImageDataset
  let seed: UInt64
  /// What tells the classifier from others.
  let version: String
  let device: Device
  let output: OutputOptions
  /// Noisy copies that are asked about at once; nil: as the options say.
  var copiesAtOnce: Int?

  /// Certifies the images that have no row yet.
  /// - Parameter classify: Logits or probabilities `[N, classes]` for pixels `[N, C, H, W]`.
  /// - Returns: The figures over all rows.
  func certify(
    in folder: RunFolder, resumes: Bool, _ classify: (Tensor) throws -> Tensor
  ) throws -> Record {
    Interruption.watch()
    let certify = try options.certify()
    for radius in options.reportedRadii where radius >= certify.largestRadius {
      output.note(
        "note: \(certify.estimation) noisy copies cannot show a radius of \(radius): the largest is "
          + NumberText.plain(certify.largestRadius))
    }
    let indices = options.shard.indices(of: data.count)
    let table = try CertifiedTable(at: folder.artefact(CertifiedTable.fileName), resumes: resumes)
    guard table.rows.map(\.index) == Array(indices.prefix(table.rows.count)) else {
      throw InputError(
        "the rows are not those of this run's images", at: folder.artefact(CertifiedTable.fileName).path,
        remedy: "start the run in another folder")
    }
    if let found = table.rows.last?.version, found != version {
      output.note("note: the rows so far are certificates of \(found), those from here on of \(version)")
    }
    let labels = data.labels.array(Int64.self).map { Int($0) }
    let asked = certify.radii
    var line = ProgressLine(
      "Certifying", total: indices.count, unit: "images", startingAt: table.rows.count, style: output.progress)
    var run = CertificationRun(certify, seed: seed)
    run.batchSize = copiesAtOnce ?? options.batchSize
    run.device = device
    do {
      try run(indices.dropFirst(table.rows.count), of: data, classify: classify) { result in
        try table.append(CertifiedRow(result, label: labels[result.index], seed: seed, version: version))
        let radius = asked?.first ?? 0
        line.update(
          table.rows.count,
          note: "certified at \(Self.name(of: radius)): "
            + Wording.accuracy(table.rows.certifiedAccuracy(at: radius).fraction))
      }
    } catch is Interrupted { throw Interrupted(folder: folder.url) }
    line.finish()
    let unanswered = table.rows.reduce(0) { $0 + ($1.unanswered ?? 0) }
    if unanswered > 0 {
      output.note(
        "note: \(unanswered) noisy copies of \(table.rows.count { $0.unanswered ?? 0 > 0 }) images got NaN or infinity "
          + "for an answer: they count as another class")
    }
    return summary(table.rows, certify)
  }

  private func summary(_ rows: [CertifiedRow], _ certify: Certify) -> Record {
    let accuracy = rows.certifiedAccuracy(at: 0)
    let samples = rows.reduce(0) { $0 + ($1.queries ?? 0) }
    let seconds = rows.reduce(0) { $0 + $1.seconds }
    let abstained = rows.count { $0.predicted == nil }
    var summary: Record = [
      "method": .string(certify.radii == nil ? "fixed" : "sequential"), "images": .int(rows.count)
    ]
    // Where a radius was asked for, an image may have its class and not the radius.
    if certify.radii == nil || certify.radii?.first == 0 {
      summary["accuracy"] = .double(accuracy.fraction)
      summary["accuracy_low"] = .double(accuracy.interval.lowerBound)
      summary["accuracy_high"] = .double(accuracy.interval.upperBound)
    }
    // A radius that was not asked for is not one of which nothing was certified.
    for radius in certify.radii ?? options.reportedRadii {
      let accuracy = rows.certifiedAccuracy(at: radius)
      let key = "certified_accuracy_\(Self.name(of: radius))"
      summary[key] = .double(accuracy.fraction)
      summary["\(key)_low"] = .double(accuracy.interval.lowerBound)
      summary["\(key)_high"] = .double(accuracy.interval.upperBound)
    }
    summary.merge([
      "average_certified_radius": .double(rows.averageCertifiedRadius), "abstained": .int(abstained),
      "no_answer": .int(rows.reduce(0) { $0 + ($1.unanswered ?? 0) }), "samples": .int(samples),
      "samples_per_image": .double(Double(samples) / Double(max(rows.count, 1))),
      "seconds": .double(seconds), "samples_per_second": .double(Double(samples) / max(seconds, 1e-9)),
      "sigma": .double(certify.sigma), "n0": .int(certify.selection), "n": .int(certify.estimation),
      "alpha": .double(certify.failureProbability), "largest_radius": .double(certify.largestRadius),
      "model_version": .string(version),
      "statement": .string(
        "each image's certificate is wrong with probability at most \(certify.failureProbability); images that "
          + "abstained count as wrong; intervals hold the share among all images of this kind with 95 % confidence")
    ])
    if certify.radii != nil {
      summary["average_certified_radius_is"] = "a lower bound: each radius is rounded down to the radii asked for"
    }
    return summary
  }

  /// `0.25`, `1`
  static func name(of radius: Double) -> String {
    radius == radius.rounded() && radius.magnitude < 1e9 ? "\(Int(radius))" : "\(radius)"
  }

  static func text(_ summary: Record, _ url: URL) -> String {
    let prefix = "certified_accuracy_"
    let rows = summary.keys.filter { $0.hasPrefix(prefix) && !$0.hasSuffix("_low") && !$0.hasSuffix("_high") }.map {
      key -> [Table.Cell] in
      let interval = Wording.interval(summary["\(key)_low"]?.number, summary["\(key)_high"]?.number)
      return [
        .init(String(key.dropFirst(prefix.count))), .init(Wording.accuracy(summary[key]?.number)), .init(interval)
      ]
    }
    let table = Table(
      "Certified accuracy",
      columns: [.number("L2 radius"), .number("certified accuracy"), .number("95 % interval")], rows: rows)
    return """
      \(table.text)

      images         \(Wording.count(summary["images"]?.number)), of which \
      \(Wording.count(summary["abstained"]?.number)) abstained
      noisy copies   \(Wording.count(summary["samples"]?.number)), \
      \(Wording.count(summary["samples_per_image"]?.number)) an image, \
      \(Wording.count(summary["samples_per_second"]?.number)) a second
      rows           \(url.appending(path: CertifiedTable.fileName).relativePath)
      report         \(url.appending(path: "report.html").relativePath)
      """
  }
}
