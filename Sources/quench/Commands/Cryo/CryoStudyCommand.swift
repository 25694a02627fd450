import ArgumentParser
import Foundation
import QuenchCryoLearning
import QuenchReporting
import QuenchSupport

struct CryoStudyCommand: CryoExperimentCommand {
  typealias Work = PolicyStudy

  static let configuration = CommandConfiguration(
    commandName: "study",
    abstract: "Compare all policies, with good, useless and damaged predictions, and tile by tile.",
    discussion: """
      Examples:
        quench cryo study --survey val.csv --predictions val.txt \\
          --train-survey train.csv \\
          --train-predictions train.txt --rule R --out runs/cryo-study
        quench cryo study --survey val.csv --predictions val.txt \\
          --train-survey train.csv --train-predictions train.txt \\
          --dqn readme=runs/a/q-network.safetensors,runs/b/q-network.safetensors

      Planners learn from the training survey alone. Writes summary.json and
      report.html, and a folder for each comparison; --resume leaves those alone that
      are done.
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Learning") var training: TrainingSurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(
    help: ArgumentHelp("Networks of one setting, one a seed: name=file,file; may be repeated.", valueName: "list"))
  var dqn: [String] = []

  @Option(help: ArgumentHelp("Minutes at the microscope, one or several.", valueName: "list"))
  var minutes = "120,240,360,480"

  @Option(help: ArgumentHelp("So many random start holes, or a list with commas.", valueName: "n|list"))
  var starts = "50"

  @OptionGroup(title: "Run") var options: RunOptions
}
