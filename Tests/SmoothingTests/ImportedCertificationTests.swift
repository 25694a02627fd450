import Foundation
import QuenchReporting
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchSmoothing

@Suite("Certification of a network imported from PyTorch") struct ImportedCertificationTests {
  @Test("writes a row for each image") func rows() throws {
    let folder = try TemporaryFolder()
    try folder.write(ExportedSample.rooms(), "network.pt2")
    var experiment = CertifyClassifier()
    (experiment.weights, experiment.precision) = ((folder / "network.pt2").path, .bfloat16)
    (experiment.selection.data, experiment.selection.limit) = (.synthetic, 4)
    (experiment.certification.sigma, experiment.certification.selection) = (0.1, 10)
    experiment.certification.estimation = 60
    try Lab().perform(experiment, in: folder / "run")
    #expect(try CertifiedTable.read(folder / "run/certified.tsv").map(\.index) == [0, 1, 2, 3])
  }
}
