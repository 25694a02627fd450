import Foundation
import Smoothing
import Vision

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
