import CryoFixtures
import Foundation
import QuenchReporting
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchCryoEM

@Suite("A plan as an experiment") struct PlanExperimentTests {
  @Test("a plan's sums agree with its rows, and odd costs may fall short by so much") func plans() throws {
    let files = try SurveyFiles(seeds: 5, 6)
    var experiment = PlanAcquisition()
    (experiment.source, experiment.training) = (files.source(5), files.training(6))
    (experiment.start, experiment.minutes) = ("3", 25)
    experiment.ignoreMeasured = true
    let run = try Lab().perform(experiment, in: files.folder / "plan")
    let outcome = try #require(run.outcome)
    let lines = try String(contentsOf: run.folder.artefact("plan.csv"), encoding: .utf8).split(separator: "\n")
    let last = try #require(lines.last).split(separator: ",")
    #expect(lines.count == 1 + outcome.exposures && outcome.minutes <= 25)
    #expect(Double(last[9]) == outcome.minutes && outcome.possiblyBetterBy == 0)
    #expect(abs((Double(last[10]) ?? 0) - outcome.expectedGood) < 1e-3)
    #expect(outcome.calibration == "learned from the training survey")
    #expect(try PlanFile(contentsOf: run.folder.artefact("plan.csv")).entries.count == outcome.exposures)

    experiment.rules.costs = MoveTable(0.0712345, 1.03, 2.5, 3.33333)
    experiment.minutes = 9
    let odd = try Lab().perform(experiment, in: files.folder / "odd")
    #expect(try #require(odd.outcome?.possiblyBetterBy) < 0.5)
    experiment.stageSpeed = 100
    // The synthetic survey has no stage positions.
    #expect(throws: InputError.self) { try Lab().perform(experiment, in: files.folder / "stage") }
  }
}
