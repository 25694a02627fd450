import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchAttacks

@Suite("Attacks on a network imported from PyTorch") struct ImportedAttackTests {
  @Test("lower its accuracy, in float32 whatever is asked for, and find its features", arguments: ["pgd", "square"])
  func attack(_ name: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(ExportedSample.rooms(), "network.pt2")
    let work = try RunAttack(
      settings: [
        "attack": .string(name), "weights": .string((folder / "network.pt2").path), "data": "synthetic",
        "limit": 20,
        "precision": "bfloat16"
      ], name: "x")
    let outcome = try #require(try Lab().perform(work, in: folder / "run").outcome)
    let robust = try #require(outcome.robustAccuracy)
    #expect(outcome.n == 20 && robust.value <= outcome.cleanAccuracy)
    let network = try ModelFile(contentsOf: folder / "network.pt2").network
    #expect(network.penultimateFeatures(of: .zeros([2, 3, 32, 32])).shape == [2, 8])
  }

  @Test("are trained against") func training() throws {
    let folder = try TemporaryFolder()
    try folder.write(ExportedSample.rooms(), "network.pt2")
    let work = try AdversarialTrain(
      settings: [
        "initial": .string((folder / "network.pt2").path), "data": "synthetic", "train-limit": 32, "limit": 20,
        "epochs": 1, "batch-size": 16, "precision": "float32"
      ], name: "x")
    #expect(try #require(try Lab().perform(work, in: folder / "run").outcome).n == 20)
  }
}
