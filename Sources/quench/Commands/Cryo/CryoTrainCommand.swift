import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchCryoLearning
import QuenchReporting
import QuenchSupport

struct CryoTrainCommand: CryoExperimentCommand {
  typealias Work = TrainDQN

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a deep Q network (cryoRL) on a measured survey.",
    discussion: """
      Presets:
        readme     the published README: predictions in training, plain reward
        train-sh   the published train.sh: true CTF in training, dynamic reward,
                   smoothed histograms
        feedback   ours: outcomes and the time left in the state

      Examples:
        quench cryo train --survey train.csv --predictions train.txt \\
          --preset train-sh --out runs/dqn
        quench cryo train --survey train.csv --predictions train.txt \\
          --out runs/dqn --resume
        quench cryo train --survey train.csv --predictions train.txt \\
          --validation-tile 00020 --validation-tile 00021

      Writes q-network.safetensors, the network of the epoch whose episodes on the
      training survey, or on tiles held out of it, earned most, and summary.json,
      metrics.jsonl, config.yaml and report.html. An agent learns its survey by
      heart: held-out tiles tell how many epochs are too many. Ctrl-C leaves a checkpoint; --resume goes on from there and ends
      with the same weights as a run without a break.
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(help: "The settings to begin from: see above.")
  var preset = DQN.Preset.readme

  @Option(
    help: ArgumentHelp(
      "Leave this tile out of the training and choose the epoch by it. Give several.", valueName: "name"))
  var validationTile: [String] = []

  @OptionGroup(title: "Method") var method: DQNOptions

  @OptionGroup(title: "Run") var options: RunOptions
}

/// The settings of the method; those that are not given are the preset's.
struct DQNOptions: ParsableArguments {
  @Option(help: "Epochs of 2,500 steps; the preset's 20 unless given.")
  var epochs: Int?

  @Option(help: "Steps of an epoch, over all environments.")
  var stepsPerEpoch: Int?

  @Option(help: "Adam's learning rate; the preset's unless given.")
  var learningRate: Double?

  @Flag(help: "Split the network into an advantage for each hole and a value for the state.")
  var dueling = false

  @Flag(help: "Sample transitions by their last error.")
  var prioritized = false

  @Option(help: "With --prioritized: the exponent of the errors (alpha).")
  var priorityExponent: Double?

  @Option(help: "With --prioritized: the exponent of the weights that correct for it (beta).")
  var importanceExponent: Double?

  @Option(help: "What a reward loses in a step (gamma).")
  var discount: Double?

  @Option(help: "Rewards in a return before it bootstraps.")
  var returnSteps: Int?

  @Option(help: "Transitions in an update.")
  var batchSize: Int?

  @Option(help: "Transitions that are kept, over all environments.")
  var replaySize: Int?

  @Option(help: "Episodes side by side.")
  var environments: Int?

  @Option(help: "Updates between two copies of the network to the target network.")
  var targetInterval: Int?

  @Option(help: "Share of random choices during the first epoch (epsilon).")
  var initialExplorationRate: Double?

  @Option(help: "The same from the end of the fifth epoch on; linear between.")
  var finalExplorationRate: Double?

  @Option(help: ArgumentHelp("Minutes of a training episode.", valueName: "min"))
  var minutes: Double?

  @Option(help: "Episodes after each epoch, by which the best network is kept.")
  var validationEpisodes: Int?

  @Option(help: "How holes are described: regression, classification, or feedback with outcomes and the time left.")
  var features: FeatureMode.Kind?

  @Flag(inversion: .prefixedNo, help: "Describe holes by predictions in training, not by their true CTF.")
  var trainsOnPredictions: Bool?

  @Option(help: ArgumentHelp("Width of the Gaussian that smooths histograms; 0: none.", valueName: "bins"))
  var smoothing: Double?

  @Flag(inversion: .prefixedNo, help: "Reward holes that nearly reach the threshold, too.")
  var dynamicReward: Bool?

  @Flag(inversion: .prefixedNo, help: "Make bad holes cost more the more of them were visited in a row in a patch.")
  var penalizesBadHoles: Bool?

  @Flag(inversion: .prefixedNo, help: "Give each training episode minutes of its own, from a quarter of them on.")
  var variesBudget: Bool?

  @Option(help: ArgumentHelp("What a good hole earns by the move to it, from hole to grid.", valueName: "list"))
  var rewards: MoveTable?
}

extension FeatureMode.Kind: ExpressibleByArgument {}
extension DQN.Preset: ExpressibleByArgument {}
