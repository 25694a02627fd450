import Foundation
import Testing

/// A page in Markdown of this repository.
struct Page: CustomStringConvertible, Sendable {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Its place in the repository.
  var path: String
  var lines: [String]

  var description: String { path }
  var folder: URL { Self.root.appending(path: path).deletingLastPathComponent() }

  /// All pages, those of what was built or fetched left out.
  static let all: [Page] = files { $0.hasSuffix(".md") }.map { path in
    let text = (try? String(contentsOf: root.appending(path: path), encoding: .utf8)) ?? ""
    return Page(path: path, lines: text.components(separatedBy: "\n"))
  }

  static func files(_ isWanted: (String) -> Bool) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
    let folders = ["Benchmarks", "Sources", "Tests", "docs"]
    let inside = folders.flatMap { folder in
      (FileManager.default.subpaths(atPath: root.appending(path: folder).path) ?? []).map { "\(folder)/\($0)" }
    }
    return (names + inside).filter(isWanted).sorted()
  }

  /// Its blocks of code in `language`.
  func blocks(of language: String) -> [[String]] {
    var blocks: [[String]] = []
    var isInside = false
    for line in lines {
      if line.hasPrefix("```") {
        isInside = !isInside && line == "```\(language)"
        if isInside { blocks.append([]) }
      } else if isInside {
        blocks[blocks.count - 1].append(line)
      }
    }
    return blocks
  }

  /// Where its links lead, those to the web and to symbols left out.
  var links: [(file: String, section: String?)] {
    lines.flatMap { line in line.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) } }
      .filter { !$0.contains("://") && !$0.hasPrefix("mailto:") && !$0.hasPrefix("doc:") }
      .map { link in
        let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return (parts[0], parts.count > 1 ? parts[1] : nil)
      }
  }

  /// The names by which links reach its sections, as GitHub makes them.
  var sections: Set<String> {
    Set(
      lines.filter { $0.hasPrefix("#") }.map { line in
        line.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces).lowercased()
          .filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" }.replacing(" ", with: "-")
      })
  }
}

@Suite("Pages") struct PageTests {
  @Test("link to files and sections that there are", arguments: Page.all)
  func links(page: Page) throws {
    for link in page.links {
      let url = link.file.isEmpty ? Page.root.appending(path: page.path) : page.folder.appending(path: link.file)
      #expect(FileManager.default.fileExists(atPath: url.path), "\(page): \(link.file)")
      guard let section = link.section, url.pathExtension == "md" else { continue }
      let target = Page.all.first { Page.root.appending(path: $0.path).standardized == url.standardized }
      #expect(target?.sections.contains(section) == true, "\(page): \(link.file)#\(section)")
    }
  }

  @Test("print programs that a test runs, line by line, with what they import")
  func programs() throws {
    let sources = try Page.files { $0.hasPrefix("Tests/DocumentationTests/Programs/") && $0.hasSuffix(".swift") }
      .map { try Self.lines(String(contentsOf: Page.root.appending(path: $0), encoding: .utf8)) }
    let programs = Page.all.flatMap { page in page.blocks(of: "swift").map { (page, $0) } }
    #expect(programs.count >= 8)
    for (page, block) in programs {
      let lines = Self.lines(block.joined(separator: "\n"))
      let imports = lines.filter { $0.hasPrefix("import ") }
      let isRun = sources.contains { source in
        source.contains(lines.filter { !$0.hasPrefix("import ") }) && imports.allSatisfy(source.contains)
      }
      #expect(isRun, "\(page): \(lines.first ?? "")")
    }
  }

  private static func lines(_ text: String) -> [String] {
    text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  }

  @Test(
    "of results stay short, and their rows are complete tables",
    arguments: Page.files { $0.hasPrefix("docs/results/") })
  func results(path: String) throws {
    let text = try String(contentsOf: Page.root.appending(path: path), encoding: .utf8)
    guard path.hasSuffix(".tsv") else {
      #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count <= 61, "\(path)")
      return
    }
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    #expect(Page.all.contains { page in page.links.contains { $0.file.hasSuffix(name) } }, "no page names \(path)")
    let rows = text.split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).count }
    #expect(rows.count > 1 && Set(rows).count == 1, "\(path): \(rows)")
  }
}
