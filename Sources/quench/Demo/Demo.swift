import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Every capability in little: a study of experiments, chapter by chapter, and one report over all of them.
struct Demo: Experiment {
  static let kind = "demo"

  var precision = Precision.automatic
  /// What is done; other versions may do something else in a folder of theirs.
  private(set) var steps: [String] = []

  static let chapters: [any DemoChapter.Type] = [
    PruningChapter.self, CryoChapter.self, DeceptionChapter.self, CertificationChapter.self
  ]

  func parts(in folder: URL) throws(InputError) -> [StudyPart] {
    var parts: [StudyPart] = []
    for chapter in Self.chapters { parts += try chapter.parts(in: folder, precision: precision) }
    return parts
  }

  func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  func checked() throws(InputError) -> Demo {
    var demo = self
    demo.steps = try parts(in: URL(filePath: "{run}")).map { part throws(InputError) in
      try "\(part.name): \(type(of: part.experiment).kind) \(Value.object(part.experiment.settings).json())"
    }
    guard steps.isEmpty || steps == demo.steps else {
      throw InputError("these are the steps of another version's demo", at: "steps", remedy: "leave them out")
    }
    return demo
  }

  func isWhole(in folder: URL) throws(InputError) -> Bool {
    for part in try parts(in: folder) where try !part.isDone(in: folder) { return false }
    return true
  }

  func run(in context: RunContext) throws -> DemoOutcome {
    if Datasets.find(.fashionMNIST) == nil {
      try DataFetchCommand.fetch(.fashionMNIST, to: nil, context.console)
    }
    let folder = try context.open(inputs: [:])
    let parts = try parts(in: context.url)
    try context.perform(parts)
    let runs = DemoRuns(folder: folder.url)
    var figures = Self.chapters.reduce(into: Record()) { $0.merge($1.summary(runs)) }
    figures["seconds"] = .double(parts.reduce(0) { $0 + (runs.seconds($1.name) ?? 0) })
    return DemoOutcome(figures: .object(figures))
  }

  static func text(of run: PerformedRun<Demo>) -> String {
    let runs = DemoRuns(folder: run.folder.url)
    return chapters.flatMap { $0.tables(runs) }.map { "\n\($0.caption)\n\($0.text)" }.joined(separator: "\n")
  }

  static func report(of run: PerformedRun<Demo>) -> Report {
    let runs = DemoRuns(folder: run.folder.url)
    let images = Wording.count(PruningChapter.trained(runs).map { Double($0.n) })
    return Report(
      title: "Every capability in little",
      summary:
        "ResNet-20 was trained on Fashion-MNIST, then pruned by magnitude (OMP) and by bi-level optimization "
        + "(BiP), and made smaller by cutting half of its channels out; test accuracies are of \(images) images that "
        + "nothing was learned from. A cryo-EM session was planned on a made-up survey, attacks on the network were "
        + "taken apart again, and a network's answers were certified.",
      keyFigures: chapters.flatMap { $0.keyFigures(runs) },
      sections: chapters.flatMap { $0.sections(runs) } + [method(run)], record: run.record)
  }

  private static func method(_ run: PerformedRun<Demo>) -> Report.Section {
    let parts = (try? run.experiment.parts(in: run.folder.url)) ?? []
    return Report.Section(
      "What was run",
      [
        .prose(
          "These runs are short on purpose: one epoch of dense training, then pruning on 12,800 training images. "
            + "OMP drops the smallest weights at once and trains the others for two epochs; BiP learns mask and "
            + "weights together for one epoch, which passes every image twice. So both learn from as many images. "
            + "Each run has a page of its own, and its settings in `config.yaml`, from which `quench run` does it "
            + "again. In order:")
      ] + parts.map { .prose("`quench run \(run.folder.url.lastPathComponent)/\($0.name)/config.yaml`") })
  }
}

/// The chapters' figures under flat keys: `dense_accuracy`, `bip_0.02_accuracy`, `red_seen_pa_benign`, ...
struct DemoOutcome: Codable, Sendable {
  var figures: Value

  init(figures: Value) { self.figures = figures }
  init(from decoder: any Decoder) throws { figures = try decoder.singleValueContainer().decode(Value.self) }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(figures)
  }
}

/// One capability in little: the runs that show it, and what is told of them.
protocol DemoChapter: SendableMetatype {
  /// What is done in the demo's folder, in order.
  static func parts(in folder: URL, precision: Precision) throws(InputError) -> [StudyPart]
  /// Under flat keys; nothing of parts that are not done.
  static func summary(_ runs: DemoRuns) -> Record
  static func tables(_ runs: DemoRuns) -> [Table]
  static func keyFigures(_ runs: DemoRuns) -> [Report.KeyFigure]
  static func sections(_ runs: DemoRuns) -> [Report.Section]
}

/// The runs in a demo's folder.
struct DemoRuns {
  let folder: URL

  /// The run of this name; nil until it has ended well.
  func done<Work: Experiment>(_ name: String, _ type: Work.Type = Work.self) -> PerformedRun<Work>? {
    let url = folder.appending(path: name, directoryHint: .isDirectory)
    guard let run = try? PerformedRun<Work>(RunFolder(existing: url)), run.outcome != nil else { return nil }
    return run
  }

  /// What the run of this name took, where that is a figure of its outcome.
  func seconds(_ name: String) -> Double? {
    (try? RunFolder(existing: folder.appending(path: name)).readSummary())?["seconds"]?.number
  }
}
