import Foundation
import Reporting
import Support

/// A grid of prunings: methods by keep ratios by seeds, from one dense network a seed.
struct PruningStudy {
  /// A method with flags of its own, written `bip:mode=repo-tied:gamma=10`.
  struct Method: Hashable {
    let text: String

    var name: String { String(text.prefix { $0 != ":" }) }
    var flags: [String] {
      text.split(separator: ":").dropFirst().flatMap { flag -> [String] in
        let parts = flag.split(separator: "=", maxSplits: 1).map(String.init)
        return ["--\(parts[0])"] + parts.dropFirst()
      }
    }
    /// As a part of a folder's name.
    var slug: String { String(text.map { ":=/ ".contains($0) ? "-" : $0 }) }
    /// How the report calls it.
    var title: String {
      let flags = text.dropFirst(name.count).replacing(":", with: ", ").replacing("=", with: " ")
      return PruneReport.title(of: name) + (flags.isEmpty ? "" : " (\(flags.dropFirst(2)))")
    }

    /// Where methods that prune before training stand apart: they start from a new network.
    var startsUntrained: Bool { ["snip", "grasp", "synflow", "prospr", "random"].contains(name) }
    static let names = ["bip", "hydra", "omp", "imp", "snip", "grasp", "synflow", "prospr", "random"]
  }

  var methods: [Method]
  /// Descending.
  var keepRatios: [Double]
  var seeds: [Int]
  var model: String
  var denseEpochs: Int
  /// Epochs of each method on the dense network, of each phase where it has two, and of each round.
  var epochs: Int
  /// The epoch of the dense training that is rewound to.
  var rewindEpoch: Int
  /// Flags that every part takes: the data.
  var common: [String]

  /// The study of a run's settings, which are named as the flags.
  init(_ settings: Record) {
    func text(_ key: String) -> String { settings[key]?.string ?? "" }
    func number(_ key: String) -> Int { settings[key]?.integer ?? 0 }
    methods = text("methods").split(separator: ",").map { Method(text: String($0)) }
    keepRatios = text("keep").split(separator: ",").compactMap { Double($0) }.sorted(by: >)
    seeds = (0..<max(0, number("seeds"))).map { number("seed") + $0 }
    model = text("model")
    denseEpochs = number("dense-epochs")
    epochs = number("epochs")
    rewindEpoch = number("rewind-epoch")
    let valued = ["data", "data-dir", "limit", "train-limit", "limit-order", "hold-out"]
    common = valued.flatMap { key in settings[key].map { ["--\(key)", $0.description] } ?? [] }
    if settings["skip-corrupt"] == .bool(true) { common.append("--skip-corrupt") }
  }

  /// What is run, in order: the dense networks first.
  var parts: [RunPart] {
    seeds.map(dense) + seeds.flatMap { seed in methods.flatMap { parts(of: $0, seed: seed) } }
  }

  /// Whether the rest of the study can do without the part: all but the dense networks.
  func isOptional(_ part: RunPart) -> Bool { !part.name.hasPrefix("dense_") }

  private func dense(seed: Int) -> RunPart {
    RunPart(
      name: "dense_\(seed)",
      arguments: ["train", "--model", model, "--epochs", "\(denseEpochs)", "--snapshot-epoch", "\(rewindEpoch)"]
        + ["--seed", "\(seed)"] + common)
  }

  private func parts(of method: Method, seed: Int) -> [RunPart] {
    let weights = ["--weights", "{run}/dense_\(seed)/model.safetensors"]
    let rewind = ["--rewind", "{run}/dense_\(seed)/\(TrainRun.snapshotFileName(rewindEpoch))"]
    func part(_ keep: Double, _ flags: [String]) -> RunPart {
      RunPart(
        name: partName(method, keep, seed),
        arguments: ["prune", method.name, "--keep", "\(keep)", "--seed", "\(seed)"] + flags + method.flags + common)
    }
    let each = ["--epochs", "\(epochs)"]
    switch method.name {
    case "imp":
      let stops = keepRatios.dropLast().flatMap { ["--stop", "\($0)"] }
      return [part(keepRatios.last ?? 1, weights + rewind + stops + each)]
    case "omp": return keepRatios.map { part($0, weights + rewind + each) }
    case "hydra": return keepRatios.map { part($0, weights + ["--score-epochs", "\(epochs)"] + each) }
    case _ where method.startsUntrained:
      return keepRatios.map { part($0, ["--model", model, "--epochs", "\(denseEpochs)"]) }
    default: return keepRatios.map { part($0, weights + each) }
    }
  }

  private func partName(_ method: Method, _ keep: Double, _ seed: Int) -> String {
    method.name == "imp" ? "\(method.slug)_\(seed)" : "\(method.slug)_\(keep)_\(seed)"
  }
}

// MARK: - Results

extension PruningStudy {
  /// What a method reached at a keep ratio, over the seeds that are done.
  struct Cell {
    let method: Method
    let keepRatio: Double
    /// Test accuracies.
    let accuracy: Sample
    /// Seconds of pruning and of training what stays, without the dense network's.
    let seconds: Sample
  }

  struct Results {
    /// Test accuracies and seconds of the dense networks.
    let dense: Sample
    let denseSeconds: Sample
    let cells: [Cell]
    let testImages: Int
  }

  /// Reads what is there; parts that are not done are left out.
  func results(in folder: RunFolder) -> Results {
    func completed(_ name: String) -> Record? {
      guard let part = try? RunFolder(existing: folder.artefact(name)),
        (try? part.record())?.outcome == .completed
      else { return nil }
      return try? part.readSummary()
    }
    let dense = seeds.compactMap { completed("dense_\($0)") }
    let cells = methods.flatMap { method in
      keepRatios.compactMap { keep -> Cell? in
        let summaries = seeds.compactMap { seed -> Record? in
          let name = partName(method, keep, seed)
          guard method.name == "imp" else { return completed(name) }
          guard let part = try? RunFolder(existing: folder.artefact(name)) else { return nil }
          return PruneRun.ticketSummary(of: part, keep)
        }
        guard !summaries.isEmpty else { return nil }
        return Cell(
          method: method, keepRatio: keep, accuracy: Sample(summaries, "accuracy"),
          seconds: Sample(summaries, "seconds"))
      }
    }
    return Results(
      dense: Sample(dense, "test_accuracy"), denseSeconds: Sample(dense, "seconds"), cells: cells,
      testImages: dense.first?["n"]?.integer ?? 0)
  }
}

/// Figures of repeated runs.
struct Sample {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }
  init(_ summaries: [Record], _ key: String) { self.init(summaries.compactMap { $0[key]?.number }) }

  var mean: Double { values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count) }

  /// Of a single run: nil.
  var standardDeviation: Double? {
    guard values.count > 1 else { return nil }
    return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
  }

  /// The 95 % interval of the mean by Student's t.
  var interval: ClosedRange<Double>? {
    guard let standardDeviation else { return nil }
    let quantiles = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
    let t = values.count - 2 < quantiles.count ? quantiles[values.count - 2] : 1.96
    let half = t * standardDeviation / Double(values.count).squareRoot()
    return mean - half...mean + half
  }
}

extension PruningStudy.Results {
  /// A method's winning ticket: the smallest keep ratio whose mean accuracy is not below the dense networks'.
  func winningTicket(of method: PruningStudy.Method) -> PruningStudy.Cell? {
    cells.filter { $0.method == method && $0.accuracy.mean >= dense.mean }.min { $0.keepRatio < $1.keepRatio }
  }

  /// Flat keys: `bip_0.328_accuracy`, `bip_0.328_sd`, `bip_0.328_seconds`, ...
  var summary: Record {
    var summary: Record = [
      "dense_accuracy": .double(dense.mean), "dense_seconds": .double(denseSeconds.mean), "n": .int(testImages)
    ]
    summary["dense_sd"] = dense.standardDeviation.map { .double($0) }
    for cell in cells {
      let key = "\(cell.method.slug)_\(cell.keepRatio)"
      summary["\(key)_accuracy"] = .double(cell.accuracy.mean)
      summary["\(key)_sd"] = cell.accuracy.standardDeviation.map { .double($0) }
      summary["\(key)_seconds"] = .double(cell.seconds.mean)
      summary["\(key)_runs"] = .int(cell.accuracy.values.count)
    }
    return summary
  }
}
