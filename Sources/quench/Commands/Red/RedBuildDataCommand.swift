import ArgumentParser
import Deception
import Foundation
import Reporting
import Support
import Torch
import Vision

struct RedBuildDataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "build-data",
    abstract: "Attack victims and keep pairs of clean and adversarial images.",
    discussion: """
      Examples:
        quench red build-data --data cifar10 --victim v1=a.safetensors \\
          --victim v2=b.safetensors
        quench red build-data --preset tiny --victim v1=a.safetensors --seen-only

      Cells are FGSM, PGD and CW at three strengths on each victim, the same images
      for all; for tests also a strength outside that range, other attacks on the
      first victim, and victims named with --unseen. Pixels are rounded to 8 bits
      before success is judged. An interrupted build goes on with --resume. Attacks
      compute in float32; with --precision bfloat16 they are faster where the
      processor is, and success is still judged in float32.
      """)

  @Option(help: "tiny: 40 pairs a cell, for trying out; small: 1000 to train on, 200 to test.")
  var preset = RedPreset.small

  @Option(help: "Pairs of each training cell, where not the preset's.")
  var trainPairs: Int?

  @Option(help: "Pairs of each test cell, where not the preset's.")
  var testPairs: Int?

  @Option(help: ArgumentHelp("Attacks on every victim: any of fgsm, pgd, cw.", valueName: "list"))
  var attacks = RedAttack.seen.map(\.rawValue).joined(separator: ",")

  @Option(
    help: ArgumentHelp(
      "Attacks on the first victim that are for tests alone, or none; AutoAttack takes the longest (default: all of "
        + "\(RedAttack.unseen.map(\.rawValue).joined(separator: ", "))).", valueName: "list"))
  var unseenAttacks: String?

  @Flag(help: "The same as --unseen-attacks none.")
  var seenOnly = false

  @Option(help: "Images attacked at a time.")
  var batchSize = 250

  @OptionGroup(title: "Victims") var victims: VictimOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    guard batchSize > 0, trainPairs ?? 1 > 0, testPairs ?? 1 > 0 else {
      throw ValidationError("--batch-size, --train-pairs and --test-pairs must be at least 1.")
    }
    guard !seenOnly || unseenAttacks == nil else {
      throw ValidationError("--seen-only and --unseen-attacks exclude each other.")
    }
    guard let chosen, !chosen.isEmpty else { throw ValidationError("--attacks names any of fgsm, pgd, cw.") }
    guard unseen != nil else {
      let names = RedAttack.unseen.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("--unseen-attacks names any of \(names), or none.")
    }
  }

  private var chosen: [RedAttack]? { Self.attacks(attacks, of: RedAttack.seen) }

  private var unseen: [RedAttack]? {
    if seenOnly || unseenAttacks == "none" { return [] }
    return unseenAttacks.map { Self.attacks($0, of: RedAttack.unseen) } ?? RedAttack.unseen
  }

  /// The named ones; nil if a name is none of `known`.
  private static func attacks(_ text: String, of known: [RedAttack]) -> [RedAttack]? {
    let names = text.split(separator: ",").map(String.init)
    let chosen = known.filter { names.contains($0.rawValue) }
    return chosen.count == names.count ? chosen : nil
  }

  private var settings: Record {
    var settings: Record = [
      "preset": .string(preset.rawValue), "train-pairs": .int(trainPairs ?? preset.trainPairs),
      "test-pairs": .int(testPairs ?? preset.testPairs), "attacks": .string(attacks),
      "unseen-attacks": .string((unseen ?? []).map(\.rawValue).joined(separator: ",")),
      "batch-size": .int(batchSize), "precision": .string(options.machine.attackPrecision.rawValue),
      "seed": .int(options.seed)
    ]
    settings.merge(victims.settings)
    settings.merge(data.settings)
    return settings
  }

  func run() throws {
    let url = try options.folder(named: "red-data")
    let device = try options.machine.prepare()
    let train = try data.load(.train, on: device, seed: options.seedBits, options.output)
    let test = try data.load(.test, on: device, seed: options.seedBits, options.output)
    func victim(_ file: NamedFile) throws(InputError) -> Victim {
      try file.victim(taking: train.imageShape, on: device, attackedIn: options.machine.attackPrecision)
    }
    var builder = RedDataBuilder(victims: try victims.victim.map(victim))
    builder.unseenVictims = try victims.unseen.map(victim)
    builder.trainPairs = trainPairs ?? preset.trainPairs
    builder.testPairs = testPairs ?? preset.testPairs
    builder.attacks = chosen ?? RedAttack.seen
    builder.unseenAttacks = unseen ?? RedAttack.unseen
    builder.seed = options.seedBits
    builder.batchSize = batchSize
    builder.progress = options.output.progress

    var inputs = try victims.inputs()
    inputs["training images"] = .string(train.fingerprint)
    inputs["test images"] = .string(test.fingerprint)
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    Interruption.watch()
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      let start = ContinuousClock.now
      let rows = try builder.build(train: train, test: test, in: folder.url)
      return [
        "cells": .int(rows.count), "pairs": .int(rows.reduce(0) { $0 + ($1["n"]?.integer ?? 0) }),
        "seconds": .double((ContinuousClock.now - start) / .seconds(1)), "rates": .array(rows.map { .object($0) })
      ]
    }
    options.output.printResult(
      summary,
      """
      cells   \(Wording.count(summary["cells"]?.number)), \(Wording.count(summary["pairs"]?.number, "pair"))
      folder  \(url.relativePath)
      report  \(url.appending(path: "report.html").relativePath)
      """)
  }
}
