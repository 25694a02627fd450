import Testing

@testable import QuenchReporting

@Suite("A progress line") struct ProgressLineTests {
  /// A clock that the test moves and a page that it reads.
  final class Desk {
    var time = 100.0
    var text: [String] = []

    func line(_ style: ProgressLine.Style, total: Int? = 1000, from start: Int = 0) -> ProgressLine {
      ProgressLine(
        "Training", total: total, unit: "images", startingAt: start, style: style, clock: { self.time },
        write: { self.text.append($0) })
    }
  }

  @Test func redrawsOneLineOnATerminalWithinItsWidth() {
    let desk = Desk()
    var line = desk.line(.terminal(columns: 40))
    for step in 1...20 {
      desk.time += 0.0625
      line.update(step * 10, note: "loss 0.5")
    }
    line.finish()
    #expect(desk.text.count == 11)
    #expect(desk.text.dropLast().allSatisfy { $0.hasPrefix("\r") && $0.hasSuffix("\u{1B}[K") && $0.count <= 44 })
    #expect(desk.text[0].contains("Training: 20/1000 images (2 %), 160 ima"))
    #expect(desk.text.last?.hasSuffix("\n") == true)
  }

  @Test func writesAPlainLineEveryTenSecondsElsewhere() {
    let desk = Desk()
    var line = desk.line(.lines)
    for step in 1...50 {
      desk.time += 1
      line.update(step * 10)
    }
    #expect(desk.text.count == 5)
    #expect(desk.text[0] == "Training: 100/1000 images (10 %), 10 images/s, 1 min 30 s left\n")
    line.finish(note: "loss 0.5")
    #expect(desk.text.last == "Training: 500 images in 50 s, 10 images/s, loss 0.5\n")
  }

  @Test func becomesMoreSeldomInALongTask() {
    let desk = Desk()
    var line = desk.line(.lines, total: nil)
    for step in 1...36_000 {
      desk.time += 1
      line.update(step)
    }
    #expect((20...200).contains(desk.text.count))
  }

  @Test func countsOnlyItsOwnWorkInTheRateOfAResumedRun() {
    let desk = Desk()
    var line = desk.line(.lines, from: 500)
    desk.time += 10
    line.update(600)
    #expect(desk.text == ["Training: 600/1000 images (60 %), 10 images/s, 40 s left\n"])
  }

  @Test func saysNothingWhenQuiet() {
    let desk = Desk()
    var line = desk.line(.quiet)
    desk.time += 100
    line.update(500)
    line.finish()
    #expect(desk.text.isEmpty)
  }

  @Test(
    arguments: zip(
      [0.2, 59.4, 61, 3600, 7265, .infinity],
      ["0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 01 min", "unknown time"]))
  func saysDurationsShortly(_ seconds: Double, _ text: String) {
    #expect(ProgressLine.duration(seconds) == text)
  }
}
