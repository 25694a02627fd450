import Support

/// Runs of version 0.1 up to 2026-11, which told their kind by the command line and had other keys for some figures.
public enum EarlierRuns {
  /// The kind of a run that a command began; nil where no experiment stands for it.
  static func kind(of command: [String], _ settings: Record) -> String? {
    let words = command.dropFirst()
    switch words.first {
    case "train": return settings["adversarial"] == nil ? "train" : "train-adversarial"
    case "evaluate", "slim": return words.first
    case "prune": return words.dropFirst().first.map { "prune-\($0)" }
    case "cryo":
      let kinds = ["train", "evaluate", "study", "calibrate", "predictor"]
      return words.dropFirst().first.flatMap { kinds.contains($0) ? "cryo-\($0)" : nil }
    default: return nil
    }
  }

  /// Settings with the keys of today.
  static func settings(_ settings: Record) -> Record {
    var settings = settings
    // The first versions called a collection's minutes a budget.
    if settings["starts"] != nil, let minutes = settings["budget"] {
      (settings["budget"], settings["minutes"]) = (nil, minutes)
    }
    return settings
  }

  /// A summary with the keys of today.
  public static func summary(_ summary: Record) -> Record {
    var renamed = Record()
    for (key, value) in summary { renamed[names[key] ?? key] = value }
    if case .array(let ends)? = renamed["interval"], ends.count == 2 {
      renamed["interval"] = nil
      (renamed["accuracy_low"], renamed["accuracy_high"]) = (ends[0], ends[1])
    }
    let batches = [1, 64].compactMap { latency(of: $0, in: summary) }
    if !batches.isEmpty { renamed["latency"] = .array(batches) }
    let prefix = "widths."
    renamed["widths"] = .array(
      summary.filter { $0.key.hasPrefix(prefix) }.compactMap { key, value in
        guard let ends = value.array, ends.count == 2 else { return nil }
        return ["layer": .string(String(key.dropFirst(prefix.count))), "before": ends[0], "after": ends[1]]
      })
    return renamed
  }

  private static let names = [
    "test_accuracy": "accuracy", "test_interval_low": "accuracy_low", "test_interval_high": "accuracy_high",
    "interval_low": "accuracy_low", "interval_high": "accuracy_high",
    "dense_interval_low": "dense_accuracy_low", "dense_interval_high": "dense_accuracy_high"
  ]

  private static func latency(of batchSize: Int, in summary: Record) -> Value? {
    let pairs = [("dense", "pruned"), ("masked", "slimmed")]
    for (first, second) in pairs {
      guard let before = summary["latency_\(batchSize)_\(first)_ms"],
        let after = summary["latency_\(batchSize)_\(second)_ms"], let ratio = summary["speed_up_\(batchSize)"]
      else { continue }
      // The first versions recorded no spread.
      return [
        "batch_size": .int(batchSize), "before": before, "after": after, "speed_up": ratio,
        "speed_up_low": summary["speed_up_\(batchSize)_low"] ?? ratio,
        "speed_up_high": summary["speed_up_\(batchSize)_high"] ?? ratio
      ]
    }
    return nil
  }
}

extension RunRecord {
  /// Whether a version wrote it that told no kind: some of its keys may be unknown now.
  var isEarlier: Bool { kind == nil }

  /// The kind of the experiment, told or known by the command; nil where no experiment stands for the run.
  public var experimentKind: String? { kind ?? EarlierRuns.kind(of: command, settings) }
}
