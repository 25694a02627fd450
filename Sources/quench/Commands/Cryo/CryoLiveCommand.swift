import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchCryoSession
import QuenchReporting
import QuenchSupport
import QuenchVision

struct CryoLiveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "live",
    abstract: "Plan while data are collected: take outcomes as they come and plan anew.",
    discussion: """
      Examples:
        quench cryo live --survey survey.csv --predictions predictions.txt \\
          --train-survey train.csv --train-predictions train.txt \\
          --start HOLE --minutes 480 --watch micrographs_ctf.star --plan plan.csv
        quench cryo live   goes on with the session in session.sqlite
        quench cryo live --minutes 600   goes on with more time, and notes that
        quench cryo live --survey val.csv --predictions val.txt \\
          --train-survey train.csv \\
          --train-predictions train.txt --replay timestamps.csv --speed 1000

      Everything is noted in one SQLite file, --log, before it counts: whatever ends
      this command, the same command goes on with the same plan, and a copy of the
      file is a copy of the session. One process at a time plans it. Measurements come
      from watched CTFFIND or STAR files, or from 'quench cryo record'; 'quench cryo
      undo' takes back what was noted. --plan is the order of the holes that are left,
      written anew after each change; 'quench cryo export' carries it to SerialEM.
      Holes that the survey has measured already count as exposed, and are learned
      from.

      Micrographs find their holes by name, without what EPU, MotionCor, CTFFIND,
      RELION and cryoSPARC put before and after it. SerialEM's .mdoc files in a watched
      folder say at which item of the navigator (NavigatorLabel) a movie was taken.
      For other names there are --match and --names.

      'quench cryo dashboard' shows a session as a page, also one that has ended.
      """)

  @Option(
    help: ArgumentHelp("The session's file; begun if it is not there.", valueName: "sqlite"), completion: .file())
  var log = "session.sqlite"

  @Option(help: ArgumentHelp("The holes, to begin a session.", valueName: "csv"), completion: .file())
  var survey: String?

  @Option(help: ArgumentHelp("What was predicted for them.", valueName: "txt"), completion: .file())
  var predictions: String?

  @OptionGroup var strangers: StrangersOptions

  @OptionGroup(title: "Calibration") var training: TrainingSurveyOptions

  @Option(help: ArgumentHelp("Where the microscope stands at the start: a hole's name.", valueName: "hole"))
  var start: String?

  @Option(
    help: ArgumentHelp("Å up to which a micrograph is good; 6 unless given, or the session's.", valueName: "Å"))
  var threshold: Double?

  @Option(
    help: ArgumentHelp(
      """
      Minutes to a hole of the same patch, square, tile, and to another tile; a fifth number is for another grid. \
      1,2,6,8 unless given, or the session's.
      """, valueName: "list"))
  var costs: MoveTable?

  @Option(
    help: ArgumentHelp("Minutes at the microscope; 480 unless given, or the session's.", valueName: "minutes"))
  var minutes: Double?

  @Flag(help: "Plan as if the survey had no measurements: they are there to compare with.")
  var ignoreMeasured = false

  @Option(
    help: ArgumentHelp(
      "CTFFIND or STAR file, or folder of them, to take measurements from; may be repeated.",
      valueName: "path"), completion: .file())
  var watch: [String] = []

  @Option(
    help: ArgumentHelp(
      "Regular expression for micrographs' names, whose first group is the hole's name.", valueName: "regex"))
  var match: String?

  @Option(
    help: ArgumentHelp("Table of two columns: names of micrographs and of their holes.", valueName: "csv"),
    completion: .file())
  var names: String?

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
    try requireUsage { try rules(AcquisitionRules(rule: .strict)).validate() }
  }

  func run() throws {
    Interruption.watch()
    let url = URL(filePath: log)
    let lock = try FolderLock(file: url)
    do { try withExtendedLifetime(lock) { try follow(url) } } catch is Interrupted {
      FileHandle.standardError.write(Data("interrupted; 'quench cryo live --log \(log)' goes on\n".utf8))
      throw ExitCode(130)
    }
  }

  /// Plans the session in the log at `url` to its end.
  private func follow(_ url: URL) throws {
    let given = try survey.map {
      var source = SurveySelection($0, predictions: predictions)
      source.extraPredictions = strangers.extraPredictions
      return try source.load(output.console).survey
    }
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
    let finder = try finder(runner.session.survey)
    runner.watchers = watch.map { OutcomeWatcher(URL(filePath: $0), finder: finder) }
    runner.planFile = plan.map { URL(filePath: $0) }
    runner.note = { output.note("warning: \($0)") }
    var slowest = 0.0
    runner.didPlan = { session, plan, milliseconds in
      slowest = max(slowest, milliseconds)
      output.note(session.line(plan, milliseconds: milliseconds))
    }
    if let end = runner.session.end { output.note("note: \(end)") }
    let dashboard = try Dashboard.start(log: url, port: port, output)
    defer { dashboard?.stop() }
    let last = try runner.run()
    output.printResult(
      runner.session.summary(last, slowest: slowest), runner.session.text(last, slowest: slowest))
  }

  private func finder(_ survey: Survey) throws(InputError) -> HoleFinder {
    var finder =
      try match.map { pattern throws(InputError) in try HoleFinder(survey, pattern: pattern) }
      ?? HoleFinder(survey)
    if let names { try finder.read(table: URL(filePath: names)) }
    return finder
  }

  /// `standing`, but for what the flags say.
  private func rules(_ standing: AcquisitionRules) -> AcquisitionRules {
    var rules = standing
    rules.minutes = costs ?? rules.minutes
    rules.threshold = threshold ?? rules.threshold
    rules.budget = minutes ?? rules.budget
    return rules
  }

  private func open(_ url: URL, _ given: Survey?, _ replay: SessionReplay?) throws(InputError) -> AcquisitionLog {
    if FileManager.default.fileExists(atPath: url.path) {
      let log = try AcquisitionLog(existing: url)
      if let given { try log.check(isOf: given) }
      try change(log)
      if let given { try takeMeasurements(given, into: log) }
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
    let rules = rules(AcquisitionRules(rule: .strict))
    let isMeasured = given.holes.allSatisfy(\.fit.isMeasured)
    if isMeasured, replay == nil, !ignoreMeasured {
      output.note("note: every hole of the survey is measured; planned as if none were, to compare with")
    }
    let (calibration, hypotheses) = try expectations(rules, given.predictionKind)
    let settings = SessionSettings(
      rules: rules, start: start, hypotheses: hypotheses, began: Date(), isReplay: replay != nil,
      knowsMeasurements: replay == nil && !ignoreMeasured && !isMeasured)
    let curves = try SessionCurve.references(
      settings.knowsMeasurements || isMeasured ? given : given.withoutMeasurements, rules: rules, start: start,
      calibration: calibration)
    return try AcquisitionLog(creating: url, survey: given, settings: settings, curves: curves)
  }

  /// Notes in the log of a session under way what the flags change, and says so.
  private func change(_ log: AcquisitionLog) throws(InputError) {
    let (standing, survey) = (try log.settings(), try log.survey())
    let rules = rules(try standing.rules)
    try rules.validate()
    var hypotheses: [Hypothesis]?
    if training.trainSurvey != nil || standing.assumesExpectations(of: survey.predictionKind) {
      hypotheses = try expectations(rules, survey.predictionKind).hypotheses
    } else if rules.threshold != standing.threshold {
      output.note(
        "warning: what predictions are worth was learned for \(NumberText.plain(standing.threshold)) Å; name "
          + "--train-survey to learn it for \(NumberText.plain(rules.threshold)) Å")
    }
    var changed = standing.with(
      rules: rules,
      start: try start.map { name throws(InputError) in try survey.index(of: name, at: "--start") }
        ?? standing.start, hypotheses: hypotheses)
    if ignoreMeasured { changed.knowsMeasurements = false }
    let changes = changed.changes(since: standing, of: survey)
    guard !changes.isEmpty else { return }
    let note = try log.change(to: changed, at: max(0, log.minutes(at: Date())), source: "live")
    output.note("note: \(changes.joined(separator: ", ")); 'quench cryo undo \(note)' takes that back")
  }

  /// Notes what the survey has measured since the session began.
  private func takeMeasurements(_ given: Survey, into log: AcquisitionLog) throws(InputError) {
    guard try !log.settings().isReplay else { return }
    let (before, minutes) = (try log.survey(), max(0, try log.minutes(at: Date())))
    var count = 0
    for (hole, fit) in given.measurements.sorted(by: { $0.key < $1.key }) where !before.holes[hole].fit.isMeasured {
      if try log.record(fit, of: hole, at: minutes, source: survey ?? "survey") { count += 1 }
    }
    if count > 0 { output.note("note: \(NumberText.count(count, "measurement")) of the survey noted") }
  }

  private func expectations(
    _ rules: AcquisitionRules, _ kind: Prediction.Kind
  ) throws(InputError) -> (calibration: LogisticCalibration, hypotheses: [Hypothesis]) {
    guard
      let train = try TrainingSurvey(training.trainSurvey, predictions: training.trainPredictions)
        .load(allowsStrangers: strangers.extraPredictions, threshold: rules.threshold, output.console)
    else {
      output.note("no --train-survey: what predictions are worth is assumed, and learned from outcomes")
      return (
        LogisticCalibration(assumingThreshold: rules.threshold, for: kind),
        ClosedLoopPlanner(assumingThreshold: rules.threshold, for: kind).hypotheses
      )
    }
    return (
      try LearnedCalibration(train, threshold: rules.threshold).curve,
      try ClosedLoopPlanner(training: train, threshold: rules.threshold).hypotheses
    )
  }
}
