import Foundation
import QuenchAttacks
import QuenchCryoEM
import QuenchCryoLearning
import QuenchDeception
import QuenchPruning
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchVision

#if HTTP
  import QuenchServer
#endif

/// The experiments that the tool knows, by the kinds that `config.yaml` names.
enum Experiments {
  static let all: [any Experiment.Type] =
    [
      Train.self, AdversarialTrain.self, Evaluate.self, Slim.self, PruneStudy.self, Prune<EarlyBirdPruning>.self,
      RunAttack.self, SweepAttack.self, RunAutoAttack.self, BuildRedData.self, TrainRed.self, EvaluateRed.self,
      CertifyClassifier.self, PredictUnderNoise.self, PretrainDefense.self, TrainDefense.self, EvaluateDefense.self,
      AttackReconstructor.self,
      SimulateSurvey.self, PlanAcquisition.self, EvaluatePolicy.self, ComparePolicies.self, CompareOnTiles.self,
      PolicyStudy.self, TrainDQN.self, CalibratePredictions.self, TrainPredictor.self, Demo.self
    ] + PruneStudy.experiments

  /// What experiments use that their libraries do not have.
  static let services: [any Sendable] = {
    #if HTTP
      [HTTPConnector()]
    #else
      [MissingHTTP()]
    #endif
  }()

  /// The experiment of a kind; nil where there is none.
  static func type(of kind: String?) -> (any Experiment.Type)? { all.first { $0.kind == kind } }

  /// The experiment of a kind that a file names.
  /// - Throws: `InputError` if there is none, or the file names no kind.
  static func known(_ kind: String?, at place: String) throws(InputError) -> any Experiment.Type {
    if let type = type(of: kind) { return type }
    let kinds = all.map { $0.kind }
    throw InputError(
      kind == nil ? "the file says no kind of experiment" : "no such kind of experiment", at: place,
      expected: kinds.sorted().joined(separator: ", "), found: kind.map { "'\($0)'" },
      remedy: kind.flatMap { kinds.nearest(to: $0) }.map { "did you mean '\($0)'?" })
  }
}

extension Experiment {
  /// The page about a run of this kind, and what is amiss with its files.
  static func page(of folder: RunFolder) throws(InputError) -> (report: Report, warnings: [String]) {
    let run = try PerformedRun<Self>(folder)
    return (run.report, run.warnings)
  }
}
