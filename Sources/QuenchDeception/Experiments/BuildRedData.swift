import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The making of an attack data set: pairs of clean and adversarial images.
public struct BuildRedData: Experiment {
  public static let kind = "red-build-data"
  public static let isShared = true

  public var preset = RedPreset.small
  /// Pairs of each training cell; nil: the preset's.
  public var trainPairs: Int?
  /// Pairs of each test cell; nil: the preset's.
  public var testPairs: Int?
  /// Attacks on every victim, of ``RedAttack/seen``.
  public var attacks = RedAttack.seen
  /// Attacks on the first victim for tests alone, of ``RedAttack/unseen``.
  public var unseenAttacks = RedAttack.unseen
  /// Images that are attacked at once.
  public var batchSize = 250
  public var victims = RedVictims()
  public var selection = DataSelection()
  /// Of every random choice.
  public var seed = 1
  /// What attacks compute in; success is judged in float32.
  public var precision = Precision.float32

  public init() {}

  public struct Outcome: Codable, Sendable {
    public var cells: Int
    /// Over all cells.
    public var pairs: Int
    public var seconds: Double
    public var rates: [CellRate]
  }

  public func versions(on device: String) -> Record { tensorVersions(on: device, precision) }

  public func checked() throws(InputError) -> BuildRedData {
    var experiment = self
    experiment.trainPairs = trainPairs ?? preset.trainPairs
    experiment.testPairs = testPairs ?? preset.testPairs
    for (key, count) in [
      ("batch-size", batchSize), ("train-pairs", trainPairs ?? 1), ("test-pairs", testPairs ?? 1)
    ] { try requireSetting(count > 0, key, "at least 1", count) }
    experiment.attacks = try Self.ordered(attacks, of: RedAttack.seen, at: "attacks")
    try requireSetting(!attacks.isEmpty, "attacks", "any of fgsm, pgd, cw", "none")
    experiment.unseenAttacks = try Self.ordered(unseenAttacks, of: RedAttack.unseen, at: "unseen-attacks")
    try victims.validate()
    try selection.validate()
    // Pairs are data: what they are must not depend on the machine.
    if precision == .automatic { experiment.precision = .float32 }
    return experiment
  }

  /// The attacks in the order of `known`.
  private static func ordered(
    _ attacks: [RedAttack], of known: [RedAttack], at key: String
  ) throws(InputError) -> [RedAttack] {
    let ordered = known.filter(attacks.contains)
    guard ordered.count == attacks.count else {
      throw InputError(
        "out of range", at: key, expected: "any of \(known.map(\.rawValue).joined(separator: ", ")), each once",
        found: attacks.map(\.rawValue).joined(separator: ", "))
    }
    return ordered
  }

  public func run(in context: RunContext) throws -> Outcome {
    let device = try context.tensorDevice()
    let images = try LearningData(
      selection, seed: UInt64(bitPattern: Int64(seed)), on: device, context.console)
    func victim(_ weights: NamedWeights) throws(InputError) -> Victim {
      try weights.victim(taking: images.train.imageShape, on: device, attackedIn: precision)
    }
    var builder = RedDataBuilder(victims: try victims.victim.map(victim))
    builder.unseenVictims = try victims.unseen.map(victim)
    builder.trainPairs = trainPairs ?? preset.trainPairs
    builder.testPairs = testPairs ?? preset.testPairs
    (builder.attacks, builder.unseenAttacks) = (attacks, unseenAttacks)
    (builder.seed, builder.batchSize) = (UInt64(bitPattern: Int64(seed)), batchSize)
    builder.world = context.world
    builder.progress = context.console.progress
    let folder = try context.open(inputs: victims.all.inputs("victim").merging(images.inputs))
    let start = ContinuousClock.now
    let rates = try builder.build(train: images.train, test: images.test, in: folder.url)
    return Outcome(
      cells: rates.count, pairs: rates.reduce(0) { $0 + $1.n },
      seconds: (ContinuousClock.now - start) / .seconds(1),
      rates: rates)
  }

  public static func text(of run: PerformedRun<BuildRedData>) -> String {
    guard let outcome = run.outcome else { return "" }
    return Wording.lines([
      "cells": "\(Wording.count(Double(outcome.cells))), \(NumberText.count(outcome.pairs, "pair"))",
      "folder": run.folder.url.relativePath, "report": run.folder.report.relativePath
    ])
  }

  public static func report(of run: PerformedRun<BuildRedData>) -> Report {
    let table = Table(
      "Cells: attacks at a strength on a victim",
      columns: [.text("Cell"), .number("Pairs"), .number("Success"), .number("After rounding to 8 bits")],
      rows: (run.outcome?.rates ?? []).map { rate in
        [
          "\(rate.cell)", "\(Wording.count(Double(rate.n)))", "\(Wording.accuracy(rate.successUnrounded))",
          "\(Wording.accuracy(rate.success))"
        ]
      })
    return Report(
      title: "Attack data set",
      summary:
        "Pairs of clean and adversarial images of `\(run.experiment.selection.data.rawValue)`, as 8-bit pixels. "
        + "Every victim classifies every clean image right.",
      keyFigures: [
        .init("Cells", Wording.count(run.outcome.map { Double($0.cells) })),
        .init("Pairs", Wording.count(run.outcome.map { Double($0.pairs) })),
        .init("Time", Wording.duration(run.outcome?.seconds))
      ], sections: [Report.Section("Cells", [.table(table)])], record: run.record)
  }
}
