import Foundation
import QuenchSupport
import Testing

@testable import QuenchReporting

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Fails unless `source` is well-formed XML.
func requireWellFormed(_ source: String) throws {
  let parser = XMLParser(data: Data(source.utf8))
  #expect(parser.parse(), "\(parser.parserError.map { "\($0)" } ?? "") in \(source)")
}

@Suite("A report") struct ReportTests {
  static let hostile = "<img src=http://example.org/x> & \"quotes\""

  static func report(_ outcome: RunRecord.Outcome? = .completed) -> Report {
    Report(
      title: hostile, summary: "Pruned to `0.1` \(hostile)",
      keyFigures: [.init("Accuracy", "91.9 %", detail: "n = 10,000")],
      sections: [
        .init(
          "Pruning",
          [
            .prose(hostile), .callout(.caution, hostile), .figure(ChartTests.lines(2, points: 5)),
            .figure(ChartTests.bars),
            .table(
              Table(
                "Accuracy", columns: [.text("Method"), .number("Accuracy", unit: "%")],
                rows: [["BiP", "91.9"], ["\(hostile)"]])),
            .figure(ImageGrid("Images", [.init(png: Data([1, 2, 3]), caption: "an image")]))
          ])
      ],
      record: RunRecord(
        command: ["quench", "prune", "--out", "my run"], settings: ["seed": 7, "keep": 0.1],
        versions: ["quench": "0.1.0"], inputs: ["images.gz": "ab12"], outcome: outcome))
  }

  @Test func standsAloneWithoutScriptsOrAnythingFromElsewhere() {
    let html = Self.report().html
    let tags = html.matches(of: /<([a-z]+)[^>]*>/)
    #expect(!tags.contains { ["script", "link", "iframe", "object"].contains($0.1) })
    #expect(html.matches(of: /(src|href)="([^"]*)"/).allSatisfy { $0.2.hasPrefix("data:") || $0.2.hasPrefix("#") })
    #expect(!Stylesheet.text.contains("@import") && !Stylesheet.text.contains("url(http"))
  }

  @Test func isWellFormed() throws {
    let body = Self.report().html.replacing("<!DOCTYPE html>\n", with: "")
    try requireWellFormed(body.replacing(/<(meta|img)([^>]*)>/) { "<\($0.1)\($0.2)/>" })
  }

  @Test func sharesOneSetOfUniqueIdentifiers() {
    let ids = Self.report().html.matches(of: /\sid="([^"]+)"/).map { String($0.1) }
    #expect(ids.count == Set(ids).count && ids.contains("h0") && ids.contains("s1"))
  }

  @Test func saysWhereItsFiguresComeFrom() {
    let html = Self.report().html
    #expect(html.contains("quench prune --out 'my run'"))
    for text in ["seed", "0.1.0", "images.gz", "ab12"] { #expect(html.contains(">\(text)<")) }
  }

  @Test func marksARunThatDidNotComplete() {
    #expect(!Self.report().html.contains("The run "))
    #expect(Self.report(nil).html.contains("The run has not finished"))
    #expect(Self.report(.interrupted).html.contains("The run ended as interrupted"))
  }

  @Test func writesTheFileWhole() throws {
    try withTemporaryFolder { base in
      let url = base.appending(path: "report.html")
      try Self.report().write(to: url)
      #expect(try String(contentsOf: url, encoding: .utf8) == Self.report().html)
      #expect(throws: InputError.self) { try Self.report().write(to: base.appending(path: "none/report.html")) }
    }
  }
}

@Suite("A PNG file") struct PNGTests {
  @Test("says its size and kind in its header", arguments: [1, 3])
  func header(_ channels: Int) throws {
    let pixels = (0..<5 * 4 * channels).map { UInt8($0) }
    let png = [UInt8](try PNG.encode(pixels: pixels, width: 5, height: 4, channels: channels))
    #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
    #expect(Array(png[16..<26]) == [0, 0, 0, 5, 0, 0, 0, 4, 8, channels == 1 ? 0 : 2])
    #expect(png.suffix(8).starts(with: Array("IEND".utf8)))
  }

  @Test("refuses sizes that do not fit", arguments: [(5, 4, 2), (5, 5, 1), (0, 4, 1), (-5, -4, 1)])
  func sizes(_ size: (Int, Int, Int)) {
    #expect(throws: InputError.self) {
      try PNG.encode(pixels: Array(repeating: 0, count: 20), width: size.0, height: size.1, channels: size.2)
    }
  }
}
