import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchReporting

/// An experiment that counts, and can be stopped.
private struct Count: Experiment {
  struct Pace: InlineGroup, Hashable, Sendable {
    var stepSize = 1
    var label: String?
    var stops: [Double] = []
  }

  enum Order: String, CaseIterable, Codable, Sendable { case rising, falling }

  struct Outcome: Codable, Hashable, Sendable {
    struct Figure: PrefixedGroup, Hashable, Sendable {
      var value: Double
      var low: Double
    }

    var meanCount: Figure
    var note: String?
  }

  static let kind = "count"
  static let revisable: Set<String> = ["price"]
  var price: Int?
  var limit = 3
  var order = Order.rising
  var pace = Pace()

  func checked() throws(InputError) -> Count {
    try requireSetting(limit > 0, "limit", "at least 1", limit)
    return self
  }

  func run(in context: RunContext) throws -> Outcome {
    if limit == 13 { throw InputError("no such number", at: "limit") }
    let folder = try context.open(inputs: ["numbers": "1234"])
    if limit == 7 { throw Interrupted(folder: folder.url) }
    return Outcome(meanCount: .init(value: Double(limit), low: Double(pace.stepSize)))
  }

  static func text(of run: PerformedRun<Count>) -> String { "\(run.outcome?.meanCount.value ?? .nan)" }
  static func report(of run: PerformedRun<Count>) -> Report {
    Report(
      title: "Counted", summary: "To \(run.experiment.limit).", keyFigures: [], sections: [], record: run.record)
  }
}

@Suite("An experiment") struct ExperimentTests {
  @Test("is written flat, in order and in kebab case, and read back; what is left out has its default")
  func settings() throws {
    var count = Count()
    (count.limit, count.order, count.pace.stepSize, count.pace.stops) = (5, .falling, 2, [0.5, 0.25])
    let settings = try count.settings
    #expect(settings == ["limit": 5, "order": "falling", "step-size": 2, "stops": [0.5, 0.25]])
    #expect(settings.keys == ["limit", "order", "step-size", "stops"])
    #expect(try Count(settings: settings, name: "x").settings == settings)
    #expect(try Count(settings: ["step-size": 4], name: "x").limit == 3)
    #expect(try Count(settings: ["stops": "0.5,0.25"], name: "x").pace.stops == [0.5, 0.25])
    #expect(try Count(settings: ["stops": 0.5], name: "x").pace.stops == [0.5])
  }

  @Test("a wrong key or value is refused with the file, the key and what was expected")
  func mistakes() throws {
    func error(_ settings: Record) -> InputError? {
      #expect(throws: InputError.self) { try Count(settings: settings, name: "c.yaml") }
    }
    #expect(error(["stepsize": 2])?.description == "c.yaml, key 'stepsize': unknown key; did you mean 'step-size'?")
    #expect(error(["limit": "many"])?.description.contains("c.yaml, key 'limit'") == true)
    #expect(error(["limit": "many"])?.expected == "a whole number")
    #expect(error(["limit": 2.5])?.found == "'2.5'")
    #expect(error(["order": "risin"])?.description.contains("did you mean 'rising'?") == true)
    #expect(error(["limit": .null])?.description.contains("key 'limit'") == true)
    #expect(error(["pace": ["step-size": 2]])?.description.contains("unknown key") == true)
  }

  @Test("performed, leaves its configuration, its outcome and a page, from which it is performed again")
  func performs() throws {
    let folder = try TemporaryFolder()
    let run = try Lab().perform(Count(), in: folder / "run")
    #expect(run.outcome == .init(meanCount: .init(value: 3, low: 1)))
    #expect(try run.folder.readSummary() == ["mean_count": 3.0, "mean_count_low": 1.0, "ranks": 1])
    #expect(FileManager.default.fileExists(atPath: run.folder.report.path))
    let record = try RunRecord(contentsOf: run.folder.config)
    #expect(record.kind == "count" && record.outcome == .completed && record.inputs == ["numbers": "1234"])
    let again = try Lab().perform(Count(settings: record.settings, name: "x"), in: folder / "again")
    #expect(again.outcome == run.outcome)
    #expect(throws: InputError.self) { try Lab().perform(Count(), in: folder / "run") }
  }

  @Test("goes on only with its own settings, and what is completed is not done again") func resumes() throws {
    let folder = try TemporaryFolder()
    let url = folder / "run"
    var count = Count()
    count.limit = 7
    #expect(throws: Interrupted.self) { try Lab().perform(count, in: url) }
    #expect(try RunFolder(existing: url).record().outcome == .interrupted)
    count.limit = 8
    let error = #expect(throws: InputError.self) { try Lab().perform(count, in: url, resumes: true) }
    #expect(error?.problem.contains("limit differ") == true)

    try Lab().perform(Count(), in: folder / "done")
    try Data().write(to: folder / "done/mark")
    let run = try Lab().ensure(Count(), in: folder / "done")
    #expect(run.outcome?.meanCount.value == 3)
    #expect(FileManager.default.fileExists(atPath: (folder / "done/mark").path))
  }

  @Test("goes on with other values of settings that no result depends on") func revises() throws {
    let folder = try TemporaryFolder()
    let url = folder / "run"
    var count = Count()
    (count.limit, count.price) = (7, 1)
    #expect(throws: Interrupted.self) { try Lab().perform(count, in: url) }
    count.price = 2
    #expect(throws: Interrupted.self) { try Lab().perform(count, in: url, resumes: true) }
    #expect(try RunFolder(existing: url).record().settings["price"] == 2)
  }

  @Test("goes on where it was begun before a setting was known, which counts as its default") func newSettings()
    throws
  {
    let folder = try TemporaryFolder()
    let url = folder / "run"
    var count = Count()
    count.limit = 7
    #expect(throws: Interrupted.self) { try Lab().perform(count, in: url) }
    let config = url.appending(path: "config.yaml")
    let before = try String(contentsOf: config, encoding: .utf8)
    let lacking = before.split(separator: "\n").filter { !$0.contains("order:") }.joined(separator: "\n")
    #expect(lacking.count < before.count)
    try Data(lacking.utf8).write(to: config)
    count.order = .falling
    let error = #expect(throws: InputError.self) { try Lab().perform(count, in: url, resumes: true) }
    #expect(error?.problem.contains("order differ") == true)
    count.order = .rising
    #expect(throws: Interrupted.self) { try Lab().perform(count, in: url, resumes: true) }
    #expect(try RunFolder(existing: url).record().settings["order"] == "rising")
  }

  @Test("finds what its lab offers beside") func services() throws {
    var lab = Lab()
    lab.services = [7, "seven"]
    #expect(lab.service(String.self) == "seven" && lab.service((any BinaryInteger).self) != nil)
    #expect(lab.service(Double.self) == nil)
  }

  @Test("wrong input leaves no folder") func noFolder() throws {
    let folder = try TemporaryFolder()
    var count = Count()
    for limit in [0, 13] {
      count.limit = limit
      #expect(throws: InputError.self) { try Lab().perform(count, in: folder / "run") }
      #expect(!FileManager.default.fileExists(atPath: (folder / "run").path))
    }
  }

  @Test("figures by name are flat keys of a summary, and read back in order") func byName() throws {
    struct Figures: Codable, Sendable, Equatable {
      var mean = 0.0
      var seeds: Int?
    }
    struct Outcome: Codable, Sendable {
      var plain = ByName<Figures>()
      var nested = ByName<ByName<Figures>>()
      var missing: ByName<Figures>?
    }
    var outcome = Outcome()
    outcome.plain["7.5"] = Figures(mean: 1, seeds: 2)
    outcome.plain["T x"] = Figures(mean: .nan)
    outcome.nested["closed-loop"] = outcome.plain
    outcome.plain["gone"] = Figures()
    outcome.plain["gone"] = nil
    let summary = try #require(Value(encoding: outcome, style: .figures).record).flattened
    #expect(
      summary.keys == [
        "plain.7.5.mean", "plain.7.5.seeds", "plain.T x.mean", "nested.closed-loop.7.5.mean",
        "nested.closed-loop.7.5.seeds", "nested.closed-loop.T x.mean", "missing"
      ])
    let text = Value.object(summary.withoutNulls).json()
    let read: Outcome = try Value(json: Data(text.utf8), name: "x").decode(style: .figures, name: "x")
    #expect(read.plain.names == ["7.5", "T x"] && read.plain["7.5"] == Figures(mean: 1, seeds: 2))
    #expect(read.plain["T x"]?.mean.isNaN == true && read.missing == nil)
    #expect(read.nested["closed-loop"]?["7.5"]?.seeds == 2)
    let error = #expect(throws: InputError.self) {
      let _: Outcome = try (["plain.a.mean": "x", "nested.a.b.mean": 1] as Value).decode(style: .figures, name: "s")
    }
    #expect(error?.expected == "a number")
  }

  @Test("a study does its optional parts as far as they go, and names those that failed") func study() throws {
    struct Counts: Experiment {
      static let kind = "counts"
      var limits = [1, 13, 2]
      struct Outcome: Codable, Sendable {}
      func run(in context: RunContext) throws -> Outcome {
        _ = try context.open(inputs: [:])
        try context.perform(
          limits.map { limit in
            var count = Count()
            count.limit = limit
            return StudyPart("count-\(limit)", count, isOptional: true)
          })
        return Outcome()
      }
      static func text(of run: PerformedRun<Counts>) -> String { "" }
      static func report(of run: PerformedRun<Counts>) -> Report {
        Report(title: "Counts", summary: "", keyFigures: [], sections: [], record: run.record)
      }
    }
    let folder = try TemporaryFolder()
    let error = #expect(throws: InputError.self) { try Lab().perform(Counts(), in: folder / "study") }
    #expect(error?.location == "count-13")
    for name in ["count-1", "count-2"] {
      #expect(try RunFolder(existing: folder / "study/\(name)").record().outcome == .completed)
    }
  }

  @Test("figures by the cases of an enumeration stand under their names, and are read back from a flat file")
  func cases() throws {
    struct Figures: Codable {
      struct Part: Codable, Hashable, Sendable {
        var share: Count.Outcome.Figure
        var parameters: Value?
      }

      var parts = ByCase<Count.Order, Part>()
      var others: ByCase<Count.Order, Part>?
    }
    var figures = Figures()
    figures.parts[.falling] = .init(share: .init(value: 0.5, low: 0.25), parameters: ["steps": 3])
    let flat = try #require(Value(encoding: figures, style: .figures).record).flattened
    #expect(
      flat == [
        "parts.falling.share": 0.5, "parts.falling.share_low": 0.25, "parts.falling.parameters.steps": 3,
        "others": .null
      ])
    let read: Figures = try Value.object(flat).decode(style: .figures, name: "x")
    #expect(read.parts[.falling] == figures.parts[.falling] && read.parts[.rising] == nil && read.others == nil)
    let error = #expect(throws: InputError.self) {
      let _: Figures = try Value.object(flat.merging(["parts.rissing.share": 1])).decode(style: .figures, name: "x")
    }
    #expect(error?.description.contains("'rissing.share'") == true)
  }

  @Test("figures of repeated runs have a mean, a deviation and an interval by Student's t") func samples() throws {
    let sample = Sample([0.90, 0.91, 0.95])
    #expect(abs(sample.mean - 0.92) < 1e-12)
    #expect(abs(try #require(sample.standardDeviation) - 0.0264575131) < 1e-9)
    let interval = try #require(sample.interval)
    #expect(abs(interval.upperBound - 0.92 - 4.303 * 0.0264575131 / 3.0.squareRoot()) < 1e-9)
    #expect(Sample([0.9]).interval == nil)
  }

  @Test("runs of the first version are read: their kind from the command, their figures under today's keys")
  func earlier() throws {
    #expect(EarlierRuns.kind(of: ["quench", "prune", "bip", "--keep", "0.1"], [:]) == "prune-bip")
    #expect(EarlierRuns.kind(of: ["quench", "train"], ["adversarial": "pgd"]) == "train-adversarial")
    #expect(EarlierRuns.kind(of: ["quench", "certify", "run", "--sigma", "0.5"], [:]) == "certify")
    #expect(EarlierRuns.kind(of: ["quench", "defend", "evaluate", "--weights", "x"], [:]) == "defend-evaluate")
    #expect(EarlierRuns.kind(of: ["quench", "cryo", "plan"], [:]) == nil)
    #expect(EarlierRuns.settings(["classes": "10", "mean": "1,2"]) == ["classes": 10.0, "mean": "1,2"])
    #expect(EarlierRuns.settings(["classes": "10", "scale": "0.5"])["scale"]?.number == 0.5)
    #expect(EarlierRuns.kind(of: ["quench", "attack", "pgd"], ["attack": "pgd"]) == "attack")
    #expect(EarlierRuns.kind(of: ["quench", "attack", "sweep", "pgd"], ["epsilons": "0"]) == "attack-sweep")
    #expect(EarlierRuns.kind(of: ["quench", "attack", "autoattack"], ["version": "plus"]) == "attack-autoattack")
    #expect(EarlierRuns.kind(of: ["quench", "red", "build-data"], [:]) == "red-build-data")
    let attacked = EarlierRuns.summary([
      "robust_accuracy": 0.5, "interval": [0.4, 0.6], "groups.seen.pa_benign_interval": [0.1, 0.2],
      "curve": [["epsilon": 0.1, "robust_accuracy": .null, "interval": .null]]
    ])
    #expect(attacked["robust_accuracy_low"] == 0.4 && attacked["groups.seen.pa_benign_high"] == 0.2)
    #expect(attacked["curve"] == [["epsilon": 0.1]] && attacked["interval"] == nil)
    #expect(EarlierRuns.kind(of: ["quench", "cryo", "predictor", "train"], [:]) == "cryo-predictor")
    #expect(EarlierRuns.settings(["starts": "50", "budget": 60]) == ["starts": "50", "minutes": 60])
    #expect(EarlierRuns.settings(["budget": 60]) == ["budget": 60])
    let summary = EarlierRuns.summary([
      "test_accuracy": 0.9, "test_interval_low": 0.8, "interval": [0.7, 0.95], "latency_1_dense_ms": 2.0,
      "latency_1_pruned_ms": 1.0, "speed_up_1": 2.0, "widths.conv1": [16, 8]
    ])
    #expect(summary["accuracy"] == 0.9 && summary["accuracy_low"] == 0.7 && summary["accuracy_high"] == 0.95)
    let latency = try #require(summary["latency"]?.array?.first?.record)
    #expect(latency["speed_up_low"] == 2.0 && latency["before"] == 2.0)
    #expect(summary["widths"]?.array?.first?.record?["layer"] == "conv1")
  }
}
