import Foundation
import QuenchSupport

/// A SerialEM navigator file: what was found on the grid, and what is to be acquired.
///
/// Written again, it is the same file byte for byte, but for what was changed on purpose.
public struct Navigator: Hashable, Sendable {
  public private(set) var document: Autodoc
  /// In the order of the file, which is the order that SerialEM acquires in.
  public let items: [NavigatorItem]
  /// What was read although it is not as it should be, each with its line.
  public let warnings: [String]

  /// - Parameters:
  ///   - data: The file's bytes.
  ///   - name: What they are, for errors: usually the file's path.
  /// - Throws: `InputError` with the line of an item that is truncated or has a wrong value.
  public init(_ data: Data, name: String) throws(InputError) {
    try self.init(Autodoc(data, name: name))
  }

  /// - Throws: `InputError` as ``init(_:name:)`` does, or if the file cannot be read.
  public init(contentsOf url: URL) throws(InputError) {
    try self.init(InputFile.read(url), name: url.path)
  }

  init(_ document: Autodoc) throws(InputError) {
    self.document = document
    var warnings = document.warnings
    if document.globals["AdocVersion"] == nil {
      warnings.append("\(document.name): AdocVersion is missing; read as version 2")
    }
    var items: [NavigatorItem] = []
    for section in document.sections {
      let location = document.location(of: section)
      guard section.kind == "Item" else {
        warnings.append("\(location): a section '\(section.kind)' is kept and not used")
        continue
      }
      let item = try NavigatorItem(section, of: document)
      if case .other(let type) = item.kind {
        warnings.append("\(location): item '\(item.label)' has the unknown type \(type); it is kept and not used")
      }
      items.append(item)
    }
    guard !items.isEmpty else {
      throw InputError("there is no item in the navigator file", at: document.name, expected: "[Item = label]")
    }
    self.items = items
    self.warnings = warnings
  }

  /// The file's bytes.
  public var data: Data { document.data }
}

// MARK: - In planned order

extension Navigator {
  /// One step of a plan.
  public struct Stop: Hashable, Sendable {
    /// The point's place in ``items``.
    public var item: Int
    /// What the operator is to read beside it: `p=0.91 ctf=4.2`.
    public var remark: String

    public init(item: Int, remark: String = "") {
      self.item = item
      self.remark = remark
    }
  }

  /// What separates a plan's remark from the note that an item already had.
  private static let separator = " | "
  private static let rank = "rank="

  /// The same items in the order of a plan, as SerialEM acquires down its table: first everything that is no point,
  /// so that maps precede what was drawn on them, then the plan's points with `Acquire = 1`, then the other points
  /// with acquisition off. A remark with the rank goes before a point's note; the one of an earlier plan goes away.
  /// - Parameter stops: Points, each at most once.
  /// - Throws: `InputError` if a stop is no point, or comes twice.
  public func ordered(by stops: [Stop]) throws(InputError) -> Navigator {
    var planned: Set<Int> = []
    for stop in stops {
      guard items.indices.contains(stop.item), items[stop.item].kind == .point else {
        throw InputError("the plan names what is no point of the navigator file", at: document.name)
      }
      guard planned.insert(stop.item).inserted else {
        throw InputError(
          "the plan names an item twice", at: document.name,
          found: "'\(items[stop.item].label)' (line \(items[stop.item].line))")
      }
    }
    let sections = document.sections
    let itemSections = sections.indices.filter { sections[$0].kind == "Item" }
    let points = items.indices.filter { items[$0].kind == .point }
    let isPoint = Set(points.map { itemSections[$0] })

    var result = sections.indices.filter { !isPoint.contains($0) }.map { sections[$0] }
    for (rank, stop) in stops.enumerated() {
      var section = sections[itemSections[stop.item]]
      let remark = "\(Self.rank)\(rank + 1)" + (stop.remark.isEmpty ? "" : " \(stop.remark)")
      let note = Self.ownNote(of: section)
      section.set("Note", to: note.isEmpty ? remark : remark + Self.separator + note, after: Self.before("Note"))
      section.set("Acquire", to: "1", after: Self.before("Acquire"))
      result.append(section)
    }
    for point in points where !planned.contains(point) {
      var section = sections[itemSections[point]]
      section.remove("Acquire")
      let note = Self.ownNote(of: section)
      if note.isEmpty { section.remove("Note") } else { section.set("Note", to: note) }
      result.append(section)
    }
    for index in result.indices.dropLast() { result[index].separate() }
    var ordered = document
    ordered.sections = result
    return try Navigator(Autodoc(ordered.data, name: document.name))
  }

  /// A point's note without a plan's remark.
  private static func ownNote(of section: Autodoc.Section) -> String {
    guard let note = section["Note"], note.hasPrefix(rank) else { return section["Note"] ?? "" }
    return note.range(of: separator).map { String(note[$0.upperBound...]) } ?? ""
  }

  /// SerialEM's order of the keys of an item, as far as keys are put in here.
  private static let order = [
    "Color", "StageXYZ", "NumPts", "Corner", "Draw", "RegPt", "Regis", "Type", "Note", "GroupID", "PolyID",
    "Imported", "SuperMontXY", "OrigReg", "DrawnID", "BklshXY", "SamePosId", "RawStageXY", "Acquire"
  ]

  private static func before(_ key: String) -> [String] { Array(order.prefix { $0 != key }) }
}

// MARK: - New files

extension Navigator {
  /// A point to write into a new navigator file.
  public struct Point: Hashable, Sendable {
    public var label: String
    public var stage: StagePosition
    public var note: String
    /// The points of one patch have the same.
    public var groupID: Int

    public init(label: String, stage: StagePosition, note: String = "", groupID: Int = 0) {
      self.label = label
      self.stage = stage
      self.note = note
      self.groupID = groupID
    }
  }

  /// A navigator file of points that are all to be acquired, in this order.
  /// - Throws: `InputError` if there is no point, or if a label or note has an end of line or a bracket in it.
  public init(points: [Point], name: String) throws(InputError) {
    var text = "AdocVersion = 2.00\nLastSavedAs = \(name)\n\n"
    for point in points {
      guard !(point.label + point.note).contains(where: { $0.isNewline || $0 == "]" || $0 == "[" }) else {
        throw InputError(
          "a label or note cannot be written into a navigator file", at: name, found: "'\(point.label)'",
          remedy: "leave out brackets and ends of line")
      }
      let (x, y, z) = (Self.text(point.stage.x), Self.text(point.stage.y), Self.text(point.stage.z))
      text += "[Item = \(point.label)]\nColor = 0\nStageXYZ = \(x) \(y) \(z)\nNumPts = 1\nRegis = 1\nType = 0\n"
      if !point.note.isEmpty { text += "Note = \(point.note)\n" }
      if point.groupID != 0 { text += "GroupID = \(point.groupID)\n" }
      text += "Acquire = 1\nPtsX = \(x)\nPtsY = \(y)\n\n"
    }
    try self.init(Data(text.utf8), name: name)
  }

  private static func text(_ micrometres: Double) -> String { String(format: "%.3f", micrometres) }
}
