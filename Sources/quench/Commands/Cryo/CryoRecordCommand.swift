import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchCryoSession
import QuenchReporting
import QuenchSupport

struct CryoRecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Note a micrograph's resolution in a session, and see what comes next.",
    discussion: """
      Examples:
        quench cryo record 21mar02c_00024gr_00016sq_00002hl_00005en-a 3.8
        quench cryo record HOLE failed        where no rings were found
        quench cryo record HOLE --withdraw    that was another hole: it is as before
        quench cryo record HOLE 3.8 --at 95   where the computer's clock is wrong

      A hole that is recorded again is corrected. 'quench cryo live' may run beside
      it. 'quench cryo undo' takes back notes of any kind.
      """)

  @Argument(help: "The hole's name.") var hole: String
  @Argument(help: "Å up to which rings were fitted, or 'failed'.") var resolution: String?

  @Flag(help: "Take back all that was noted of the hole, as if it had not been exposed.")
  var withdraw = false

  @Option(
    help: ArgumentHelp(
      "Minutes since the session began; its clock goes on from there. By the computer's clock unless given.",
      valueName: "minutes"))
  var at: Double?

  @Option(help: ArgumentHelp("The session's file.", valueName: "sqlite"), completion: .file())
  var log = "session.sqlite"

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard withdraw == (resolution == nil) else { throw ValidationError("Give a resolution, or --withdraw.") }
    guard at ?? 0 >= 0, at?.isFinite ?? true else { throw ValidationError("--at must be 0 or more.") }
    try requireUsage { _ = try fit }
  }

  func run() throws {
    var session = try LiveSession(AcquisitionLog(existing: URL(filePath: log)))
    let index = try session.survey.index(of: hole, at: "HOLE")
    let minutes = try minutes(session)
    if let fit = try fit {
      if try !session.log.record(fit, of: index, at: minutes, source: "record") {
        output.note("this was recorded before")
      }
    } else {
      let notes = try session.log.withdraw(hole: index, at: minutes, source: "record")
      guard !notes.isEmpty else {
        throw InputError("nothing was noted of this hole", at: "HOLE", found: "'\(hole)'")
      }
      output.note("taken back: \(NumberText.count(notes.count, "note"))")
    }
    try session.planAnew(output)
  }

  /// A longer time without a note may be a jump of the clock.
  private static let longestSilence = 60.0

  private func minutes(_ session: LiveSession) throws -> Double {
    let elapsed = session.acquisition.elapsed
    guard !session.settings.isReplay else { return at ?? elapsed }
    let now = try session.log.minutes(at: Date())
    if let at {
      if abs(now - at) > 0.01 { try session.log.setClock(ahead: now - at, at: at, source: "record") }
      return at
    }
    if now < elapsed {
      output.note("warning: the computer's clock stands before the last note; the note's time is taken")
      return elapsed
    }
    if now - elapsed > Self.longestSilence {
      output.note(
        "warning: \(NumberText.plain(now - elapsed, digits: 3)) min since the last note; if the clock is wrong, record "
          + "this again after 'quench cryo record HOLE --withdraw' with --at MINUTES since the session began")
    }
    return now
  }

  private var fit: CTFFit? {
    get throws(InputError) {
      guard let resolution else { return nil }
      if resolution == "failed" { return .failed }
      guard let value = Double(resolution), value > 0, let fit = CTFFit(fileValue: value) else {
        throw InputError(
          "not a resolution", at: "RESOLUTION", expected: "Å above 0, or 'failed'", found: "'\(resolution)'")
      }
      return fit
    }
  }
}

struct CryoUndoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "undo",
    abstract: "List what was noted in a session, or take a note back.",
    discussion: """
      Examples:
        quench cryo undo       the last notes with their numbers
        quench cryo undo 12    takes the note 12 back: an exposure, a measurement,
                               a change of settings, or a jump of the clock

      The log keeps both, the note and that it was taken back. 'quench cryo live' may
      run beside it.
      """)

  @Argument(help: "The note's number.") var note: Int?

  @Option(help: ArgumentHelp("Notes that are listed.", valueName: "n"))
  var last = 20

  @Option(help: ArgumentHelp("The session's file.", valueName: "sqlite"), completion: .file())
  var log = "session.sqlite"

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard last >= 1 else { throw ValidationError("--last must be at least 1.") }
  }

  func run() throws {
    var session = try LiveSession(AcquisitionLog(existing: URL(filePath: log)))
    if let note {
      try session.log.withdraw(note: note, at: max(0, session.log.minutes(at: Date())), source: "undo")
      return try session.planAnew(output)
    }
    let notes = try session.log.notes(last: last)
    let table = Table(
      "",
      columns: [.number("note"), .number("min"), .text("what"), .text("by")],
      rows: notes.map { note in
        [
          "\(note.id)", "\(NumberText.fixed(note.minutes, decimals: 1))", "\(Self.text(note, session.survey))",
          "\(note.source)"
        ]
      })
    output.printResult(
      ["notes": .array(notes.map { .string("\($0.id) \(Self.text($0, session.survey))") })],
      notes.isEmpty ? "nothing was noted yet" : table.text)
  }

  private static func text(_ note: AcquisitionLog.Note, _ survey: Survey) -> String {
    let hole = note.hole.map { survey.holes[$0].name } ?? ""
    let text =
      switch note.kind {
      case .exposure: "\(hole) exposed"
      case .outcome: "\(hole) \(note.fit?.clippedResolution.map { "\(NumberText.plain($0)) Å" } ?? "failed")"
      case .settings: "settings changed"
      case .clock: "the computer's clock was \(NumberText.plain(note.ahead ?? 0, digits: 3)) min ahead"
      case .withdrawal: "note \(note.target ?? 0) taken back"
      }
    return note.isWithdrawn ? "\(text) (taken back)" : text
  }
}

extension LiveSession {
  /// Takes in what was just noted, keeps the new plan and shows what comes next.
  fileprivate mutating func planAnew(_ output: OutputOptions) throws(InputError) {
    try catchUp()
    let plan = plan()
    try log.keep(plan)
    output.printResult(summary(plan), next(plan))
  }
}
