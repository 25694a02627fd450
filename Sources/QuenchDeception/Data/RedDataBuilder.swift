import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// How much of the attack data set is made.
public enum RedPreset: String, CaseIterable, Codable, Sendable {
  /// 40 pairs a cell: a smoke run.
  case tiny
  /// 1000 training and 200 test pairs a cell.
  case small

  public var trainPairs: Int { self == .tiny ? 40 : 1000 }
  public var testPairs: Int { self == .tiny ? 40 : 200 }
}

/// How often an attack of the data set succeeded, as shares of its pairs: before and after rounding to 8 bits.
public struct CellRate: Codable, Hashable, Sendable {
  public var cell: String
  /// Pairs.
  public var n: Int
  public var successUnrounded: Double
  public var success: Double

  init(_ cell: PairCell) {
    (self.cell, n, success) = (cell.key.name, cell.count, cell.successRate)
    successUnrounded = Double(cell.successUnrounded.nonzeroCount()) / Double(max(1, cell.count))
  }
}

/// Builds the attack data set: a cell for each attack, strength and victim, over the same images for all victims.
///
/// Cells that are there already are left alone: a build that was killed goes on where it was, and ends with the same
/// files, since every cell follows from the seed alone.
public struct RedDataBuilder {
  /// Trained on and tested.
  public var victims: [Victim]
  /// Tested only.
  public var unseenVictims: [Victim] = []
  public var trainPairs = 1000
  public var testPairs = 200
  public var levels: [RedLevel] = [.weak, .medium, .strong]
  public var attacks = RedAttack.seen
  /// Attacks on the first victim, for tests alone.
  public var unseenAttacks: [RedAttack] = RedAttack.unseen
  public var seed: UInt64 = 1
  public var batchSize = 250
  /// The ranks that share the attacks on each cell.
  public var world = World.alone
  public var progress = ProgressLine.Style.quiet

  public init(victims: [Victim]) { self.victims = victims }

  /// The cells, training ones first.
  public var keys: [PairCell.Key] {
    func key(_ part: PairCell.Key.Part, _ victim: Victim, _ attack: RedAttack, _ level: RedLevel) -> PairCell.Key {
      PairCell.Key(part: part, victim: victim.name, attack: attack, level: level)
    }
    let train = victims.flatMap { victim in
      attacks.flatMap { attack in levels.map { key(.train, victim, attack, $0) } }
    }
    let test = victims.flatMap { victim in
      attacks.flatMap { attack in (levels + [.out]).map { key(.test, victim, attack, $0) } }
    }
    let unseen = victims.prefix(1).flatMap { victim in unseenAttacks.map { key(.test, victim, $0, .medium) } }
    let others = unseenVictims.flatMap { victim in attacks.map { key(.test, victim, $0, .medium) } }
    return train + test + unseen + others
  }

  public static func file(of key: PairCell.Key, in folder: URL) -> URL {
    folder.appending(path: "cells", directoryHint: .isDirectory).appending(path: "\(key.name).safetensors")
  }

  /// Makes the cells that `folder` lacks.
  /// - Parameters:
  ///   - train: Images of the training file.
  ///   - test: Images of the test file.
  ///   - folder: Gets a folder `cells`.
  /// - Returns: A row a cell: pairs and success rates.
  /// - Throws: `InputError` if victims do not fit the images or get too few of them right; `Interrupted` when the user
  ///   asked to leave.
  public func build(train: ImageDataset, test: ImageDataset, in folder: URL) throws -> [CellRate] {
    let names = (victims + unseenVictims).map(\.name)
    guard !victims.isEmpty, Set(names).count == names.count else {
      throw InputError("victims need names of their own", at: "victim", found: names.joined(separator: ", "))
    }
    try FileManager.default.createDirectory(
      at: folder.appending(path: "cells"), withIntermediateDirectories: true)
    let sources: [PairCell.Key.Part: (ImageDataset, [Int])] = [
      .train: (train, try self.sources(train, count: trainPairs, victims, "training")),
      .test: (test, try self.sources(test, count: testPairs, victims + unseenVictims, "test"))
    ]
    var line = ProgressLine("Attacking", total: keys.count, unit: "cells", style: progress)
    var rows: [CellRate] = []
    for (index, key) in keys.enumerated() {
      let url = Self.file(of: key, in: folder)
      let cell: PairCell
      if FileManager.default.fileExists(atPath: url.path) {
        cell = try PairCell(contentsOf: url)
      } else {
        if world.sum([Interruption.isRequested ? 1 : 0])[0] > 0 { throw Interrupted(folder: folder) }
        guard let (dataset, indices) = sources[key.part],
          let victim = (victims + unseenVictims).first(where: { $0.name == key.victim })
        else { continue }
        cell = try make(key, victim, dataset, indices)
        try cell.write(to: url)
      }
      rows.append(CellRate(cell))
      line.update(index + 1, note: key.name)
    }
    line.finish()
    return rows
  }

  /// The first images, in an order drawn from the seed, that every victim classifies right.
  private func sources(
    _ dataset: ImageDataset, count: Int, _ victims: [Victim], _ kind: String
  ) throws(InputError) -> [Int] {
    for victim in victims {
      let architecture = victim.network.architecture
      guard architecture.inputShape == Array(dataset.images.shape.dropFirst()),
        architecture.outputShape == [dataset.classNames.count]
      else {
        throw InputError(
          "the victim does not fit the images", at: victim.name,
          expected: "\(dataset.images.shape.dropFirst()) in \(dataset.classNames.count) classes",
          found: "\(architecture.inputShape) in \(architecture.outputShape)")
      }
    }
    var random = SplitMix64(Generator.derive(seed, "red-sources-\(kind)"))
    let order = (0..<dataset.count).shuffled(using: &random)
    var found: [Int] = []
    for start in stride(from: 0, to: order.count, by: 500) where found.count < count {
      let part = Array(order[start..<min(order.count, start + 500)])
      let chosen = dataset.subset(part)
      let images = PairCell.pixels(chosen.images)
      let right = victims.reduce(chosen.labels.onesLike().to(.bool)) { all, victim in
        all.logicalAnd(victim.answers(images) .== chosen.labels)
      }
      found += zip(part, right.to(.int64).array(Int64.self)).filter { $0.1 != 0 }.map(\.0)
    }
    guard found.count >= count else {
      throw InputError(
        "too few \(kind) images are classified right by all victims", at: dataset.name, expected: "\(count)",
        found: "\(found.count)", remedy: "ask for fewer pairs, or take better victims")
    }
    return Array(found.prefix(count))
  }

  /// Attacks the images of one cell.
  func make(
    _ key: PairCell.Key, _ victim: Victim, _ dataset: ImageDataset, _ indices: [Int]
  ) throws -> PairCell {
    let chosen = dataset.subset(indices)
    let guides = (PairCell.pixels(chosen.images), chosen.labels)
    var evaluator = key.attack.evaluator(key.level, on: victim, guides: guides)
    (evaluator.seed, evaluator.batchSize, evaluator.keepsImages) = (
      Generator.derive(seed, "red-\(key.name)"), batchSize, true
    )
    evaluator.world = world
    evaluator.probes = false  // images are wanted, not a robust accuracy
    let report = try evaluator.run(on: victim.model, AttackData(chosen, indices: indices))
    guard let images = report.images, let rows = report.points.first?.rows else {
      throw InputError("the attack returned no images", at: key.name)
    }
    let adversarial = PairCell.rounded(images)
    let clean = chosen.images.contiguous()
    func answers(_ bytes: Tensor) -> Tensor {
      .concatenated(bytes.split(500).map { victim.answers(PairCell.pixels($0)) })
    }
    let (before, after) = (answers(clean), answers(adversarial))
    return PairCell(
      key: key, clean: clean, adversarial: adversarial, labels: chosen.labels, indices: Tensor(indices),
      before: before, after: after, successUnrounded: Tensor(rows.map { $0.isBroken ? 1 : 0 }),
      success: (before .!= after).to(.int64))
  }
}

/// A data set that was built.
public struct RedDataset {
  public let cells: [PairCell]

  /// Reads every cell of one or several folders: runs of 'quench red build-data'.
  /// - Parameters:
  ///   - folders: At least one.
  ///   - device: Where the cells' tensors go.
  /// - Throws: `InputError` if a folder has none, one is damaged or two folders hold the same.
  public init(contentsOf folders: [URL], on device: Device = .cpu) throws(InputError) {
    var cells: [PairCell] = []
    for folder in folders {
      for cell in try Self.cells(in: folder, on: device) {
        guard !cells.contains(where: { $0.key == cell.key }) else {
          throw InputError(
            "two of the data sets hold the same cell", at: folder.path, found: cell.key.name,
            remedy: "give each cell once")
        }
        guard cells.allSatisfy({ $0.clean.shape.dropFirst() == cell.clean.shape.dropFirst() }) else {
          throw InputError("the cells hold images of several sizes", at: folder.path)
        }
        cells.append(cell)
      }
    }
    self.cells = cells
  }

  private static func cells(in folder: URL, on device: Device) throws(InputError) -> [PairCell] {
    let directory = folder.appending(path: "cells")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
    let files = names.filter { $0.hasSuffix(".safetensors") && !$0.hasPrefix(".") }.sorted()
    guard !files.isEmpty else {
      throw InputError(
        "there is no attack data set here", at: folder.path, remedy: "make one with 'quench red build-data'")
    }
    var cells: [PairCell] = []
    for file in files { cells.append(try PairCell(contentsOf: directory.appending(path: file), on: device)) }
    return cells
  }

  public var train: [PairCell] { cells.filter { $0.key.part == .train } }
  public var test: [PairCell] { cells.filter { $0.key.part == .test } }
  /// `[channels, height, width]`
  public var imageShape: [Int] { Array(cells[0].clean.shape.dropFirst()) }
}
