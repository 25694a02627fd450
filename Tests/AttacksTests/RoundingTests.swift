import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import ReferenceModels
import TestSupport
import Testing

@testable import QuenchAttacks

/// An evaluation in a folder, from the start or after a kill that left some lines of its journal.
struct Journalled {
  let report: AttackReport
  let rows: Data

  init(_ evaluator: AttackEvaluator, _ model: AttackedModel, _ data: AttackData, keeping kept: Int?) throws {
    let folder = try TemporaryFolder()
    let record = RunRecord(command: ["test"], settings: [:])
    let run = try RunFolder(at: folder.url.appending(path: "run"), for: record)
    var report = try evaluator.run(on: model, data, in: run)
    if let kept {
      let journal = run.artefact("journal.jsonl")
      let lines = try String(contentsOf: journal, encoding: .utf8).split(separator: "\n")
      try #require(lines.count > kept)
      try Data(lines[..<kept].map { $0 + "\n" }.joined().utf8).write(to: journal)
      report = try evaluator.run(on: model, data, in: run, resumes: true)
    }
    self.report = report
    rows = try Data(contentsOf: run.artefact("rows.csv"))
  }
}

@Suite("Attacks and pictures of 8 bits") struct RoundingTests {
  /// The reference images as pictures.
  private static func pictures() -> Tensor { (Fixture.convolutionalInputs() * 255).rounded().to(.uint8) }

  private static func data(_ model: AttackedModel) throws -> AttackData {
    let pixels = pictures().to(.float32) * (1.0 / 255)
    return try AttackData(images: pictures(), labels: model.score(pixels).argmax(1))
  }

  @Test("rows and summary tell success before and after rounding, as the model judges the rounded images")
  func counts() throws {
    let model = Fixture.convolutional()
    var evaluator = AttackEvaluator([FAB(norm: .l2, epsilon: 0.2)])
    evaluator.keepsImages = true
    let report = try evaluator.run(on: model, Self.data(model))
    let rounded = (try #require(report.images) * 255).rounded() / 255
    let answers = model.predictions(rounded)
    let rows = report.points[0].rows
    let clean = Self.pictures().to(.float32) / 255
    let sizes = (rounded - clean).perSample(.l2).values
    for (row, answer) in zip(rows, answers) where row.isBroken {
      #expect(row.afterRounding == answer && row.isBrokenRounded == (answer != row.label))
      #expect(abs((row.sizeRounded ?? 0) - sizes[row.index]) < 1e-5)
    }
    let (broken, deceiving) = (rows.count { $0.isBroken }, rows.count { $0.isBrokenRounded })
    // Images on the boundary: rounding brings some of them back.
    #expect(broken == 8 && (1..<8).contains(deceiving))
    let outcome = AttackOutcome(report, attack: "x").rounding
    #expect(outcome.broken == broken && outcome.deceiving == deceiving)
    let within = rows.count { $0.isBrokenRounded && ($0.sizeRounded ?? 1) <= 0.2 + 1e-5 }
    #expect(outcome.withinBudget == within)
    let fields = rows[0].csv.split(separator: ",", omittingEmptySubsequences: false)
    #expect(fields.count == AttackRow.header.split(separator: ",").count)
    #expect(fields[14] == "\(answers[0])" && fields[15] == (answers[0] != rows[0].label ? "1" : "0"))
  }

  static let searches: [(AttackName, Norm, Double)] = [
    (.pgd, .linf, 4.0 / 255), (.pgd, .linf, 0.01), (.pgd, .l2, 0.2), (.fgsm, .linf, 4.0 / 255),
    (.apgdDLR, .linf, 3.5 / 255), (.square, .linf, 4.0 / 255), (.square, .l2, 0.3), (.fab, .linf, 4.0 / 255),
    (.fabT, .l2, 0.2), (.deepFool, .l2, 0.3)
  ]

  @Test("a search among pictures finds pictures within the budget, which deceive as they are", arguments: 0..<10)
  func grid(_ index: Int) throws {
    let (name, norm, epsilon) = Self.searches[index]
    let model = Fixture.convolutional()
    var settings = AttackSettings()
    settings.norm = norm
    if name == .square { settings.queries = 200 }
    var evaluator = AttackEvaluator([try settings.make(name, epsilon: PixelBudget(epsilon))])
    (evaluator.staysOnGrid, evaluator.keepsImages) = (true, true)
    let report = try evaluator.run(on: model, Self.data(model))
    let images = try #require(report.images)
    #expect(((images * 255).rounded() / 255 - images).abs().max().item() < 1e-6)
    let rows = report.points[0].rows
    #expect(rows.contains { $0.isBroken } && rows.allSatisfy { $0.isBroken == $0.isBrokenRounded })
    #expect(rows.filter(\.isBroken).allSatisfy { $0.size(norm) <= epsilon + norm.tolerance(epsilon) })
    #expect(report.shares[0].attack == "\(name.rawValue) in 8 bits")
  }

  @Test("a search among pictures needs pictures") func floats() {
    var evaluator = AttackEvaluator([PGD()])
    evaluator.staysOnGrid = true
    let error = inputError { try evaluator.run(on: Fixture.convolutional(), Fixture.convolutionalData()) }
    #expect(error?.description.contains("no pictures of 8 bits") == true)
  }

  @Test(
    "the nearest picture within a budget is the nearest one, where that lies within it", arguments: Norm.allCases)
  func nearest(_ norm: Norm) {
    let generator = Generator(seed: 4)
    let centers = (Tensor.uniform([50, 3, 4, 4], using: generator) * 255).rounded() / 255
    for levels in [0.4, 1.5, 6] {
      let epsilon = levels / 255 * (norm == .linf ? 1 : (norm == .l2 ? 7 : 48))
      let noise = Tensor.normal(centers.shape, using: generator)
      let images = norm.projected(centers + noise, around: centers, radius: epsilon)
      let found = GreyLevels.nearest(images, around: centers, norm, within: epsilon)
      #expect((found * 255 - (found * 255).rounded()).abs().max().item() < 1e-3)
      let size = (found - centers).perSample(norm)
      #expect(size.max().item() <= epsilon + norm.tolerance(epsilon))
      let plain = GreyLevels.rounded(images)
      let fits = (plain - centers).perSample(norm) .<= epsilon
      for place in fits.positions().array(Int64.self).map({ Int($0) }) {
        #expect(found[place].isClose(to: plain[place], absolute: 1e-6))
      }
      #expect((found - images).abs().max().item() <= 1.001 / 255)
    }
  }

  @Test("a sweep hands out what each budget is the smallest to break, and a second attack hands out nothing twice")
  func sweep() throws {
    let model = Fixture.convolutional()
    let budgets = [0.5, 1, 2, 4].map { $0 / 255 }
    for attack in [PGD(), FAB(norm: .linf, epsilon: 4.0 / 255, targets: 9)] as [any Attack] {
      var kept: [(index: Int, epsilon: Double?)] = []
      var evaluator = AttackEvaluator([attack, APGD(.dlr)])
      evaluator.epsilons = budgets
      evaluator.keepBroken = { kept.append(($0.index, $0.epsilon)) }
      let report = try evaluator.run(on: model, Fixture.convolutionalData())
      #expect(Set(kept.map(\.index)).count == kept.count || attack.name == "fab-t")
      for (place, epsilon) in budgets.enumerated() {
        let here = Set(kept.filter { ($0.epsilon ?? 1) <= epsilon }.map(\.index))
        #expect(here == Set(report.points[place].rows.filter(\.isBroken).map(\.index)))
      }
      #expect(Set(kept.compactMap(\.epsilon)).count > 2)
    }
  }
}
