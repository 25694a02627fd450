import Foundation
import QuenchAttacks
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchDeception

/// A trained victim of gratings, and what is built on it: made once.
struct Workshop {
  let network: Network
  let victim: Victim
  let train: ImageDataset
  let test: ImageDataset

  init() throws {
    var options = DataOptions()
    (options.synthetic.trainCount, options.synthetic.testCount) = (96, 64)
    (options.synthetic.side, options.synthetic.classes) = (12, 4)
    train = Self.faint(try Datasets.load(.synthetic, split: .train, options: options))
    test = Self.faint(try Datasets.load(.synthetic, split: .test, options: options))
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize, recipe.augmentation, recipe.learningRate) = (8, 32, false, 0.05)
    let architecture = Architecture.smallCNN(input: [3, 12, 12], classes: 4).normalizing(
      mean: [0.5, 0.5, 0.5], standardDeviation: [0.05, 0.05, 0.05])
    network = Network(architecture, seed: 2)
    _ = try TrainingSession().run(
      ClassifierTraining(network, on: train, recipe: recipe, seed: 1, precision: .float32))
    network.isTraining = false
    victim = Victim("v1", network)
  }

  /// Contrasts so low that a few grey levels change the class.
  private static func faint(_ dataset: ImageDataset) -> ImageDataset {
    var copy = dataset
    copy.images = ((dataset.images.to(.float32) - 128) * 0.15 + 128).rounded().to(.uint8)
    return copy
  }

  func builder(_ attacks: [RedAttack] = [.fgsm, .pgd]) -> RedDataBuilder {
    var builder = RedDataBuilder(victims: [victim])
    (builder.trainPairs, builder.testPairs, builder.attacks, builder.unseenAttacks) = (40, 16, attacks, [])
    builder.levels = [.medium]
    return builder
  }
}

@Suite("The attack data set and training on it") struct RedTrainingTests {
  @Test("a build that was killed ends with the same files; images are apart and rounded") func build() throws {
    let shop = try Workshop()
    let (whole, broken) = (try TemporaryFolder(), try TemporaryFolder())
    let rows = try shop.builder().build(train: shop.train, test: shop.test, in: whole.url)
    let keys = shop.builder().keys
    #expect(
      keys.map(\.name) == [
        "train-v1-fgsm-medium", "train-v1-pgd-medium", "test-v1-fgsm-medium", "test-v1-fgsm-out",
        "test-v1-pgd-medium",
        "test-v1-pgd-out"
      ])
    #expect(rows.count == keys.count)
    // What a kill leaves: some cells, and the temporary file of another.
    try FileManager.default.createDirectory(
      at: broken.url.appending(path: "cells"), withIntermediateDirectories: true)
    for key in keys[..<2] {
      try FileManager.default.copyItem(
        at: RedDataBuilder.file(of: key, in: whole.url), to: RedDataBuilder.file(of: key, in: broken.url))
    }
    try Data([1, 2]).write(to: broken.url.appending(path: "cells/.torn.safetensors.tmp"))
    #expect(try shop.builder().build(train: shop.train, test: shop.test, in: broken.url) == rows)
    for key in keys {
      #expect(
        try Data(contentsOf: RedDataBuilder.file(of: key, in: whole.url))
          == Data(contentsOf: RedDataBuilder.file(of: key, in: broken.url)))
    }
    let data = try RedDataset(contentsOf: [broken.url])
    #expect(data.train.count == 2 && data.test.count == 4 && data.imageShape == [3, 12, 12])
    for cell in data.cells {
      let delta = PairCell.pixels(cell.adversarial) - PairCell.pixels(cell.clean)
      let budget = cell.key.level == .out ? 16.0 : 8
      #expect(delta.abs().max().item() <= budget / 255 + 1e-6)
      #expect(cell.before.isEqual(to: cell.labels))
      #expect((cell.after .!= cell.before).to(.int64).isEqual(to: cell.success))
      #expect(cell.indices.isEqual(to: data.cells.first { $0.key.part == cell.key.part }?.indices ?? cell.labels))
    }
  }

  @Test("data sets built apart are taken as one, and a cell that two of them hold is an error") func joined() throws
  {
    let shop = try Workshop()
    let (first, second) = (try TemporaryFolder(), try TemporaryFolder())
    for (attack, folder) in [(RedAttack.fgsm, first), (.pgd, second)] {
      _ = try shop.builder([attack]).build(train: shop.train, test: shop.test, in: folder.url)
    }
    let data = try RedDataset(contentsOf: [first.url, second.url])
    #expect(
      Set(data.cells.map(\.key.attack)) == [.fgsm, .pgd] && Set(data.cells.map(\.key)).count == data.cells.count)
    let twice = #expect(throws: InputError.self) { try RedDataset(contentsOf: [first.url, second.url, first.url]) }
    #expect(twice?.description.contains("two of the data sets hold the same cell") == true)
  }

  @Test("8-bit rounding takes halves to the even level") func rounding() {
    let pixels = Tensor([Float(0.5), 7.6 / 255, 0, 1, 1.2, -0.1])
    #expect(PairCell.rounded(pixels).array(UInt8.self) == [128, 8, 0, 255, 255, 0])
  }

  @Test("too few images that are classified right are an error, and so is a file that is no cell") func errors()
    throws
  {
    let shop = try Workshop()
    var builder = shop.builder()
    builder.trainPairs = 5000
    let folder = try TemporaryFolder()
    #expect(throws: InputError.self) { try builder.build(train: shop.train, test: shop.test, in: folder.url) }
    let none = #expect(throws: InputError.self) { try RedDataset(contentsOf: [folder.url.appending(path: "none")]) }
    #expect(none?.description.contains("there is no attack data set here") == true)
    let cell = folder.url.appending(path: "cells")
    try FileManager.default.createDirectory(at: cell, withIntermediateDirectories: true)
    try Safetensors.write(
      StateDictionary([("x", Tensor.zeros([1]))]), metadata: [:], to: cell.appending(path: "a.safetensors"))
    let bad = #expect(throws: InputError.self) { try RedDataset(contentsOf: [folder.url]) }
    #expect(bad?.description.contains("not a cell of an attack data set") == true)
  }

  private func training(
    _ shop: Workshop, _ cells: [PairCell], _ objective: RedObjective, surrogates: [Victim]? = nil, epochs: Int = 2
  ) throws -> RedTraining {
    var recipe = RedRecipe()
    (recipe.objective, recipe.epochs, recipe.batchSize) = (objective, epochs, 8)
    return try RedTraining(
      DenoiserDesign(depth: 4, width: 8).network(input: [3, 12, 12], seed: 1), on: cells,
      surrogates: surrogates ?? [shop.victim], recipe: recipe, seed: 3, precision: .float32)
  }

  @Test("aligns pairs by the surrogate of their victim's name, and by the first where none has it")
  func surrogates() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let cells = try RedDataset(contentsOf: [folder.url]).train
    let other = Victim("v2", Network(shop.victim.network.architecture, seed: 9))
    func renamed(_ name: String, _ cells: [PairCell]) -> [PairCell] {
      cells.map { cell in
        var copy = cell
        copy.key.victim = name
        return copy
      }
    }
    func trained(_ cells: [PairCell], _ surrogates: [Victim]) throws -> RedTraining {
      let training = try training(shop, cells, .classDiscriminative, surrogates: surrogates)
      for step in 0..<training.stepsPerEpoch { _ = training.step(at: LoaderPosition(epoch: 0, batch: step)) }
      return training
    }
    func equal(_ a: RedTraining, _ b: RedTraining) -> Bool {
      zip(a.network.state, b.network.state).allSatisfy { $0.tensor.isEqual(to: $1.tensor) }
    }
    let alone = try trained(cells, [shop.victim])
    let named = try trained(cells, [other, shop.victim])
    #expect(equal(alone, named) && alone.validate() == named.validate())
    #expect(try equal(alone, trained(renamed("v3", cells), [shop.victim, other])))
    #expect(try !equal(alone, trained(renamed("v2", cells), [shop.victim, other])))
    let mixed = Array(cells[..<1]) + renamed("v2", Array(cells[1...]))
    let both = try trained(mixed, [shop.victim, other])
    #expect(try !equal(both, alone) && !equal(both, trained(mixed, [other])))
    #expect(both.pairs == alone.pairs)
    #expect((alone.stepsPerEpoch - 1...alone.stepsPerEpoch).contains(both.stepsPerEpoch))
  }

  @Test("resumes to the same weights, and keeps the best epoch") func resume() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let cells = try RedDataset(contentsOf: [folder.url]).train
    let whole = try training(shop, cells, .classDiscriminative)
    let (first, second) = (
      try training(shop, cells, .classDiscriminative), try training(shop, cells, .classDiscriminative)
    )
    let steps = whole.stepsPerEpoch
    func run(_ training: RedTraining, _ range: Range<Int>) {
      for step in range {
        _ = training.step(at: LoaderPosition(epoch: step / steps, batch: step % steps))
        if step % steps == steps - 1 { _ = training.validate() }
      }
    }
    run(whole, 0..<2 * steps)
    run(first, 0..<steps + 1)
    try second.restore(first.state, from: "test")
    run(second, steps + 1..<2 * steps)
    for (a, b) in zip(whole.state, second.state) { #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)") }
    #expect(whole.bestScore != nil && whole.validation.allSatisfy { $0.count > 0 })
  }

  @Test("denoising lowers the error, stability raises the alignment, and figures, detection and families come out")
  func learns() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let data = try RedDataset(contentsOf: [folder.url])
    func evaluate(_ objective: RedObjective) throws -> (RedEvaluation, RedEvaluation.GroupFigures) {
      let training = try training(shop, data.train, objective, epochs: 15)
      _ = try TrainingSession().run(training)
      let evaluation = RedEvaluation(
        victims: [shop.victim], seenVictims: ["v1"], denoise: RedTraining.frozen(training.network))
      return (evaluation, try #require(RedEvaluation.groups(try evaluation.cells(data.test))[.seen]))
    }
    let (_, denoising) = try evaluate(.denoisingOnly)
    let (evaluation, stability) = try evaluate(.stability)
    #expect(denoising.means.denoised < denoising.means.perturbed)
    #expect(stability.paBenignCellMean > stability.identityPaBenign + 0.2)
    #expect(denoising.means.denoised < stability.means.denoised)
    #expect(try #require(evaluation.detection(data.test)[.probabilities]).auroc.value > 0.5)
    let family = try OriginClassifier.train(on: data.train, input: .delta, denoise: { $0 }, seed: 1)
    #expect(family.classes == ["fgsm", "pgd"])
    let confusion = family.confusion(on: data.test, input: .delta, denoise: { $0 })
    #expect(confusion.flatMap { $0 }.reduce(0, +) == data.test.reduce(0) { $0 + $1.success.nonzeroCount() })
  }

  @Test("learns from noise on clean images alone where noise is asked for") func gaussian() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let cells = try RedDataset(contentsOf: [folder.url]).train
    // The same clean images beside adversarial ones of another attack.
    let others = cells.map { cell in
      var copy = cell
      copy.adversarial = copy.adversarial.flipped([3])
      return copy
    }
    func trained(_ cells: [PairCell], noise: Double) throws -> Tensor {
      var recipe = RedRecipe()
      (recipe.objective, recipe.noise, recipe.epochs, recipe.batchSize) = (.stability, noise, 1, 8)
      let network = DenoiserDesign(depth: 4, width: 8).network(input: [3, 12, 12], seed: 1)
      let training = try RedTraining(
        network, on: cells, surrogates: [shop.victim], recipe: recipe, seed: 3, precision: .float32)
      for batch in 0..<3 { _ = training.step(at: LoaderPosition(epoch: 0, batch: batch)) }
      return network.parameters[network.prunable[1]].tensor.detached()
    }
    let noisy = try trained(cells, noise: 0.25)
    #expect(try noisy.isEqual(to: trained(others, noise: 0.25)))
    #expect(try !noisy.isEqual(to: trained(cells, noise: 0.5)))
    #expect(try !trained(cells, noise: 0).isEqual(to: trained(others, noise: 0)))
  }

  @Test("tells levels from perturbations, and leaves out attacks that are not trained on") func origins() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    var builder = shop.builder([.fgsm])
    (builder.levels, builder.unseenAttacks) = ([.medium, .strong], [.momentumFGSM])
    _ = try builder.build(train: shop.train, test: shop.test, in: folder.url)
    let data = try RedDataset(contentsOf: [folder.url])
    #expect(OriginClassifier.classes(.level, in: data.train) == ["medium", "strong"])
    #expect(OriginClassifier.classes(.victim, in: data.train) == ["v1"])
    let levels = try OriginClassifier.train(
      on: data.train, telling: .level, input: .delta, denoise: { $0 }, epochs: 20, seed: 1)
    let counts = levels.confusion(on: data.test, input: .delta, denoise: { $0 })
    let known = data.test.filter { $0.key.attack == .fgsm && $0.key.level != .out }
    #expect(counts.flatMap { $0 }.reduce(0, +) == known.reduce(0) { $0 + $1.success.nonzeroCount() })
    #expect(counts[0][0] + counts[1][1] > counts[0][1] + counts[1][0])
    let error = #expect(throws: InputError.self) {
      try OriginClassifier.train(on: data.train, telling: .victim, input: .delta, denoise: { $0 }, seed: 1)
    }
    #expect(error?.description.contains("all pairs are of one victim") == true)
  }

  @Test("clean images are scored once each, and a score's false-positive rate is their share") func calibration()
    throws
  {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let cells = try RedDataset(contentsOf: [folder.url]).test
    let blur: (Tensor) -> Tensor = { $0 * 0.5 + 0.25 }
    let calibration = SuspicionCalibration(of: cells, victim: shop.victim, denoise: blur)
    #expect(calibration.score == .logits && calibration.clean.count == 16 && cells.count == 4)
    // 16 are too few to say how common a suspicion is.
    #expect(calibration.falsePositives(0) == nil && SuspicionCalibration(clean: []).falsePositives(1) == nil)
    let enough = SuspicionCalibration(clean: (1...20).map(Double.init))
    #expect(enough.falsePositives(0) == Accuracy(correct: 20, count: 20))
    #expect(enough.falsePositives(17) == Accuracy(correct: 4, count: 20))
    // None of 20 may still be one of seven.
    let none = try #require(enough.falsePositives(.infinity))
    #expect(none.correct == 0 && none.interval.upperBound > 0.15)
    #expect(try SuspicionCalibration(calibration.value, name: "test") == calibration)
    let error = #expect(throws: InputError.self) { try SuspicionCalibration([1, 2], name: "old.json") }
    #expect(error?.description.contains("old.json") == true)
  }

  @Test("finds where an image speaks for its answer rather than for the denoised one") func discrepancy() throws {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    let pairs = try #require(try RedDataset(contentsOf: [folder.url]).test.map(\.successful).first { $0.count > 0 })
    let (clean, attacked) = (PairCell.pixels(pairs.clean), PairCell.pixels(pairs.adversarial))
    func findings(_ denoise: @escaping (Tensor) -> Tensor) -> [Analyst.Finding] {
      Analyst(denoise: denoise, victim: shop.victim, families: nil, calibration: .init(clean: [])).analyse(attacked)
    }
    for finding in findings({ _ in clean }) {
      let map = try #require(finding.discrepancy)
      #expect(map.shape == [12, 12] && map.abs().max().item() <= 1)
      #expect(finding.label != finding.denoisedLabel)
    }
    #expect(findings { $0 }.allSatisfy { $0.discrepancy == nil })
  }

  @Test(
    "batch norm is recalibrated to the plain mean over batches, whatever its momentum", arguments: [0, 0.1, 0.95, 1]
  )
  func recalibration(_ momentum: Double) {
    let network = DenoiserDesign(depth: 3, width: 4, batchNormMomentum: momentum).network(input: [3, 8, 8], seed: 1)
    let batches = (0..<3).map { Fixture.clean() * (0.3 + 0.2 * Double($0)) }
    let hidden = batches.map { batch -> Tensor in
      let weight = network.parameters.map(\.tensor)
      return batch.conv2d(weight[0], bias: weight[1], padding: 1).relu().conv2d(weight[2], padding: 1)
    }
    network.recalibrateBatchNorm(on: batches)
    let mean = Tensor.stacked(hidden.map { $0.mean([0, 2, 3]) }).mean([0])
    let variance = Tensor.stacked(hidden.map { $0.variance([0, 2, 3]) }).mean([0])
    #expect(network.buffers[0].tensor.isClose(to: mean, absolute: 1e-5))
    #expect(network.buffers[1].tensor.isClose(to: variance, absolute: 1e-5))
    #expect(!network.isTraining)
  }

  @Test("a denoiser without held-out pairs has no figure of them, and keeps its last weights") func unvalidated()
    throws
  {
    let shop = try Workshop()
    let folder = try TemporaryFolder()
    _ = try shop.builder().build(train: shop.train, test: shop.test, in: folder.url)
    var recipe = RedRecipe()
    (recipe.epochs, recipe.batchSize, recipe.validationShare) = (1, 8, 0)
    let training = try RedTraining(
      DenoiserDesign(depth: 3, width: 4).network(input: [3, 12, 12], seed: 1),
      on: RedDataset(contentsOf: [folder.url]).train, surrogates: [shop.victim], recipe: recipe, seed: 3,
      precision: .float32)
    _ = training.step(at: LoaderPosition(epoch: 0, batch: 0))
    #expect(training.validate() == nil && training.bestScore == nil)
    for (a, b) in zip(training.network.state, training.bestNetwork.state) {
      #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)")
    }
  }
}
