import ArgumentParser
import CryoEM
import Foundation
import Reporting
import Support
import Torch
import Vision

struct CryoEvaluateCommand: ParsableCommand {
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
  var minutes = MinutesArgument([120, 240, 360, 480])

  @Option(
    help: ArgumentHelp(
      "So many start holes drawn at random, or a list of indices or names with commas.", valueName: "n|list"))
  var starts = "50"

  @OptionGroup(title: "Run") var options: RunOptions

  func validate() throws {
    for budget in minutes.values { _ = try rules.rules(budget: budget) }
  }

  func run() throws {
    let device = try options.machine.prepare()
    let url = try options.folder(named: "cryo-evaluate")
    let file = try survey.load(options.output)
    let measured = try CryoData.measured(file.survey, options.output)
    let starts = try CryoData.starts(starts, of: measured, seed: options.seedBits)
    let maker = try policy.maker(
      training: training.load(
        allowsStrangers: survey.strangers.extraPredictions, threshold: rules.threshold, options.output),
      seed: options.seedBits)
    let environment = try Environment(measured, rules: rules.rules(budget: minutes.values.max() ?? 0))
    let run = CryoEvaluationRun(
      name: policy.policy, maker: maker, environment: environment, starts: starts, budgets: minutes.values,
      output: options.output)

    var settings = survey.settings
    for part in [training.settings, rules.settings, policy.settings] { settings.merge(part) }
    settings["minutes"] = .array(minutes.values.map { .double($0) })
    settings["starts"] = .string(self.starts)
    settings["seed"] = .int(options.seed)
    var inputs = try survey.inputs()
    for part in [try training.inputs(), try policy.inputs()] { inputs.merge(part) }
    let record = RunRecord.current(settings, inputs: inputs, device: device)
    let summary = try Run(at: url, record, resumes: options.resume, options.output).perform { folder in
      Interruption.watch()
      return try run.evaluate(in: folder)
    }
    options.output.printResult(summary, Self.text(summary, minutes.values, url))
  }

  private static func text(_ summary: Record, _ budgets: [Double], _ url: URL) -> String {
    let table = Table(
      "",
      columns: [
        .number("min"), .number("good"), .number("± sd"), .number("95 %"), .number("exposures"), .number("oracle")
      ],
      rows: budgets.map { budget in
        let key = "budgets.\(NumberText.plain(budget, digits: 12))"
        func text(_ name: String) -> String { CryoReport.text(summary["\(key).\(name)"]?.number) }
        return [
          "\(NumberText.plain(budget))", "\(text("good_mean"))", "\(text("good_sd"))",
          "\(text("good_low")) to \(text("good_high"))", "\(text("visits_mean"))", "\(text("oracle_mean"))"
        ]
      })
    return """
      \(table.text)
      rows    \(url.appending(path: CryoEvaluationRun.episodesFileName).relativePath)
      report  \(url.appending(path: "report.html").relativePath)
      """
  }
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

  func validate() throws {
    guard replan >= 1 else { throw ValidationError("--replan must be at least 1.") }
    guard policy != .dqn || weights != nil else { throw ValidationError("--policy dqn needs --weights.") }
  }

  func maker(training: Survey?, seed: UInt64) throws(InputError) -> PolicyMaker {
    var maker = PolicyMaker(training: training)
    maker.calibration = calibration
    maker.interval = replan
    maker.seed = seed
    if let weights { maker.network = try QNetwork(contentsOf: URL(filePath: weights)) }
    return maker
  }

  var settings: Record {
    var settings: Record = [
      "policy": .string(policy.rawValue), "calibration": .string(calibration.rawValue), "replan": .int(replan)
    ]
    settings["weights"] = weights.map { .string($0) }
    return settings
  }

  func inputs() throws(InputError) -> Record { try Fingerprint.inputs(["weights": weights]) }
}

extension PolicyName: ExpressibleByArgument {}
extension CalibrationName: ExpressibleByArgument {}
