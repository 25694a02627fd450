import Foundation
import QuenchSupport

/// A page about a run that stands by itself: one HTML file without scripts or anything from elsewhere.
public struct Report: Sendable {
  /// A number to see at first sight.
  public struct KeyFigure: Hashable, Sendable {
    public var label: String
    public var value: String
    /// What qualifies it: an interval, a count, what it compares with.
    public var detail: String

    public init(_ label: String, _ value: String, detail: String = "") {
      self.label = label
      self.value = value
      self.detail = detail
    }
  }

  public enum Block: Sendable {
    /// A paragraph. What stands between backticks is set as code.
    case prose(String)
    /// A paragraph that must not be missed.
    case callout(Callout, String)
    case table(Table)
    /// A chart or images; figures in a row share the width.
    case figure(any Figure)
  }

  public enum Callout: String, Hashable, Sendable {
    case result, note, caution
  }

  public struct Section: Sendable {
    public var title: String
    public var blocks: [Block]

    public init(_ title: String, _ blocks: [Block]) {
      self.title = title
      self.blocks = blocks
    }
  }

  public var title: String
  /// One paragraph that says what was done and what came out.
  public var summary: String
  public var keyFigures: [KeyFigure]
  public var sections: [Section]
  /// Where the figures come from; shown at the end. A run that is not completed is marked at the top.
  public var record: RunRecord?

  public init(
    title: String, summary: String, keyFigures: [KeyFigure] = [], sections: [Section] = [], record: RunRecord? = nil
  ) {
    self.title = title
    self.summary = summary
    self.keyFigures = keyFigures
    self.sections = sections
    self.record = record
  }

  /// Writes the page to `url`, whole or not at all.
  /// - Throws: `InputError` if the file cannot be written.
  public func write(to url: URL) throws(InputError) {
    try AtomicFile.write(Data(html.utf8), to: url)
  }

  /// The page.
  public var html: String {
    let head = Markup.element(
      "head", [:], .void("meta", ["charset": "utf-8"]),
      .void("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
      .void("meta", ["name": "color-scheme", "content": "light dark"]),
      .element("title", [:], Markup(title)), .element("style", [:], Markup(trusted: Stylesheet.text)))
    let body = Markup.element(
      "body", [:], Stylesheet.patterns,
      .element("main", [:], header, sections.enumerated().map(markup).joined(), provenance))
    return "<!DOCTYPE html>\n" + Markup.element("html", ["lang": "en"], head, body).source + "\n"
  }

  private var header: Markup {
    var content =
      Markup.element("h1", [:], Markup(title)) + .element("p", ["class": "lead"], Report.inline(summary))
    if let record, record.outcome != .completed {
      let state = record.outcome.map { "The run ended as \($0.rawValue)" } ?? "The run has not finished"
      content += Report.callout(.caution, "\(state): the figures below are those so far.")
    }
    if !keyFigures.isEmpty {
      let figures = keyFigures.map { figure in
        Markup.element(
          "div", [:], .element("dt", [:], Markup(figure.label)), .element("dd", [:], Markup(figure.value)),
          figure.detail.isEmpty ? "" : .element("dd", ["class": "detail"], Markup(figure.detail)))
      }
      content += .element("dl", ["class": "key"], figures.joined())
    }
    if sections.count > 3 {
      let links = sections.enumerated().map { index, section in
        Markup.element("li", [:], .element("a", ["href": "#s\(index + 1)"], Markup(section.title)))
      }
      content += .element("nav", ["aria-label": "Sections"], .element("ul", [:], links.joined()))
    }
    return .element("header", [:], content)
  }

  private func markup(index: Int, section: Section) -> Markup {
    var content = Markup.element("h2", [:], Markup(section.title))
    var figures: [any Figure] = []
    for block in section.blocks {
      if case .figure(let figure) = block {
        figures.append(figure)
        continue
      }
      content += Report.row(of: figures)
      figures = []
      switch block {
      case .prose(let text): content += .element("p", [:], Report.inline(text))
      case .callout(let kind, let text): content += Report.callout(kind, text)
      case .table(let table): content += table.markup
      case .figure: break
      }
    }
    return .element("section", ["id": "s\(index + 1)"], content + Report.row(of: figures))
  }

  /// Figures side by side, each drawn for its share of the page and once more for a telephone.
  private static func row(of figures: [any Figure]) -> Markup {
    guard !figures.isEmpty else { return Markup() }
    let isAlone = figures.count == 1
    let cells = figures.map { figure in
      let picture =
        figure.adapts
        ? figure.picture(width: 720)
        : .element("div", ["class": "wide"], figure.picture(width: isAlone ? 760 : 500))
          + .element("div", ["class": "narrow"], figure.picture(width: 340))
      return Markup.element(
        "figure", [:], .element("h3", [:], Markup(figure.title)), picture,
        figure.caption.isEmpty ? "" : .element("figcaption", [:], inline(figure.caption)))
    }
    return .element("div", ["class": isAlone ? "figures alone" : "figures"], cells.joined())
  }

  private static func callout(_ kind: Callout, _ text: String) -> Markup {
    .element(
      "p", ["class": "callout \(kind.rawValue)"], .element("strong", [:], Markup(kind.rawValue.capitalized)), " ",
      inline(text))
  }

  private static func inline(_ text: String) -> Markup {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated().map { index, part in
      index.isMultiple(of: 2) ? Markup(String(part)) : .element("code", [:], Markup(String(part)))
    }.joined()
  }

  private var provenance: Markup {
    guard let record else { return Markup() }
    let command = record.command.map { word in
      word.contains { " \t\"'$\\".contains($0) } ? "'\(word)'" : word
    }.joined(separator: " ")
    var content = Markup.element("h2", [:], "Provenance")
    if !command.isEmpty { content += .element("pre", ["tabindex": "0"], .element("code", [:], Markup(command))) }
    let parts = [("Settings", record.settings), ("Versions", record.versions), ("Inputs (SHA-256)", record.inputs)]
    let lists = parts.filter { !$0.1.isEmpty }.map { title, values in
      let rows = values.flattened.map { key, value in
        Markup.element("div", [:], .element("dt", [:], Markup(key)), .element("dd", [:], Markup(value.description)))
      }
      return Markup.element("div", [:], .element("h3", [:], Markup(title)), .element("dl", [:], rows.joined()))
    }
    return .element("footer", [:], content, .element("div", ["class": "provenance"], lists.joined()))
  }
}
