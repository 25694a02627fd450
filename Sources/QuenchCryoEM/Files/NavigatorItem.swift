import QuenchSupport

/// A place on the stage, in micrometres.
public struct StagePosition: Hashable, Codable, Sendable {
  public var x: Double
  public var y: Double
  public var z: Double

  public init(x: Double, y: Double, z: Double = 0) {
    self.x = x
    self.y = y
    self.z = z
  }

  /// In the plane, in micrometres.
  public func distance(to other: StagePosition) -> Double {
    ((x - other.x) * (x - other.x) + (y - other.y) * (y - other.y)).squareRoot()
  }
}

/// Width and height in pixels.
public struct PixelSize: Hashable, Codable, Sendable {
  public var width: Int
  public var height: Int

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }
}

/// One item of a navigator file: a point, a polygon or a map.
public struct NavigatorItem: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    case point, polygon, map
    /// A type that is not known here; such items are kept and not used.
    case other(Int)

    init(type: Int) {
      switch type {
      case 0: self = .point
      case 1: self = .polygon
      case 2: self = .map
      default: self = .other(type)
      }
    }
  }

  /// What SerialEM calls the item in its table; need not be unique.
  public let label: String
  public let kind: Kind
  /// Which stage coordinates it has: those of items of one registration fit each other.
  public let registration: Int
  public let stage: StagePosition
  /// Corners on the stage, in micrometres; one for a point, five for a map's frame, the last equal to the first.
  public let outline: [StagePosition]
  public let note: String?
  /// Points that were made together; nil for none.
  public let groupID: Int?
  /// The ``mapID`` of the map that the item was drawn on; nil for none.
  public let drawnID: Int?
  public let mapID: Int?
  /// Whether it is to be acquired.
  public let acquires: Bool
  /// Exposures that one stage position stands for: holes of a multi-shot pattern, or 1.
  public let holes: Int
  /// Turns micrometres on the stage into pixels of the map: `[[xpx, xpy], [ypx, ypy]]`.
  public let mapScale: [Double]?
  /// Width and height of the map in pixels.
  public let mapSize: PixelSize?
  /// The line that opens the item, counted from 1.
  public let line: Int

  /// The stage position of a map's pixel, counted from the upper left corner.
  /// - Returns: Nil if the item is no map, or if its matrix cannot be inverted.
  public func stagePosition(ofPixel x: Double, _ y: Double) -> StagePosition? {
    guard kind == .map, let m = mapScale, let size = mapSize else { return nil }
    let determinant = m[0] * m[3] - m[1] * m[2]
    guard determinant.magnitude > 1e-12 else { return nil }
    let (dx, dy) = (x - Double(size.width) / 2, y - Double(size.height) / 2)
    return StagePosition(
      x: stage.x + (m[3] * dx - m[1] * dy) / determinant, y: stage.y + (m[0] * dy - m[2] * dx) / determinant,
      z: stage.z)
  }

  /// The map's pixel at a stage position, counted from the upper left corner; nil if the item is no map.
  public func pixel(at position: StagePosition) -> (x: Double, y: Double)? {
    guard kind == .map, let m = mapScale, let size = mapSize else { return nil }
    let (dx, dy) = (position.x - stage.x, position.y - stage.y)
    return (m[0] * dx + m[1] * dy + Double(size.width) / 2, m[2] * dx + m[3] * dy + Double(size.height) / 2)
  }

  /// Whether a position lies inside the outline (even-odd rule).
  public func encloses(_ position: StagePosition) -> Bool {
    guard outline.count >= 3 else { return false }
    var isInside = false
    var previous = outline[outline.count - 1]
    for corner in outline {
      if (corner.y > position.y) != (previous.y > position.y),
        position.x < (previous.x - corner.x) * (position.y - corner.y) / (previous.y - corner.y) + corner.x
      {
        isInside.toggle()
      }
      previous = corner
    }
    return isInside
  }

  /// The outline's area in square micrometres.
  var area: Double {
    guard var previous = outline.last else { return 0 }
    return outline.reduce(0) { sum, corner in
      defer { previous = corner }
      return sum + (previous.x * corner.y - corner.x * previous.y) / 2
    }.magnitude
  }
}

extension NavigatorItem {
  static let requiredKeys = ["StageXYZ", "NumPts", "Regis", "Type", "PtsX", "PtsY"]

  /// Reads the keys of one `[Item = ...]` section.
  /// - Throws: `InputError` with the line of a key that is missing or has a wrong value.
  init(_ section: Autodoc.Section, of document: Autodoc) throws(InputError) {
    let missing = Self.requiredKeys.filter { section[$0] == nil }
    guard missing.isEmpty else {
      throw InputError(
        "item '\(section.label)' is truncated", at: document.location(of: section),
        expected: "also \(missing.joined(separator: ", "))", found: section.keys.last.map { "its end after \($0)" },
        remedy: "save the navigator file again")
    }
    label = section.label
    line = section.line
    kind = Kind(type: try document.integer("Type", in: section) ?? 0)
    registration = try document.integer("Regis", in: section) ?? 1
    let stage = try document.numbers("StageXYZ", in: section, count: 2...3) ?? []
    self.stage = StagePosition(x: stage[0], y: stage[1], z: stage.count > 2 ? stage[2] : 0)
    outline = try Self.outline(section, of: document, z: self.stage.z)
    note = section["Note"]
    groupID = try document.integer("GroupID", in: section).flatMap { $0 == 0 ? nil : $0 }
    drawnID = try document.integer("DrawnID", in: section).flatMap { $0 == 0 ? nil : $0 }
    mapID = try document.integer("MapID", in: section).flatMap { $0 == 0 ? nil : $0 }
    acquires = try document.integer("Acquire", in: section).map { $0 != 0 } ?? false
    holes = try Self.holes(section, of: document)
    mapScale = try document.numbers("MapScaleMat", in: section, count: 4...4)
    if let size = try document.numbers("MapWidthHeight", in: section, count: 2...2) {
      guard let width = Int(exactly: size[0]), let height = Int(exactly: size[1]), width > 0, height > 0 else {
        throw InputError(
          "MapWidthHeight has a wrong value", at: document.location(of: section, key: "MapWidthHeight"),
          expected: "two numbers of pixels above 0", found: section["MapWidthHeight"])
      }
      mapSize = PixelSize(width: width, height: height)
    } else {
      mapSize = nil
    }
  }

  private static func outline(
    _ section: Autodoc.Section, of document: Autodoc, z: Double
  ) throws(InputError) -> [StagePosition] {
    let count = try document.integer("NumPts", in: section) ?? 0
    guard (0...10_000_000).contains(count) else {
      throw InputError(
        "NumPts has a wrong value", at: document.location(of: section, key: "NumPts"), expected: "0 or more",
        found: "\(count)")
    }
    let x = try document.numbers("PtsX", in: section, count: count...count) ?? []
    let y = try document.numbers("PtsY", in: section, count: count...count) ?? []
    return zip(x, y).map { StagePosition(x: $0, y: $1, z: z) }
  }

  /// `HoleArray = nx ny` without the pairs of `SkipHoles`; ny = -1 stands for nx rings of a hexagonal pattern.
  private static func holes(_ section: Autodoc.Section, of document: Autodoc) throws(InputError) -> Int {
    guard let array = try document.numbers("HoleArray", in: section, count: 2...2) else { return 1 }
    let skipped = (try document.numbers("SkipHoles", in: section)?.count ?? 0) / 2
    guard (1...1000).contains(array[0]), array[1] == -1 || (1...1000).contains(array[1]),
      let nx = Int(exactly: array[0]), let ny = Int(exactly: array[1])
    else {
      throw InputError(
        "HoleArray has a wrong value", at: document.location(of: section, key: "HoleArray"),
        expected: "two numbers of holes from 1 to 1000, or rings and -1", found: section["HoleArray"])
    }
    return max(1, (ny == -1 ? 3 * nx * (nx + 1) + 1 : nx * ny) - skipped)
  }
}
