import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import TestSupport
import Testing

@testable import QuenchAttacks

@Suite("The evaluator") struct EvaluatorTests {
  /// Does what it is told with the clean images.
  struct Custom: Attack {
    var name = "custom"
    var norm = Norm.linf
    var epsilon: Double? = 0.1
    var settings: Record { [:] }
    var act: (Samples, AttackedModel) -> Tensor

    func bounded(by epsilon: Double) -> Custom { self }
    func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor { act(samples, model) }
  }

  private func evaluate(
    _ model: AttackedModel, _ attack: any Attack = PGD(), data: AttackData? = nil
  ) throws -> AttackReport {
    try AttackEvaluator([attack]).run(on: model, try data ?? Fixture.convolutionalData())
  }

  private func closure(_ forward: @escaping (Tensor) -> Tensor) -> AttackedModel {
    AttackedModel(name: "closure", inputShape: [3, 8, 8], classes: 10, forward: forward)
  }

  @Test("refuses an attack that leaves its budget, the pixel range or the shape") func cheats() {
    let model = Fixture.convolutional()
    let cases: [(String, (Samples) -> Tensor)] = [
      ("left its budget", { ($0.images + 0.2).clamped(to: 0...1) }), ("left the pixel range", { $0.images + 0.9 }),
      ("left the pixel range", { $0.images * .nan }), ("another shape", { $0.images[TensorIndex.all, 0..<1] })
    ]
    for (text, act) in cases {
      let error = inputError { try evaluate(model, Custom { samples, _ in act(samples) }) }
      #expect(error?.description.contains(text) == true, "\(String(describing: error))")
    }
  }

  @Test("in bfloat16 what counts as broken is asked for again in float32, and that is counted") func confirms() {
    let network = Reference.convolutionalNetwork()
    let (coarse, fine) = (AttackedModel(network, precision: .bfloat16), AttackedModel(network))
    let (images, labels) = (Reference.convolutionalInputs(), Tensor(Reference.convolutionalLabels))
    /// Logits and forward passes a sample, for labels that the model misses or meets.
    func answers(_ model: AttackedModel, _ labels: Tensor) -> (logits: [Float], passes: [Int64]) {
      let samples = Samples(images: images, labels: labels, indices: Array(0..<8), seed: 0)
      return (model.logits(images, samples).array(Float.self), samples.ledger.forward.array(Int64.self))
    }
    let wrong = (labels + 1).remainder(10)
    #expect(answers(coarse, wrong).logits == answers(fine, wrong).logits)
    #expect(answers(coarse, wrong).passes == Array(repeating: 2, count: 8))
    #expect(answers(fine, wrong).passes == Array(repeating: 1, count: 8))
    #expect(answers(coarse, labels).logits != answers(fine, labels).logits)
    #expect(answers(coarse, labels).passes == Array(repeating: 1, count: 8))
  }

  @Test("in bfloat16 attacks find what they find in float32, which judges") func coarse() throws {
    let network = Reference.convolutionalNetwork()
    let (coarse, fine) = (AttackedModel(network, precision: .bfloat16), AttackedModel(network))
    let images = Reference.convolutionalInputs()
    #expect(coarse.score(images).array(Float.self) == fine.score(images).array(Float.self))
    for attack in [PGD().bounded(by: 4.0 / 255), APGD(.crossEntropy, epsilon: 4.0 / 255)] as [any Attack] {
      let reports = try [coarse, fine].map { try evaluate($0, attack) }
      #expect(reports.allSatisfy { report in !report.findings.contains { $0.kind == .dynamic } })
      let broken = reports.map { $0.points[0].rows.map(\.isBroken) }
      #expect(zip(broken[0], broken[1]).count { $0 != $1 } <= 1, "\(attack.name): \(broken)")
      #expect(broken[0].contains(true))
    }
  }

  @Test("counts every question, and scores what comes back itself") func counts() throws {
    let model = Fixture.convolutional()
    let attack = Custom { samples, model in
      _ = model.logits(samples.images, samples)
      let half = samples.selecting(Tensor([0, 1]))
      _ = model.gradient(at: half.images, half) { AttackLoss.margin($0, half) }
      return samples.images
    }
    let rows = try evaluate(model, attack).points[0].rows
    #expect(rows.map(\.queries) == [2, 2, 1, 1, 1, 1, 1, 1])
    #expect(rows.map(\.gradients) == [1, 1, 0, 0, 0, 0, 0, 0])
    #expect(rows.allSatisfy { !$0.isBroken && $0.linf == 0 && $0.l0 == 0 })
  }

  @Test("hands out only samples that are right") func wrongFromTheStart() throws {
    let labels = [5, 8, 7, 0, 0, 0, 0, 0]
    let data = try AttackData(images: Fixture.convolutionalInputs(), labels: Tensor(labels))
    let report = try evaluate(Fixture.convolutional(), FGSM(), data: data)
    #expect(report.clean.correct == 4)
    let wrong = report.points[0].rows[4...]
    #expect(wrong.allSatisfy { !$0.isBroken && !$0.isRobust && $0.queries == 0 && $0.linf == 0 })
    #expect(report.points[0].success.count == 4)
  }

  @Test("says when every sample was misclassified before") func nothingToAttack() throws {
    let labels = Fixture.convolutionalLabels.map { ($0 + 1) % 10 }
    let data = try AttackData(images: Fixture.convolutionalInputs(), labels: Tensor(labels))
    let report = try evaluate(Fixture.convolutional(), APGD(), data: data)
    #expect(report.findings.map(\.kind) == [.nothingToAttack])
    #expect(report.robust.correct == 0 && report.shares[0].tried == 0)
  }

  @Test("refuses images outside [0, 1], of another size, and labels out of range") func badData() {
    let images = Fixture.convolutionalInputs()
    let labels = Tensor(Fixture.convolutionalLabels)
    #expect(
      inputError { try AttackData(images: images * 3 - 1, labels: labels) }?.description
        .contains("pixels lie outside [0, 1]") == true)
    #expect(
      inputError { try AttackData(images: images * .nan, labels: labels) }?.description
        .contains("pixels lie outside [0, 1]") == true)
    #expect(
      inputError { try AttackData(images: images, labels: labels - 3) }?.description
        .contains("a label is negative") == true)
    #expect(
      inputError { try AttackData(images: images, labels: labels[..<3]) }?.description
        .contains("do not fit together") == true)
    #expect(
      inputError {
        try evaluate(Fixture.convolutional(), data: AttackData(images: images, labels: labels + labels))
      }?.description.contains("a label is out of range (expected 0 to 9, found 16)") == true)
    #expect(
      inputError {
        try evaluate(
          Fixture.convolutional(), data: AttackData(images: images[TensorIndex.all, 0..<1], labels: labels))
      }?.description.contains("takes other images (expected [3, 8, 8], found [1, 8, 8])") == true)
  }

  @Test("refuses a model that answers NaN, and a negative budget") func badModel() {
    let error = inputError { try evaluate(closure { $0.flattened(from: 1)[TensorIndex.all, ..<10] * .nan }) }
    #expect(error?.description.contains("answers NaN or infinity to 8 of 8 clean images") == true)
    let budget = PixelBudget(-0.1)
    #expect(
      inputError { try AttackSettings().make(.pgd, epsilon: budget) }?.description.contains(
        "a pixel goes from 0 to 1") == true)
    #expect(
      inputError { try PixelBudget(parsing: "-1/255") }?.description.contains("not a perturbation budget") == true)
  }

  @Test("finds answers that look like probabilities, are constant or change from call to call") func suspicious()
    throws
  {
    let cnn = Fixture.convolutionalNetwork()
    func kinds(_ model: AttackedModel) throws -> Set<Finding.Kind> {
      Set(try evaluate(model, FGSM()).findings.map(\.kind))
    }
    #expect(try kinds(closure { cnn($0).softmax(1) }).contains(.probabilities))
    #expect(
      try kinds(closure { $0.flattened(from: 1)[TensorIndex.all, ..<10] * 0 + Tensor(Array(0..<10)) })
        .contains(.constant))
    let generator = Generator(seed: 1)
    #expect(
      try kinds(
        closure { cnn($0 + Tensor.normal($0.shape, standardDeviation: 0.1, using: generator)) }
      ).contains(.randomised))
    #expect(try kinds(Fixture.convolutional()).isEmpty)
  }

  @Test("finds a gradient that is zero, and one that is masked") func masked() throws {
    // Rounding the image cuts the gradient off; the answers still change with it.
    let cnn = Fixture.convolutionalNetwork()
    let model = closure { images in cnn((images * 64).rounded() / 64) }
    let labels = model.score(Fixture.convolutionalInputs()).argmax(1)
    let data = try AttackData(images: Fixture.convolutionalInputs(), labels: labels)
    var square = Square(norm: .linf, epsilon: 16.0 / 255)
    square.queries = 100
    let report = try AttackEvaluator([APGD(.crossEntropy, epsilon: 16.0 / 255), square]).run(on: model, data)
    let kinds = Set(report.findings.map(\.kind))
    #expect(kinds.contains(.zeroGradient) && kinds.contains(.maskedGradient))
    // Who knows of the rounding takes it for the identity, and gets through by gradients.
    let known = AttackedModel(cnn).behind("rounding", knowledge: .identity) { ($0 * 64).rounded() / 64 }
    let informed = try AttackEvaluator([APGD(.crossEntropy, epsilon: 16.0 / 255)]).run(on: known, data)
    #expect(informed.robust.correct < report.shares[0].robustAfter)
    #expect(!informed.findings.contains { $0.kind == .zeroGradient })
  }

  @Test("averages gradients over passes of a randomised model") func expectation() {
    let cnn = Fixture.convolutionalNetwork()
    let generator = Generator(seed: 3)
    let noisy = closure { cnn($0 + Tensor.normal($0.shape, standardDeviation: 0.3, using: generator)) }
    let samples = Fixture.convolutionalSamples()
    func spread() -> Double {
      let gradients = (0..<6).map { _ in
        noisy.gradient(at: samples.images, samples) { AttackLoss.crossEntropy($0, samples) }.gradient
      }
      return Tensor.stacked(gradients).standardDeviation([0]).mean().item()
    }
    let single = spread()
    noisy.gradientSamples = 20
    #expect(spread() < single / 3)
    #expect(samples.ledger.forward[0].integerItem() == 6 + 6 * 20)
  }

  @Test("judges a randomised model by the mean of several passes, not by a lucky one") func judgements() throws {
    // Right with a probability of 0.7 a pass, whatever the image is: no attack can do anything to it.
    let generator = Generator(seed: 4)
    let model = closure { images in
      let wins = Tensor.uniform([images.size(0), 1], using: generator) .< 0.7
      let first = images.sumPerSample().unsqueezed(1) * 1e-6 + 8
      let margin = (first * (wins.to(.float32) * 2 - 1))
      return .concatenated([margin, -margin] + (0..<8).map { _ in margin * 0 - 20 }, 1)
    }
    let data = try AttackData(
      images: Fixture.convolutionalInputs(), labels: Tensor([Int](repeating: 0, count: 8)))
    var evaluator = AttackEvaluator([FGSM()])
    evaluator.judgements = 1
    let lucky = try evaluator.run(on: model, data)
    #expect(lucky.robust.correct < 8)
    evaluator.judgements = 101
    let judged = try evaluator.run(on: model, data)
    #expect(judged.clean.correct == 8 && judged.robust.correct == 8)
    evaluator.judgements = nil
    let loss = try #require(try evaluator.run(on: model, data).points[0].rows.first?.loss)
    // The mean over 20 passes of probabilities that are nearly 0 or 1 is a twentieth's multiple.
    let share = exp(-loss) * 20
    #expect(share > 0.5 && share < 19.5 && abs(share - share.rounded()) < 0.05)
  }

  @Test("judges a transferred attack on the model that it was not made on") func transfer() throws {
    let target = Fixture.convolutional()
    let source = Fixture.convolutionalNetwork()
    withoutGradient { source.parameters[4].tensor += Fixture.fill([10, 96], 13, 7, 31, 320) }
    let attack = Transfer(FGSM(), from: AttackedModel(source))
    let rows = try evaluate(target, attack).points[0].rows
    let images = FGSM().perturb(Fixture.convolutionalSamples(), on: AttackedModel(source))
    #expect(rows.map(\.after) == target.predictions(images))
  }

  @Test("draws a curve that never rises, with one run of a minimal attack for all budgets") func sweep() throws {
    let model = Fixture.linear()
    let smallest = try [AttackName.fab, .deepFool].map { try AttackSettings().make($0, smallest: true) }
    for attack in [PGD()] + smallest as [any Attack] {
      var evaluator = AttackEvaluator([attack])
      evaluator.epsilons = [0, 0.02, 0.1, 0.21, 0.5]
      let report = try evaluator.run(on: model, Fixture.linearData())
      #expect(!report.findings.contains { $0.kind == .emptyBudget })
      let curve = report.points.map(\.robust.correct)
      #expect(curve == curve.sorted(by: >) && curve.first == 3 && curve.last == 0)
      #expect(report.shares.count == (attack.isBounded ? 5 : 1))
      if attack.name == "fab" { #expect(curve == [3, 3, 1, 0, 0]) }
    }
  }

  @Test("goes on after a kill to the same rows, byte for byte", arguments: [0, 1, 2, 3]) func resume(_ kept: Int)
    throws
  {
    let model = Fixture.convolutional()
    var attack = AutoAttack(.standard, epsilon: 2.0 / 255)
    (attack.queries, attack.steps, attack.targets) = (20, 6, 3)
    var evaluator = AttackEvaluator(attack, for: model)
    evaluator.batchSize = 3
    let record = RunRecord(command: ["test"], settings: [:])
    let folder = try TemporaryFolder()
    let whole = try RunFolder(at: folder.url.appending(path: "whole"), for: record)
    let expected = try evaluator.run(on: model, Fixture.convolutionalData(), in: whole)
    let broken = try RunFolder(at: folder.url.appending(path: "broken"), for: record)
    // What a kill leaves: some whole lines of the journal and a torn one, and rows that are behind.
    let journal = try String(contentsOf: whole.artefact("journal.jsonl"), encoding: .utf8).split(separator: "\n")
    #expect(journal.count > kept)
    let torn = journal[..<kept].map { $0 + "\n" }.joined() + journal[kept].prefix(40)
    try Data(torn.utf8).write(to: broken.artefact("journal.jsonl"))
    try Data("index,label\n1".utf8).write(to: broken.artefact("rows.csv"))
    let found = try evaluator.run(on: model, Fixture.convolutionalData(), in: broken, resumes: true)
    #expect(found.points[0].rows == expected.points[0].rows)
    #expect(
      try Data(contentsOf: broken.artefact("rows.csv")) == Data(contentsOf: whole.artefact("rows.csv")))
    let lines = try String(contentsOf: whole.artefact("rows.csv"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 9 && lines[0] == Substring(AttackRow.header) && lines[4].hasPrefix("3,0,2/255,0,"))
  }

  @Test("a damaged line of the journal costs the batches from there on, which is said") func damagedJournal() throws
  {
    let (model, data) = (Fixture.convolutional(), try Fixture.convolutionalData())
    var evaluator = AttackEvaluator([FGSM()])
    evaluator.batchSize = 2
    let folder = try TemporaryFolder()
    let run = try RunFolder(at: folder.url.appending(path: "run"), for: RunRecord(command: [], settings: [:]))
    _ = try evaluator.run(on: model, data, in: run)
    let (journal, rows) = (run.artefact("journal.jsonl"), try Data(contentsOf: run.artefact("rows.csv")))
    var lines = try String(contentsOf: journal, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(lines.count > 2)
    lines[1] = String(repeating: "\0", count: lines[1].utf8.count)
    try Data(lines.map { $0 + "\n" }.joined().utf8).write(to: journal)
    var warnings: [String] = []
    evaluator.warn = { warnings.append($0) }
    _ = try evaluator.run(on: model, data, in: run, resumes: true)
    #expect(try Data(contentsOf: run.artefact("rows.csv")) == rows)
    #expect(warnings.count == 2 && warnings[0].contains("line 2 is damaged"))
    #expect(warnings.last?.hasSuffix("the batches from line 2 on are attacked again") == true)
  }

  @Test("refuses a journal of other samples") func foreignJournal() throws {
    let folder = try TemporaryFolder()
    let run = try RunFolder(at: folder.url.appending(path: "run"), for: RunRecord(command: [], settings: [:]))
    let (model, data) = (Fixture.convolutional(), try Fixture.convolutionalData())
    _ = try AttackEvaluator([FGSM()]).run(on: model, data, in: run)
    let error = inputError { try AttackEvaluator([PGD()]).run(on: model, data, in: run, resumes: true) }
    #expect(error?.description.contains("the journal does not belong to this run") == true)
  }

  @Test("budgets are read and written as fractions of 255") func budgets() throws {
    #expect(try PixelBudget(parsing: "8/255").value == 8.0 / 255)
    #expect(try PixelBudget(parsing: "0.5").value == 0.5)
    #expect("\(PixelBudget(8.0 / 255))" == "8/255" && "\(PixelBudget(0.5))" == "0.5")
    for text in ["8", "2/0", "a/255", "1/2/3", "", "nan", "inf"] {
      if let budget = try? PixelBudget(parsing: text) {
        #expect(
          inputError { try budget.validate(for: .linf, at: "--epsilon") }?.description
            .contains("did you mean 8/255, which is 0.0314?") == true)
      } else {
        #expect(text != "8")
      }
    }
  }

  @Test("refuses budgets that were meant in 255ths, in every norm") func nonsense() throws {
    func message(_ value: Double, _ norm: Norm, pixels: Int? = nil) -> String? {
      inputError { try PixelBudget(value).validate(for: norm, at: "--epsilon", pixels: pixels) }?.description
    }
    #expect(
      message(128, .l2)
        == "--epsilon: budgets and steps are in units in which a pixel goes from 0 to 1 (expected 0 to 16 in l2, found 128.0); "
        + "did you mean 128/255, which is 0.502?")
    // Half of the way from black to white of 192 values: within it every image can be made the same grey.
    #expect(message(8, .l2, pixels: 192)?.contains("0 to 6.928 in l2") == true)
    #expect(message(128, .l1, pixels: 192)?.contains("0 to 96 in l1") == true)
    for (value, norm) in [(3.0, Norm.l2), (12, .l1), (1, .linf)] {
      #expect(throws: Never.self) { try PixelBudget(value).validate(for: norm, at: "--epsilon", pixels: 3072) }
    }
    let report = inputError {
      var evaluator = AttackEvaluator([PGD()])
      evaluator.epsilons = [0.1, 2]
      return try evaluator.run(on: Fixture.convolutional(), Fixture.convolutionalData())
    }
    #expect(report?.description.contains("0 to 1 in linf") == true)
  }

  @Test("aims at the class that it is told to", arguments: TargetPicker.allCases) func aims(_ picker: TargetPicker)
    throws
  {
    let model = Fixture.convolutional()
    var evaluator = AttackEvaluator([PGD().bounded(by: 0.2)])
    evaluator.aim = picker
    let report = try evaluator.run(on: model, Fixture.convolutionalData())
    let logits = model.score(Fixture.convolutionalInputs())
    let targets = picker.targets(
      logits, labels: Tensor(Fixture.convolutionalLabels), indices: Array(0..<8), seed: evaluator.seed)
    for (row, target) in zip(report.points[0].rows, targets.flags) {
      #expect(target != row.label && (0..<10).contains(target))
      #expect(row.isBroken == (row.after == target))
    }
    #expect(report.points[0].rows.contains { $0.isBroken })
    evaluator.attacks = [DeepFool()]
    #expect(
      inputError { try evaluator.run(on: model, Fixture.convolutionalData()) }?.description
        .contains("cannot aim at a class") == true)
  }
}
