import Foundation
import QuenchAttacks
import QuenchVision

/// Attacks the network of a file.
func attack(_ weights: URL) throws -> AttackReport {
  let test = try Datasets.load(.synthetic, split: .test).prefix(20)
  let model = AttackedModel(try ModelFile(contentsOf: weights).network)

  var pgd = PGD()
  pgd.budget = 16.0 / 255
  pgd.stepSize = 2.0 / 255
  let report = try AttackEvaluator([pgd]).run(on: model, AttackData(test))

  print("clean \(report.clean.fraction), robust \(report.robust.fraction)")
  print("95 %: \(report.robust.interval) of \(report.robust.count) images")
  for finding in report.findings { print("doubtful:", finding.message) }
  return report
}
