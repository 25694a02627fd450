import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchVision

/// Certifies the network of a file under noise.
func certify(_ weights: URL) throws -> (certified: Int, of: Int) {
  let test = try Datasets.load(.synthetic, split: .test).prefix(10)
  let labels = test.labels.array(Int64.self)
  let plan = InferencePlan(try ModelFile(contentsOf: weights).network)

  let certify = try Certify(radii: [0, 0.1, 0.2], atMost: 500, sigma: 0.25)
  var certified = 0
  try CertificationRun(certify, seed: 1)(0..<test.count, of: test, classify: plan.callAsFunction) { result in
    let certificate = result.attempt.certificate
    print("image \(result.index): \(certificate), \(result.attempt.queries) noisy copies")
    if certificate.label == Int(labels[result.index]), certificate.radius >= 0.1 { certified += 1 }
  }
  print("certified at 0.1: \(certified) of \(test.count)")
  return (certified, test.count)
}

/// Certifies the network of a file in a run folder.
func certify(_ weights: URL, in folder: URL) throws -> CertificationFigures? {
  var experiment = CertifyClassifier()
  experiment.weights = weights.path
  experiment.selection.data = .synthetic
  experiment.selection.limit = 10
  experiment.certification.radii = [0, 0.1, 0.2]
  experiment.certification.estimation = 500
  let run = try Lab().perform(experiment, in: folder)
  print(run.text)
  return run.outcome?.figures
}
