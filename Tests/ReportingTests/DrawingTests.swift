import Foundation
import Testing

@testable import QuenchReporting

@Suite("An axis") struct AxisTests {
  func labels(_ axis: Axis, _ values: [Double], ticks: Int = 5) -> [String] {
    axis.mapped(values, from: 0, to: 400, ticks: ticks).ticks.map(\.label)
  }

  @Test func hasRoundTicksThatEncloseTheData() {
    #expect(labels(Axis("Loss", unit: "nats"), [0.13, 0.97]) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    #expect(labels(Axis("Step", unit: nil), [1, 23_000]) == ["0", "5k", "10k", "15k", "20k", "25k"])
    #expect(
      labels(Axis("Change", unit: "points"), [-0.6, 0.4], ticks: 4) == [
        "-0.75", "-0.50", "-0.25", "0.00", "0.25", "0.50"
      ])
    #expect(
      labels(Axis("Accuracy", unit: nil, style: .percent), [0.62, 0.93], ticks: 4) == [
        "60", "70", "80", "90", "100"
      ])
  }

  @Test func keepsARangeThatWasAskedFor() {
    let map = Axis("Loss", unit: nil, range: 0.1...0.9).mapped([5], from: 0, to: 100, ticks: 4)
    #expect(map.low == 0.1 && map.high == 0.9)
    #expect(map.ticks.map(\.label) == ["0.2", "0.4", "0.6", "0.8"])
  }

  @Test func containsAllDataHoweverTheTicksAreRounded() {
    var random = SplitMix(state: 5)
    for round in 1...500 {
      let values = (0..<3).map { _ in Double(random.next() % 1000) / Double(round % 7 == 0 ? 300 : 1000) }
      let map = Axis("x", unit: nil, style: round % 2 == 0 ? .percent : .number)
        .mapped(values, from: 0, to: 300, ticks: 5)
      #expect(values.allSatisfy(map.contains), "\(values)")
    }
  }

  @Test func ignoresARangeThatItsScaleCannotShow() {
    for range in [-5.0...(-1), 0...1, 1...Double.infinity] {
      let map = Axis("x", unit: nil, scale: .logarithmic, range: range).mapped([1, 10], from: 0, to: 300, ticks: 5)
      #expect(map.low == 1 && map.high == 10)
    }
  }

  @Test func hasPowersOfTenOnALogarithmicScale() {
    let axis = Axis("Rate", unit: nil, scale: .logarithmic)
    #expect(labels(axis, [1e-6, 1e-1]) == ["10⁻⁶", "10⁻⁵", "0.0001", "0.001", "0.01", "0.1"])
    #expect(labels(axis, [0.01, 0.5], ticks: 6) == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"])
    #expect(labels(axis, [3, 4]).count >= 2)
    let map = axis.mapped([0.01, 1, 0, -5, .nan], from: 0, to: 200, ticks: 5)
    #expect(abs(map.position(0.1) - 100) < 1e-9)
  }

  @Test(
    "has at least two finite ticks in order whatever the data",
    arguments: [[], [0], [5], [-3, -3], [1e-300, 1e300], [.nan], [1e15, 1e15 + 1], [-1e-9, 1e9], [.infinity, 2]]
      as [[Double]])
  func odd(_ values: [Double]) {
    for scale in [Axis.Scale.linear, .logarithmic] {
      let map = Axis("Odd", unit: nil, scale: scale).mapped(values, from: 0, to: 300, ticks: 5)
      let positions = map.ticks.map { map.position($0.value) }
      #expect(map.low < map.high)
      #expect(positions.allSatisfy(\.isFinite) && positions == positions.sorted() && positions.count <= 40)
    }
  }

  @Test func saysTheUnit() {
    #expect(Axis("Time", unit: "s").caption == "Time (s)")
    #expect(Axis("Accuracy", unit: nil, style: .percent).caption == "Accuracy (%)")
  }
}

@Suite("Numbers in reports") struct NumberTextTests {
  @Test("a count has its noun in the singular for one and in the plural for any other")
  func counts() {
    #expect(NumberText.count(1, "epoch") == "1 epoch")
    #expect(NumberText.count(0, "epoch") == "0 epochs")
    #expect(NumberText.count(12345, "image") == "12,345 images")
    #expect(NumberText.count(2, "batch") == "2 batches")
    #expect(NumberText.count(2, "class") == "2 classes")
    #expect(NumberText.count(3, "query") == "3 queries")
    #expect(NumberText.count(2, "corrupt picture") == "2 corrupt pictures")
  }

  @Test(
    arguments: zip(
      [0, 0.03125, 91.4, 12_345, 1_234_567, 1.2e-7, -0.5, .nan, 100, 0.99996],
      ["0", "0.03125", "91.4", "12,345", "1,234,567", "1.200e-07", "-0.5", "–", "100", "1"]))
  func haveFourDigitsAndNoTrailingZeros(_ value: Double, _ text: String) {
    #expect(NumberText.plain(value) == text)
  }

  @Test func percentagesAndThousandsAreWrittenOut() {
    #expect(NumberText.percent(0.9134) == "91.34 %")
    #expect(NumberText.fixed(-1234.5, decimals: 1) == "-1,234.5")
    #expect(NumberText.fixed(-999, decimals: 0) == "-999")
  }
}

@Suite("A chart") struct ChartTests {
  static let hostile = "<script>alert('x')</script> & \"quotes\"\u{0}"

  static func lines(_ count: Int, points: Int, names: String = "Series") -> LineChart {
    LineChart(
      "Chart", x: Axis("Step", unit: nil), y: Axis("Loss", unit: "nats"),
      series: (0..<count).map { index in
        .init(
          "\(names) \(index)", (0..<points).map { .init(Double($0), Double($0 * (index + 1)) / Double(points)) })
      })
  }

  static let bars = BarChart(
    hostile, axis: Axis("Accuracy", unit: nil, style: .percent), groups: ["One", hostile],
    series: [.init("BiP", [.init(0.9, interval: 0.88...0.92), nil]), .init(hostile, [.init(-0.5), .init(.nan)])])

  static let figures: [any Figure] = [
    lines(1, points: 2), lines(3, points: 10), lines(8, points: 3, names: hostile), lines(2, points: 5000),
    lines(0, points: 0),
    lines(2, points: 0), bars, BarChart("Empty", axis: Axis("x", unit: nil), groups: [], series: []),
    ImageGrid("Images", [.init(png: Data([1, 2]), caption: hostile)])
  ]

  @Test("is well-formed and accessible at every width", arguments: figures.indices, [340.0, 500, 760])
  func wellFormed(_ index: Int, _ width: Double) throws {
    let source = Self.figures[index].picture(width: width).source
    #expect(!source.contains("<script"))
    #expect(!source.contains("nan") && !source.contains("inf\""))
    guard !Self.figures[index].adapts else { return }
    try requireWellFormed(source)
    #expect(source.contains("role=\"img\"") && source.contains("<title>") && source.contains("<desc>"))
  }

  @Test("keeps its text apart and inside the picture", arguments: figures.indices, [340.0, 500, 760])
  func text(_ index: Int, _ width: Double) throws {
    let source = Self.figures[index].picture(width: width).source
    let boxes = TextBox.all(in: source)
    for (position, box) in boxes.enumerated() {
      #expect(box.left >= -0.5 && box.right <= width + 0.5, "\(box)")
      for other in boxes[(position + 1)...] { #expect(!box.overlaps(other), "\(box) and \(other)") }
    }
  }

  @Test func tellsSeriesApartWithoutColour() {
    let source = Self.lines(3, points: 10).picture(width: 340).source
    for index in 0..<3 { #expect(source.contains("curve c\(index) d\(index)")) }
    #expect(source.contains("<circle") && source.contains("<polygon"))
  }

  @Test func breaksTheLineWhereThereIsNoValue() {
    var chart = Self.lines(1, points: 9)
    chart.series[0].points[4].y = .nan
    let curves = chart.picture(width: 500).source.components(separatedBy: "<polyline").count - 1
    #expect(curves == 2)
  }

  @Test func thinsManyPointsButKeepsTheirExtremes() {
    var points = (0..<100_000).map { (x: Double($0) / 1000, y: 0.0) }
    points[54_321].y = 7
    points[77_777].y = -7
    let thin = LineChart.thinned(points)
    #expect(thin.count <= 4 * 102)
    #expect(thin.map(\.y).max() == 7 && thin.map(\.y).min() == -7)
    #expect(thin.map(\.x) == thin.map(\.x).sorted() && thin.last?.x == points.last?.x)
  }

  @Test func namesCurvesDirectlyOnlyWhereTheNamesHaveRoom() {
    let apart = Self.lines(3, points: 10).picture(width: 760).source
    #expect(apart.contains("class=\"t n2\""))
    var close = Self.lines(3, points: 10)
    close.series[2].points[9].y = close.series[1].points[9].y
    #expect(!close.picture(width: 760).source.contains("class=\"t n2\""))
  }

  @Test func barsCarryTheirValues() {
    let source = Self.bars.picture(width: 500).source
    #expect(source.contains(">90.00 %<") && source.contains(">-50.00 %<"))
  }
}

/// Where a text element of an SVG lies, by the drawing room's own estimate of its width.
struct TextBox {
  var text: String
  var left: Double
  var right: Double
  var baseline: Double

  static func all(in source: String) -> [TextBox] {
    source.matches(of: /<text x="([^"]+)" y="([^"]+)" text-anchor="(\w+)"[^>]*>([^<]*)</).map { match in
      let text = String(match.4).replacing("&lt;", with: "<").replacing("&gt;", with: ">")
        .replacing("&quot;", with: "\"").replacing("&amp;", with: "&")
      let (x, width) = (Double(match.1) ?? 0, SVG.width(of: text))
      let left = match.3 == "start" ? x : match.3 == "end" ? x - width : x - width / 2
      return TextBox(text: text, left: left, right: left + width, baseline: Double(match.2) ?? 0)
    }
  }

  func overlaps(_ other: TextBox) -> Bool {
    abs(baseline - other.baseline) < 10 && left < other.right - 0.5 && other.left < right - 0.5
  }
}
