import QuenchSupport

/// Runs of version 0.1 up to 2026-11, which told their kind by the command line and had other keys for some figures.
public enum EarlierRuns {
  /// The kind of a run that a command began; nil where no experiment stands for it.
  static func kind(of command: [String], _ settings: Record) -> String? {
    let words = command.dropFirst()
    switch words.first {
    case "train": return settings["adversarial"] == nil ? "train" : "train-adversarial"
    case "evaluate", "slim": return words.first
    case "certify": return "certify"
    case "prune", "defend", "red": return words.count > 1 ? words.prefix(2).joined(separator: "-") : nil
    case "attack":
      return settings["epsilons"] != nil
        ? "attack-sweep" : settings["version"] != nil ? "attack-autoattack" : "attack"
    case "cryo":
      let kinds = ["train", "evaluate", "study", "calibrate", "predictor"]
      return words.dropFirst().first.flatMap { kinds.contains($0) ? "cryo-\($0)" : nil }
    case "demo": return "demo"
    default: return nil
    }
  }

  /// Settings with the keys and in the form of today: what was told of an endpoint was text.
  static func settings(_ settings: Record) -> Record {
    var renamed = settings.reduce(into: Record()) { $0[settingNames[$1.key] ?? $1.key] = $1.value }
    // The first versions called a collection's minutes a budget.
    if renamed["starts"] != nil, let minutes = renamed["budget"] {
      (renamed["budget"], renamed["minutes"]) = (nil, minutes)
    }
    for key in ["classes", "scale"] {
      if let number = renamed[key]?.string.flatMap(Double.init) { renamed[key] = .double(number) }
    }
    return renamed
  }

  private static let settingNames = [
    "victims": "victim", "surrogates": "surrogate", "defence": "defense"
  ]

  /// A summary with the keys of today.
  public static func summary(_ summary: Record) -> Record {
    var renamed = Record()
    for (key, value) in summary { renamed[names[key] ?? key] = value }
    renamed = withEnds(renamed)
    // The first versions did not count these.
    for key in ["no_answer", "retries", "cached", "images_left_out"] where renamed[key] == nil { renamed[key] = 0 }
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

  /// Intervals as the two figures at their ends, `robust_accuracy_low` and `robust_accuracy_high`, in rows of tables too.
  private static func withEnds(_ record: Record) -> Record {
    record.reduce(into: Record()) { renamed, pair in
      let (key, value) = pair
      let parts = key.split(separator: ".")
      let name = parts.last.map(String.init) ?? key
      let path = key.dropLast(name.count)
      switch value {
      case .null: return
      case .array(let ends) where name == "interval" || name.hasSuffix("_interval"):
        guard ends.count == 2 else { return }
        let plain = record["\(path)robust_accuracy"] == nil ? "accuracy" : "robust_accuracy"
        let figure =
          figuresOfIntervals[name] ?? (name == "interval" ? plain : String(name.dropLast("_interval".count)))
        (renamed["\(path)\(figure)_low"], renamed["\(path)\(figure)_high"]) = (ends[0], ends[1])
      case .array(let rows): renamed[key] = .array(rows.map { $0.record.map { .object(withEnds($0)) } ?? $0 })
      default: renamed[key] = value
      }
    }
  }

  private static let figuresOfIntervals = [
    "probe_interval": "probe_robust_accuracy", "family_interval": "family_accuracy",
    "recall_interval": "recall_at_5_percent_false_positives"
  ]

  private static let names = [
    "defence": "defense",
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
