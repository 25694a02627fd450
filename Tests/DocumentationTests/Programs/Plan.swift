import Foundation
import QuenchCryoEM

/// Plans two hours at a microscope on a made-up survey, and looks how good the plan was.
func plan() throws -> (good: Int, possible: Int) {
  let past = try SyntheticSurvey().make(seed: 1)  // SurveyFile and PredictionFile read yours
  let survey = try SyntheticSurvey().make(seed: 2)
  let rules = AcquisitionRules(budget: 120)
  let environment = try Environment(survey, rules: rules)

  let planner = try ClosedLoopPlanner(training: past, threshold: rules.threshold)
  let session = environment.run(planner, from: 0).result(budget: rules.budget, rule: rules.rule)
  let best = environment.run(PlanPolicy.oracle(environment), from: 0).result(budget: rules.budget, rule: rules.rule)

  print("\(session.good) good micrographs of \(session.visits) in \(session.minutes) min")
  print("\(best.good) would have been possible for one who knew all outcomes")
  return (session.good, best.good)
}
