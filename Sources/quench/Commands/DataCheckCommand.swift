import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

struct DataCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Read all of a data set and say what is in it and what is wrong with it.",
    discussion: """
      Reads every file again. Corrupt pictures are listed and make the exit code 1,
      unless --skip-corrupt.

      Examples:
        quench data check fashion-mnist
        quench data check folder --data-dir ~/pictures --image-size 64
        quench data check cifar10 --data-dir ~/cifar --json
      """)

  @OptionGroup var data: DataArguments

  @Flag(help: "Do not fail because of corrupt pictures.")
  var skipCorrupt = false

  @OptionGroup var output: OutputOptions

  func run() throws {
    let splits = try DataSplit.allCases.map { split in
      output.note("Reading the \(split.rawValue) images")
      return Findings(try data.load(split, useCache: false), split)
    }
    let record: Record = [
      "name": .string(data.name.rawValue), "train": .object(splits[0].record), "test": .object(splits[1].record)
    ]
    let corrupt = splits.flatMap(\.dataset.skipped)
    let failure =
      corrupt.isEmpty || skipCorrupt
      ? nil
      : InputError(
        "the data set has \(NumberText.count(corrupt.count, "corrupt picture"))", at: data.name.rawValue,
        found: corrupt[0], remedy: "replace or remove them, or leave them out with --skip-corrupt")
    try output.printResult(record, splits.map(\.text).joined(separator: "\n\n"), failure: failure)
  }

  /// What a split holds.
  private struct Findings {
    let dataset: ImageDataset
    let split: DataSplit
    /// Images of each class.
    let counts: [Int]
    /// Of the split's own pixels; ``ImageDataset/statistics`` are those that networks normalise by.
    let statistics: ChannelStatistics

    init(_ dataset: ImageDataset, _ split: DataSplit) {
      self.dataset = dataset
      self.split = split
      let labels = dataset.labels.array(Int64.self)
      counts = dataset.classCounts
      let block = PixelBlock(shape: dataset.images.shape, pixels: dataset.images.data(), labels: labels)
      statistics = block.statistics()
    }

    var classes: [(name: String, count: Int)] { Array(zip(dataset.classNames, counts)).map { ($0.0, $0.1) } }
    var labels: [Int] { counts.indices.filter { counts[$0] > 0 } }
    var emptyClasses: [String] { classes.filter { $0.count == 0 }.map(\.name) }

    var record: Record {
      func numbers(_ values: [Double]) -> Value { .array(values.map { .double($0) }) }
      return [
        "n": .int(dataset.count), "channels": .int(dataset.channels), "height": .int(dataset.height),
        "width": .int(dataset.width), "classes": .int(dataset.classNames.count),
        "label_range": [.int(labels.first ?? 0), .int(labels.last ?? 0)],
        "class_counts": .object(classes.reduce(into: Record()) { $0[$1.name] = .int($1.count) }),
        "mean": numbers(statistics.mean), "standard_deviation": numbers(statistics.standardDeviation),
        "normalised_by_mean": numbers(dataset.statistics.mean),
        "normalised_by_standard_deviation": numbers(dataset.statistics.standardDeviation),
        "fingerprint": .string(dataset.fingerprint),
        "corrupt": .array(dataset.skipped.map { .string($0) }), "notes": .array(dataset.notes.map { .string($0) })
      ]
    }

    var text: String {
      func list(_ values: [Double]) -> String {
        values.map { NumberText.fixed($0, decimals: 4) }.joined(separator: ", ")
      }
      var lines = [
        "\(split.rawValue): \(NumberText.fixed(Double(dataset.count), decimals: 0)) images of "
          + "\(dataset.channels) x \(dataset.height) x \(dataset.width)",
        "  pixels       mean \(list(statistics.mean)), standard deviation \(list(statistics.standardDeviation))",
        "  normalised   mean \(list(dataset.statistics.mean)), "
          + "standard deviation \(list(dataset.statistics.standardDeviation))",
        "  fingerprint  \(dataset.fingerprint)",
        "  labels       \(labels.first ?? 0) to \(labels.last ?? 0) of \(NumberText.count(dataset.classNames.count, "class"))"
      ]
      lines += classes.map { "    \($0.name): \($0.count)" }
      if !emptyClasses.isEmpty { lines.append("  warning: classes without images: " + joined(emptyClasses)) }
      if !dataset.skipped.isEmpty { lines.append("  corrupt      " + joined(dataset.skipped)) }
      lines += dataset.notes.map { "  note: \($0)" }
      return lines.joined(separator: "\n")
    }

    private func joined(_ names: [String]) -> String {
      names.prefix(20).joined(separator: ", ") + (names.count > 20 ? " and \(names.count - 20) more" : "")
    }
  }
}
