import Foundation
import QuenchAttacks
import QuenchCryoEM
import QuenchCryoLearning
import QuenchCryoSession
import QuenchDeception
import QuenchExport
import QuenchPruning
import QuenchReporting
import QuenchServer
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A pruning study, a denoiser's evaluation, a certification and a cryo-EM study, each in a folder of its own.
func performExperiments(in runs: URL) throws -> (
  pruning: PruneStudy.Outcome?, red: EvaluateRed.Outcome?, certified: CertifyClassifier.Outcome?,
  cryo: PolicyStudy.Outcome?
) {
  let lab = Lab()
  var study = PruneStudy()
  (study.methods, study.keep, study.model) = (["bip", "omp"], [0.3, 0.1], .smallCNN)
  (study.denseEpochs, study.epochs, study.rewindEpoch) = (8, 1, 0)
  (study.learning.selection.data, study.learning.selection.trainLimit) = (.synthetic, 256)
  let pruning = try lab.perform(study, in: runs.appending(path: "study"))
  print(pruning.text)

  let weights = runs.appending(path: "study/dense_1/model.safetensors").path
  var pairs = BuildRedData()
  (pairs.attacks, pairs.unseenAttacks, pairs.trainPairs, pairs.testPairs) = ([.fgsm, .pgd], [.deepFool], 32, 16)
  (pairs.victims.victim, pairs.selection.data) = ([NamedWeights("box", weights)], .synthetic)
  let built = try lab.perform(pairs, in: runs.appending(path: "pairs"))
  var training = TrainRed()
  (training.pairs, training.surrogate) = ([built.folder.url.path], pairs.victims.victim)
  (training.design.depth, training.design.width, training.recipe.epochs) = (4, 8, 1)
  let denoiser = try lab.perform(training, in: runs.appending(path: "denoiser"))
  var evaluation = EvaluateRed()
  (evaluation.denoiserRun, evaluation.pairs) = (denoiser.folder.url.path, training.pairs)
  evaluation.victims = pairs.victims
  let red = try lab.perform(evaluation, in: runs.appending(path: "red"))
  print(red.text)

  var certification = CertifyClassifier()
  (certification.weights, certification.selection.data) = (weights, .synthetic)
  (certification.selection.limit, certification.certification.estimation) = (10, 500)
  let certified = try lab.perform(certification, in: runs.appending(path: "certified"))
  print(certified.text)

  var survey = SimulateSurvey()
  (survey.method.tiles, survey.method.squares, survey.method.patches, survey.method.holes) = (2, 2, 3, 6)
  for (name, seed) in [("past", 1), ("grid", 2)] {
    survey.seed = seed
    try lab.perform(survey, in: runs.appending(path: name))
  }
  func file(_ path: String) -> String { runs.appending(path: path).path }
  var plans = PolicyStudy()
  plans.trials.source = SurveySelection(file("grid/survey.csv"), predictions: file("grid/predictions.txt"))
  plans.trials.training = TrainingSurvey(file("past/survey.csv"), predictions: file("past/predictions.txt"))
  (plans.trials.minutes, plans.trials.starts) = ([60], "3")
  let cryo = try lab.perform(plans, in: runs.appending(path: "plans"))
  print(cryo.text)
  return (pruning.outcome, red.outcome, certified.outcome, cryo.outcome)
}
