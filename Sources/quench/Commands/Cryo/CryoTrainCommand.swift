import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

struct CryoTrainCommand: ParsableCommand {
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

      Writes q-network.safetensors, the network of the epoch whose episodes on the
      training survey earned most, and summary.json, metrics.jsonl, config.yaml and
      report.html. Ctrl-C leaves a checkpoint; --resume goes on from there and ends
      with the same weights as a run without a break.
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(help: "The settings to begin from: see above.")
  var preset = DQN.Preset.readme

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

  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws { try requireUsage { try method.validate() } }

  var method: DQN {
    var method = DQN(preset)
    method.epochs = epochs ?? method.epochs
    method.stepsPerEpoch = stepsPerEpoch ?? method.stepsPerEpoch
    method.learningRate = learningRate ?? method.learningRate
    method.isDueling = dueling
    method.priorityExponent = prioritized ? 0.6 : nil
    return method
  }

  func run() throws {
    let device = try options.machine.prepare()
    let url = try options.folder(named: "cryo-train")
    let file = try survey.load(options.output)
    guard survey.predictions != nil else { throw ValidationError("cryo train needs --predictions.") }
    let training = DQNRun(
      method: method, survey: file.survey, rules: try rules.rules(budget: method.budget), options: options)
    var settings = survey.settings
    for part in [rules.settings, training.settings] { settings.merge(part) }
    settings["preset"] = .string(preset.rawValue)
    settings["seed"] = .int(options.seed)
    let record = RunRecord.current(settings, inputs: try survey.inputs(), device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      try training.train(in: folder, resumes: options.resume)
    }
    options.output.printResult(
      summary,
      """
      best epoch     \(summary["best_epoch"]?.description ?? "–") of \(method.epochs), \
      mean reward \(NumberText.plain(summary["best_reward"]?.number ?? .nan)) on the training survey
      training       \(Wording.duration(summary["seconds"]?.number)), \
      \(NumberText.plain(summary["seconds_per_epoch"]?.number ?? .nan, digits: 3)) s an epoch, \
      peak \(Wording.count(summary["peak_memory_mb"]?.number)) MB
      weights        \(url.appending(path: DQNRun.weightsFileName).relativePath)
      report         \(url.appending(path: "report.html").relativePath)
      """)
  }
}

extension DQN.Preset: ExpressibleByArgument {}
