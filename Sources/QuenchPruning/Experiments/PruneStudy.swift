import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A grid of prunings: methods by keep ratios by seeds, from one dense network a seed.
public struct PruneStudy: CompositeExperiment {
  public static let kind = "prune-study"

  /// Methods with settings of their own, such as `bip:mode=repo-tied:gamma=10`.
  public var methods = ["bip", "imp", "omp"]
  /// Fractions of the weights to keep.
  public var keep = [0.512, 0.2097, 0.0859]
  /// Repetitions, with seeds that count up from that of ``learning``.
  public var seeds = 1
  public var model = ModelName.resnet20
  public var denseEpochs = 16
  /// Epochs of each method on the dense network, of each phase where it has two, and of each round.
  public var epochs = 12
  /// The epoch of the dense training that is rewound to.
  public var rewindEpoch = 1
  public var learning = LearningSettings()

  public init() {}

  /// A method of the study.
  public struct Method: Hashable, Sendable {
    public let text: String

    public var name: String { String(text.prefix { $0 != ":" }) }

    /// Its own settings: `key=value`, `key` for true or `no-key` for false.
    var settings: Record {
      text.split(separator: ":").dropFirst().reduce(into: Record()) { settings, part in
        let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
        if pair.count == 2 {
          settings[pair[0]] = (try? Value(yaml: Data(pair[1].utf8), name: text)) ?? .string(pair[1])
        } else {
          settings[pair[0].replacing(/^no-/, with: "")] = .bool(!pair[0].hasPrefix("no-"))
        }
      }
    }

    /// As a part of a folder's name.
    var slug: String { String(text.map { ":=/ ".contains($0) ? "-" : $0 }) }

    /// How the report calls it.
    public var title: String {
      let settings = text.dropFirst(name.count).replacing(":", with: ", ").replacing("=", with: " ")
      return PruningTitle.of(name) + (settings.isEmpty ? "" : " (\(settings.dropFirst(2)))")
    }

    var experiment: (any PruneExperiment.Type)? { Self.all.first { $0.kind == "prune-\(name)" } }

    static let all: [any PruneExperiment.Type] = [
      Prune<BiP>.self, Prune<HYDRA>.self, Prune<OMP>.self, Prune<GMP>.self, Prune<IMP>.self,
      Prune<PruningAtInitialisation<SNIP>>.self, Prune<PruningAtInitialisation<GraSP>>.self,
      Prune<PruningAtInitialisation<SynFlow>>.self, Prune<PruningAtInitialisation<ProsPr>>.self,
      Prune<PruningAtInitialisation<RandomPruning>>.self
    ]
  }

  /// The prunings that a study can compare, by whose kinds their runs are known.
  public static var experiments: [any Experiment.Type] { Method.all.map { $0 } }

  public func versions(on device: String) -> Record { tensorVersions(on: device, learning.precision) }

  var allMethods: [Method] { methods.map(Method.init) }
  var allSeeds: [Int] { (0..<seeds).map { learning.seed + $0 } }

  public func checked() throws(InputError) -> PruneStudy {
    try requireSetting(!methods.isEmpty, "methods", "at least one method", "none")
    try requireSetting(!keep.isEmpty && Set(keep).count == keep.count, "keep", "ratios, each once", keep)
    for ratio in keep { _ = try KeepRatio(ratio) }
    try requireSetting(seeds > 0, "seeds", "at least 1", seeds)
    try requireSetting(denseEpochs > 0, "dense-epochs", "at least 1", denseEpochs)
    try requireSetting(epochs > 0, "epochs", "at least 1", epochs)
    try requireSetting(
      (0..<denseEpochs).contains(rewindEpoch), "rewind-epoch", "0 or more and below dense-epochs", rewindEpoch)
    for method in allMethods where method.experiment == nil {
      let names = Method.all.map { $0.kind.replacing(/^prune-/, with: "") }
      throw InputError(
        "no such method", at: "methods", expected: names.joined(separator: ", "), found: "'\(method.name)'",
        remedy: names.nearest(to: method.name).map { "did you mean '\($0)'?" })
    }
    var study = self
    study.keep.sort(by: >)
    _ = try study.parts(in: URL(filePath: "study"))  // what a part would refuse is refused now, not after hours
    return study
  }

  /// What is run in the study's folder, in order: the dense networks first.
  public func parts(in folder: URL) throws(InputError) -> [StudyPart] {
    var parts = allSeeds.map { StudyPart(denseName($0), denseTraining(seed: $0)) }
    for seed in allSeeds {
      for method in allMethods { parts += try self.parts(of: method, seed: seed, in: folder) }
    }
    return parts
  }

  private func learning(seed: Int) -> LearningSettings {
    var learning = learning
    learning.seed = seed
    return learning
  }

  private func denseTraining(seed: Int) -> Train {
    var training = Train()
    training.work.model = model
    training.work.recipe.epochs = denseEpochs
    training.work.snapshotEpoch = rewindEpoch
    training.work.learning = learning(seed: seed)
    return training
  }

  private func parts(of method: Method, seed: Int, in folder: URL) throws(InputError) -> [StudyPart] {
    guard let type = method.experiment else { return [] }
    let dense = folder.appending(path: denseName(seed))
    let weights = dense.appending(path: ClassifierWork.modelFileName).relativePath
    let rewind = dense.appending(path: ClassifierWork.snapshotFileName(rewindEpoch)).relativePath
    var settings = try Value(encoding: learning(seed: seed)).record ?? [:]
    if type.startsTrained {
      settings["weights"] = .string(weights)
      settings["epochs"] = .int(epochs)
    } else {
      settings["model"] = .string(model.rawValue)
      settings["epochs"] = .int(denseEpochs)
    }
    if ["imp", "omp"].contains(method.name) { settings["rewind"] = .string(rewind) }
    if method.name == "hydra" { settings["score-epochs"] = .int(epochs) }
    if method.name == "imp" { settings["stop"] = .array(keep.dropLast().map { .double($0) }) }
    settings.merge(method.settings)
    var parts: [StudyPart] = []
    for ratio in method.name == "imp" ? keep.suffix(1) : keep[...] {
      settings["keep"] = .double(ratio)
      let experiment = try type.init(settings: settings, name: method.text)
      parts.append(StudyPart(partName(method, ratio, seed), try experiment.checked(), isOptional: true))
    }
    return parts
  }

  private func denseName(_ seed: Int) -> String { "dense_\(seed)" }
  private func partName(_ method: Method, _ keep: Double, _ seed: Int) -> String {
    method.name == "imp" ? "\(method.slug)_\(seed)" : "\(method.slug)_\(keep)_\(seed)"
  }

  public func isWhole(in folder: URL) throws(InputError) -> Bool {
    for part in try parts(in: folder) where try !part.isDone(in: folder) { return false }
    return true
  }

  public func run(in context: RunContext) throws -> Outcome {
    let folder = try context.open(inputs: [:])
    try context.perform(parts(in: context.url)) {
      try Self.report(of: PerformedRun(folder)).write(to: folder.report)
    }
    return outcome(in: folder)
  }
}

/// A pruning by any method.
protocol PruneExperiment: Experiment where Outcome == PruneOutcome {
  static var startsTrained: Bool { get }
}

extension Prune: PruneExperiment {
  static var startsTrained: Bool { Method.startsTrained }
}

// MARK: - Results

extension PruneStudy {
  /// What a method reached at a keep ratio, over the seeds that are done.
  public struct Cell: Codable, Hashable, Sendable {
    public var method: String
    public var keepRatio: Double
    /// The mean of the test accuracies, and their standard deviation where there are several.
    public var accuracy: Double
    public var accuracySd: Double?
    /// The mean of the seconds of pruning and of training what stays, without the dense network's.
    public var seconds: Double
    /// Test accuracies of the seeds that are done.
    public var accuracies: [Double]
  }

  public struct Outcome: Codable, Sendable {
    /// Means over the dense networks that are done.
    public var denseAccuracy: Double
    public var denseSd: Double?
    public var denseSeconds: Double
    public var denseAccuracies: [Double]
    /// Test images.
    public var n: Int
    public var cells: [Cell]

    /// A method's winning ticket: the smallest keep ratio whose mean accuracy is not below the dense networks'.
    public func winningTicket(of method: String) -> Cell? {
      cells.filter { $0.method == method && $0.accuracy >= denseAccuracy }.min { $0.keepRatio < $1.keepRatio }
    }
  }

  /// What came of the parts that are done.
  public func outcome(in folder: RunFolder) -> Outcome {
    func completed<Work: Experiment>(_ name: String, _ type: Work.Type) -> Work.Outcome? {
      guard let part = try? RunFolder(existing: folder.artefact(name)),
        let run = try? PerformedRun<Work>(part), run.record.outcome == .completed
      else { return nil }
      return run.outcome
    }
    func pruned(_ method: Method, _ keep: Double, _ seed: Int) -> (accuracy: Double, seconds: Double)? {
      let name = partName(method, keep, seed)
      if method.name == "imp" {
        guard let part = try? RunFolder(existing: folder.artefact(name)),
          let ticket = try? Ticket(in: part, keepRatio: keep)
        else { return nil }
        return (ticket.accuracy.value, ticket.seconds)
      }
      return method.experiment.flatMap { completed(name, $0) }.map { ($0.accuracy.value, $0.seconds) }
    }
    let dense = allSeeds.compactMap { completed(denseName($0), Train.self) }
    let denseAccuracy = Sample(dense.map(\.accuracy.value))
    let cells = allMethods.flatMap { method in
      keep.compactMap { keep -> Cell? in
        let runs = allSeeds.compactMap { pruned(method, keep, $0) }
        guard !runs.isEmpty else { return nil }
        let accuracy = Sample(runs.map(\.accuracy))
        return Cell(
          method: method.text, keepRatio: keep, accuracy: accuracy.mean, accuracySd: accuracy.standardDeviation,
          seconds: Sample(runs.map(\.seconds)).mean, accuracies: accuracy.values)
      }
    }
    return Outcome(
      denseAccuracy: denseAccuracy.mean, denseSd: denseAccuracy.standardDeviation,
      denseSeconds: Sample(dense.map(\.seconds)).mean, denseAccuracies: denseAccuracy.values,
      n: dense.first?.n ?? 0,
      cells: cells)
  }
}
