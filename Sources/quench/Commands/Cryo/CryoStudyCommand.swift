import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

struct CryoStudyCommand: ParsableCommand {
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
      report.html.
      """)

  @OptionGroup(title: "Survey") var survey: SurveyOptions
  @OptionGroup(title: "Learning") var training: TrainingSurveyOptions
  @OptionGroup(title: "Rules") var rules: RulesOptions

  @Option(
    help: ArgumentHelp("Networks of one setting, one a seed: name=file,file; may be repeated.", valueName: "list"))
  var dqn: [String] = []

  @Option(help: ArgumentHelp("Minutes at the microscope, one or several.", valueName: "list"))
  var minutes = MinutesArgument([120, 240, 360, 480])

  @Option(help: ArgumentHelp("So many random start holes, or a list with commas.", valueName: "n|list"))
  var starts = "50"

  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    for budget in minutes.values { _ = try rules.rules(budget: budget) }
    guard training.trainSurvey != nil, survey.predictions != nil else {
      throw ValidationError("cryo study needs --predictions, --train-survey and --train-predictions.")
    }
    for item in dqn where !item.contains("=") { throw ValidationError("--dqn must be name=file,file.") }
  }

  func run() throws {
    let device = try options.machine.prepare()
    let url = try options.folder(named: "cryo-study")
    let measured = try CryoData.measured(survey.load(options.output).survey, options.output)
    guard
      let trained = try training.load(
        allowsStrangers: survey.strangers.extraPredictions, threshold: rules.threshold, options.output)
    else { return }
    var networks: [(name: String, networks: [QNetwork])] = []
    var inputs = try survey.inputs()
    inputs.merge(try training.inputs())
    for item in dqn {
      let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
      let files = parts[1].split(separator: ",").map(String.init)
      networks.append((parts[0], try files.map { try QNetwork(contentsOf: URL(filePath: $0)) }))
      for (index, file) in files.enumerated() {
        inputs["dqn-\(parts[0])-\(index + 1)"] = .string(try Fingerprint.sha256(ofFile: URL(filePath: file)))
      }
    }
    let study = CryoStudy(
      survey: measured, training: trained, rules: try rules.rules(budget: minutes.values.max() ?? 0),
      starts: try CryoData.starts(starts, of: measured, seed: options.seedBits), budgets: minutes.values,
      networks: networks, seed: options.seedBits, output: options.output)
    var settings = survey.settings
    for part in [training.settings, rules.settings] { settings.merge(part) }
    settings["dqn"] = .array(dqn.map { .string($0) })
    settings["minutes"] = .array(minutes.values.map { .double($0) })
    settings["starts"] = .string(starts)
    settings["seed"] = .int(options.seed)
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      Interruption.watch()
      return try study.perform(in: folder)
    }
    options.output.printResult(
      summary,
      CryoStudy.tables(summary).map { "\($0.caption)\n\($0.text)" }.joined(separator: "\n\n")
        + "\n\nreport  \(url.appending(path: "report.html").relativePath)")
  }
}
