import ArgumentParser
import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

struct CryoExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Carry surveys and plans from and to SerialEM's navigator.",
    discussion: """
      Examples:
        quench cryo export --navigator grid1.nav --out survey.csv
            the points of a navigator file as a survey for 'quench cryo plan': their
            patches, squares and tiles follow from the maps that they were drawn on
            or lie in, and from their groups
        quench cryo export --navigator grid1.nav --plan plan.csv --out planned.nav
            the same file with its points in planned order: Acquire = 1 on the plan's,
            off on the others, rank and probability in the notes, all else as it was
        quench cryo export --survey survey.csv --plan plan.csv --out planned.nav
            a new file, where the survey has stage positions

      Holes are called as their items are labelled; items of the same label are told
      apart by their MapID or stage position. Items of other registrations than the
      most frequent one are left out. Where some points are marked for acquisition,
      those of the plan that are not were taken since, and stay off.
      """)

  @Option(
    help: ArgumentHelp("SerialEM's navigator file.", valueName: "nav"), completion: .file(extensions: ["nav"]))
  var navigator: String?

  @Option(
    help: ArgumentHelp("What 'quench cryo plan' wrote.", valueName: "csv"), completion: .file(extensions: ["csv"]))
  var plan: String?

  @Option(
    help: ArgumentHelp("A survey with stage positions, where there is no navigator file.", valueName: "csv"),
    completion: .file(extensions: ["csv"]))
  var survey: String?

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"), completion: .file())
  var out: String

  @Option(help: ArgumentHelp("Take the points of this registration (Regis).", valueName: "n"))
  var registration: Int?

  @Flag(help: "Acquire the plan's points also where they are not marked any more.")
  var turnOn = false

  @Flag(help: "Write over a file that is there.")
  var force = false

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard navigator != nil || (plan != nil && survey != nil) else {
      throw ValidationError("Give --navigator, or --plan and --survey.")
    }
    guard navigator == nil || survey == nil else {
      throw ValidationError("Give --navigator or --survey, not both.")
    }
    guard registration == nil || (navigator != nil && plan == nil) else {
      throw ValidationError("--registration goes with --navigator and without --plan.")
    }
    guard !turnOn || (navigator != nil && plan != nil) else {
      throw ValidationError("--turn-on goes with --navigator and --plan.")
    }
  }

  func run() throws {
    let url = URL(filePath: out)
    guard force || !FileManager.default.fileExists(atPath: url.path) else {
      throw InputError(
        "the file is there already", at: out, remedy: "choose another name, or allow it with --force")
    }
    guard let navigator else { return try write(try newNavigator(), to: url) }
    let file = try Navigator(contentsOf: URL(filePath: navigator))
    for warning in file.warnings { output.note("warning: \(warning)") }
    if let plan {
      let (planned, leftOut) = try file.ordered(by: PlanFile(contentsOf: URL(filePath: plan)), turnsOn: turnOn)
      if let first = leftOut.first {
        output.note(
          "warning: \(NumberText.count(leftOut.count, "point")) of the plan, '\(first)' first, "
            + "\(leftOut.count == 1 ? "is" : "are") not marked for acquisition any more and left out; --turn-on takes "
            + "\(leftOut.count == 1 ? "it" : "them")")
      }
      try write(planned, to: url)
    } else {
      let targets = try file.targets(registration: registration)
      if targets.otherRegistrations > 0 {
        output.note(
          "warning: \(NumberText.count(targets.otherRegistrations, "point")) of other registrations than "
            + "\(targets.registration) left out; --registration chooses another")
      }
      try AtomicFile.write(Data(SurveyFile.table(of: targets.survey).utf8), to: url)
      let (survey, shots) = (targets.survey, targets.exposures.reduce(0, +))
      report(
        [
          "holes": .int(survey.count), "exposures": .int(shots), "patches": .int(survey.patches.count),
          "squares": .int(survey.squares.count), "tiles": .int(survey.tiles.count), "file": .string(out)
        ],
        "\(NumberText.count(survey.count, "point")) (\(NumberText.count(shots, "exposure"))) in "
          + "\(NumberText.count(survey.patches.count, "patch")), \(NumberText.count(survey.squares.count, "square")) "
          + "and \(NumberText.count(survey.tiles.count, "tile"))")
    }
  }

  private func newNavigator() throws(InputError) -> Navigator {
    guard let plan, let survey else { throw InputError("nothing to export", at: "--plan") }
    return try Navigator(
      PlanFile(contentsOf: URL(filePath: plan)), of: SurveyFile(contentsOf: URL(filePath: survey)).survey, name: out
    )
  }

  private func write(_ navigator: Navigator, to url: URL) throws(InputError) {
    try AtomicFile.write(navigator.data, to: url)
    let marked = navigator.items.count { $0.acquires }
    report(
      ["items": .int(navigator.items.count), "acquire": .int(marked), "file": .string(out)],
      "\(NumberText.count(marked, "point")) to acquire, in planned order, of "
        + NumberText.count(navigator.items.count, "item"))
  }

  private func report(_ record: Record, _ text: String) { output.printResult(record, "\(text)\n\(out)") }
}
