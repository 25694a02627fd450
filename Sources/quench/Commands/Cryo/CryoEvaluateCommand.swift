import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchCryoLearning
import QuenchReporting
import QuenchSupport

struct CryoEvaluateCommand: CryoExperimentCommand {
  typealias Work = EvaluatePolicy

  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Let a policy collect from a measured survey, from many start holes.",
    discussion: """
      Policies:
        random, serial            without looking at anything
        predict-rank              best prediction first
        greedy-patch, greedy-tile predicted-good holes, patch by patch
        snowball                  stays where outcomes are good
        dqn   a network of 'quench cryo train', named by --weights
        tree-dp                   the best plan by calibrated predictions
        closed-loop               the same, planned anew after each outcome
        oracle                    the exact best, which knows the truth

      Examples:
        quench cryo evaluate --survey val.csv --predictions val.txt \\
          --policy tree-dp \\
          --train-survey train.csv --train-predictions train.txt --minutes 120,240,480
        quench cryo evaluate --survey val.csv --policy snowball \\
          --starts 0,1000,2000 --rule R

      Writes episodes.csv with a row for each start and budget, summary.json,
      config.yaml and report.html.
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Learning") var training: TrainingSurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions
  @OptionGroup(title: "Policy") var policy: PolicyOptions

  @Option(help: ArgumentHelp("Minutes at the microscope, one or several.", valueName: "list"))
  var minutes = "120,240,360,480"

  @Option(
    help: ArgumentHelp(
      "So many start holes drawn at random, or a list of indices or names with commas.", valueName: "n|list"))
  var starts = "50"

  @OptionGroup(title: "Run") var options: RunOptions
}

/// Which policy acts, and what it is made from.
struct PolicyOptions: ParsableArguments {
  @Option(help: "The policy: see above.")
  var policy = PolicyName.closedLoop

  @Option(help: ArgumentHelp("The network of the policy dqn.", valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: "How tree-dp makes probabilities of predictions: auto, logistic, isotonic, scores or hard.")
  var calibration = CalibrationName.automatic

  @Option(help: ArgumentHelp("Exposures between two plans of closed-loop.", valueName: "n"))
  var replan = 1
}

extension PolicyName: ExpressibleByArgument {}
