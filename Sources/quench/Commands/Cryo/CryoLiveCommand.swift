import ArgumentParser
import CryoEM
import CryoSession
import Foundation
import Reporting
import Support
import Vision

struct CryoLiveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "live",
    abstract: "Plan while data are collected: take outcomes as they come and plan anew.",
    discussion: """
      Examples:
        quench cryo live --survey survey.csv --predictions predictions.txt \\
          --train-survey train.csv --train-predictions train.txt \\
          --start HOLE --budget 480 --watch micrographs_ctf.star --plan plan.csv
        quench cryo live   goes on with the session in session.sqlite
        quench cryo live --survey val.csv --predictions val.txt \\
          --train-survey train.csv \\
          --train-predictions train.txt --replay timestamps.csv --speed 1000

      Everything is noted in one SQLite file, --log, before it counts: whatever ends
      this command, the same command goes on with the same plan. Measurements come
      from watched CTFFIND or STAR files, or from 'quench cryo record'. --plan is the
      order of the holes that are left, written anew after each change; 'quench cryo
      export' carries it to SerialEM.

      The dashboard needs quench-server beside this program:
        swift build -c release --product quench-server
      """)

  @Option(
    help: ArgumentHelp("The session's file; begun if it is not there.", valueName: "sqlite"), completion: .file())
  var log = "session.sqlite"

  @Option(help: ArgumentHelp("The holes, to begin a session.", valueName: "csv"), completion: .file())
  var survey: String?

  @Option(help: ArgumentHelp("What was predicted for them.", valueName: "txt"), completion: .file())
  var predictions: String?

  @OptionGroup(title: "Calibration") var training: TrainingSurveyOptions

  @Option(help: ArgumentHelp("Where the microscope stands: a hole's name.", valueName: "hole"))
  var start: String?

  @Option(help: ArgumentHelp("Å up to which a micrograph is good.", valueName: "Å"))
  var threshold = AcquisitionRules().threshold

  @Option(
    help: ArgumentHelp(
      "Minutes to a hole of the same patch, square, tile, and to another tile; a fifth number is for another grid.",
      valueName: "list"))
  var costs = CostsArgument(.headMinutes)

  @Option(help: ArgumentHelp("Minutes at the microscope.", valueName: "minutes"))
  var budget = AcquisitionRules().budget

  @Option(
    help: ArgumentHelp(
      "CTFFIND or STAR file, or folder of them, to take measurements from; may be repeated.",
      valueName: "path"), completion: .file())
  var watch: [String] = []

  @Option(
    help: ArgumentHelp("Replay an earlier session: the time stamps of its images.", valueName: "csv"),
    completion: .file())
  var replay: String?

  @Option(help: "How many times faster the replay goes.")
  var speed = 1000.0

  @Option(help: ArgumentHelp("Shorten longer breaks of the replay to this.", valueName: "minutes"))
  var longestGap: Double?

  @Option(help: ArgumentHelp("Write the plan here after each change.", valueName: "csv"), completion: .file())
  var plan: String?

  @Option(help: ArgumentHelp("Port of the dashboard on this machine; 0: none.", valueName: "port"))
  var port = 8731

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (survey == nil) == (predictions == nil) else {
      throw ValidationError("--survey and --predictions go together.")
    }
    guard speed > 0, speed.isFinite else { throw ValidationError("--speed must be above 0.") }
    guard longestGap ?? 1 > 0 else { throw ValidationError("--longest-gap must be above 0.") }
    guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
    try requireUsage { try rules.validate() }
  }

  func run() throws {
    Interruption.watch()
    let url = URL(filePath: log)
    let given = try survey.map { try SurveyOptions.load($0, predictions, allowsStrangers: false).survey }
    let replay = try self.replay.map { path in
      guard let given else {
        throw InputError("a replay needs the survey with its measurements", at: "--replay", remedy: "give --survey")
      }
      return try SessionReplay(
        given, stamps: TimestampFile(contentsOf: URL(filePath: path)), longestGap: longestGap ?? .infinity)
    }
    let log = try open(url, given, replay)
    var runner = LiveRunner(try LiveSession(log))
    if let replay, try !log.settings().isReplay || replay.start != log.settings().start {
      throw InputError(
        "the session in the log is not this replay", at: self.log, remedy: "begin another with --log")
    }
    runner.replay = replay
    runner.speed = speed
    runner.interval = replay == nil ? 0.25 : 0.02
    runner.watchers = watch.map { OutcomeWatcher(URL(filePath: $0), survey: runner.session.survey) }
    runner.planFile = plan.map { URL(filePath: $0) }
    runner.note = { output.note("warning: \($0)") }
    var slowest = 0.0
    runner.didPlan = { session, plan, milliseconds in
      slowest = max(slowest, milliseconds)
      output.note(LiveReport.line(session, plan, milliseconds))
    }
    let dashboard = try Dashboard.start(log: url, port: port, output)
    defer { dashboard?.stop() }
    let last = try runner.run()
    output.printResult(
      LiveReport.summary(runner.session, last, slowest: slowest),
      LiveReport.text(runner.session, last, slowest: slowest))
  }

  private var rules: AcquisitionRules {
    AcquisitionRules(minutes: costs.table, threshold: threshold, budget: budget, rule: .strict)
  }

  private func open(_ url: URL, _ given: Survey?, _ replay: SessionReplay?) throws(InputError) -> AcquisitionLog {
    if FileManager.default.fileExists(atPath: url.path) {
      let log = try AcquisitionLog(existing: url)
      if let given { try log.check(isOf: given) }
      return log
    }
    guard let given else {
      throw InputError(
        "there is no session to go on with", at: log, remedy: "begin one with --survey and --predictions")
    }
    let start: Int
    if let replay {
      start = replay.start
    } else if let name = self.start {
      start = try given.index(of: name, at: "--start")
    } else {
      throw InputError("where the microscope stands is not said", at: "--start", expected: "a hole's name")
    }
    let (calibration, hypotheses) = try expectations(rules)
    let settings = SessionSettings(
      rules: rules, start: start, hypotheses: hypotheses, began: Date(), isReplay: replay != nil)
    let curves = try SessionCurve.references(given, rules: rules, start: start, calibration: calibration)
    return try AcquisitionLog(creating: url, survey: given, settings: settings, curves: curves)
  }

  private func expectations(
    _ rules: AcquisitionRules
  ) throws(InputError) -> (calibration: LogisticCalibration, hypotheses: [Hypothesis]) {
    guard let train = try training.load(allowsStrangers: false) else {
      output.note("no --train-survey: what predictions are worth is assumed, and learned from outcomes")
      return (
        LogisticCalibration(assumingThreshold: rules.threshold),
        ClosedLoopPlanner(assumingThreshold: rules.threshold).hypotheses
      )
    }
    return (
      try LogisticCalibration(fitting: train, threshold: rules.threshold),
      try ClosedLoopPlanner(training: train, threshold: rules.threshold).hypotheses
    )
  }
}

struct CryoRecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Note a micrograph's resolution in a session, and see what comes next.",
    discussion: """
      Examples:
        quench cryo record 21mar02c_00024gr_00016sq_00002hl_00005en-a 3.8
        quench cryo record HOLE failed        where no rings were found

      A hole that is recorded again is corrected. 'quench cryo live' may run beside
      it.
      """)

  @Argument(help: "The hole's name.") var hole: String
  @Argument(help: "Å up to which rings were fitted, or 'failed'.") var resolution: String

  @Option(help: ArgumentHelp("The session's file.", valueName: "sqlite"), completion: .file())
  var log = "session.sqlite"

  @OptionGroup var output: OutputOptions

  func validate() throws { try requireUsage { _ = try fit } }

  func run() throws {
    var session = try LiveSession(AcquisitionLog(existing: URL(filePath: log)))
    let index = try session.survey.index(of: hole, at: "HOLE")
    let minutes = session.settings.isReplay ? session.acquisition.elapsed : session.settings.minutes(at: Date())
    let isNew = try session.log.record(fit, of: index, at: minutes, source: "record")
    try session.catchUp()
    let plan = session.plan()
    try session.log.keep(plan)
    if !isNew { output.note("this was recorded before") }
    output.printResult(LiveReport.summary(session, plan, slowest: nil), LiveReport.next(session, plan))
  }

  private var fit: CTFFit {
    get throws(InputError) {
      if resolution == "failed" { return .failed }
      guard let value = Double(resolution), value > 0, let fit = CTFFit(fileValue: value) else {
        throw InputError(
          "not a resolution", at: "RESOLUTION", expected: "Å above 0, or 'failed'", found: "'\(resolution)'")
      }
      return fit
    }
  }
}
