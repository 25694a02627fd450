import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// What a pruned network is worth beside the dense one: its size in memory and on disk, its work and its speed.
struct PrunedWorth {
  /// The pruned network with its zeros packed away.
  static let packedFileName = "packed.safetensors"
  private static let roundSeconds = 0.06

  private let densePlans: [InferencePlan]
  private let dtype: DType?

  /// - Parameter dense: The network before it is pruned; it may change afterwards.
  init(dense: Network, _ precision: Precision) {
    dtype = precision.inference
    densePlans = SideBySide.batchSizes.map { [dtype] in InferencePlan(dense, batchSize: $0, dtype: dtype) }
  }

  /// Measures `network`, and writes its packed file into `folder`, beside the plain one.
  func record(of network: Network, _ mask: Mask, classNames: [String], in folder: URL) throws -> Record {
    let packed = folder.appending(path: Self.packedFileName)
    try ModelFile(network, classNames: classNames).write(to: packed, packsZeros: true)
    let architecture = network.architecture
    let statistics = MaskStatistics(mask, in: architecture)
    var record: Record = [
      "parameters": .int(architecture.parameterCount),
      "kept_parameters": .int(architecture.parameterCount - mask.layout.count + mask.keptCount),
      "multiply_adds": .int(architecture.multiplyAdds),
      "kept_multiply_adds": .int(architecture.multiplyAdds(under: mask)),
      "bytes": .int(try folder.appending(path: TrainRun.modelFileName).fileSize()),
      "packed_bytes": .int(try packed.fileSize()),
      "effective_sparsity": .double(statistics.effectiveSparsity), "dead_units": .int(statistics.deadUnits)
    ]
    for (batchSize, dense) in zip(SideBySide.batchSizes, densePlans) {
      let pruned = InferencePlan(network, batchSize: batchSize, dtype: dtype)
      let latency = Latency(of: [dense, pruned], batchSize: batchSize, roundSeconds: Self.roundSeconds)
      record.merge(SideBySide.record(latency, "dense", "pruned"))
    }
    return record
  }

  /// Dense beside pruned, a quantity a row.
  static func table(_ summary: Record) -> Table {
    func count(_ key: String) -> String { Wording.count(summary[key]?.number) }
    func accuracy(_ prefix: String) -> String { Wording.accuracy(summary[prefix + "accuracy"]?.number) }
    func interval(_ prefix: String) -> String {
      Wording.interval(summary[prefix + "interval_low"]?.number, summary[prefix + "interval_high"]?.number)
    }
    let ratio = (summary["kept"]?.number ?? .nan) / (summary["prunable"]?.number ?? .nan)
    var rows: [[Table.Cell]] = [
      ["test accuracy", "\(accuracy("dense_"))", "\(accuracy(""))"],
      ["95 % interval", "\(interval("dense_"))", "\(interval(""))"],
      ["weights kept", "\(count("prunable"))", "\(count("kept"))"],
      ["keep ratio", "1", "\(NumberText.plain(ratio))"], ["sparsity", "0", "\(NumberText.plain(1 - ratio))"]
    ]
    // Runs of earlier versions lack the rest.
    guard summary["kept_parameters"] != nil else { return table(rows) }
    rows += [
      ["parameters", "\(count("parameters"))", "\(count("kept_parameters"))"],
      ["multiply-adds an image", "\(count("multiply_adds"))", "\(count("kept_multiply_adds"))"],
      ["file, bytes", "\(count("bytes"))", "\(count("packed_bytes"))"]
    ]
    rows += SideBySide.batchSizes.map { batchSize in
      [
        "batch of \(batchSize)", "\(SideBySide.milliseconds(summary, batchSize, "dense"))",
        "\(SideBySide.milliseconds(summary, batchSize, "pruned"))"
      ]
    }
    return table(rows)
  }

  private static func table(_ rows: [[Table.Cell]]) -> Table {
    Table("Dense and pruned", columns: [.text(""), .number("dense"), .number("pruned")], rows: rows)
  }

  /// What the figures mean, a sentence or two each.
  static func statements(_ summary: Record) -> [String] {
    var lines = [PruneReport.speedStatement] + SideBySide.statements(summary, than: "dense")
    if let dead = summary["dead_units"]?.integer, dead > 0, let sparsity = summary["effective_sparsity"]?.number {
      lines.append(
        "\(Wording.count(Double(dead))) channels or features are dead: weights on no path from input to output "
          + "counted as pruned, the sparsity is \(NumberText.percent(sparsity)).")
    }
    return lines
  }
}
