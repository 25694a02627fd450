import QuenchSupport

/// One exposure target.
public struct Hole: Hashable, Sendable {
  public var name: String
  /// The position of its patch in ``Survey/patches``.
  public var patch: Int
  /// Offset from the centre of the parent image, in pixels of that image.
  public var offset: SIMD2<Double>?
  /// Stage position x, y in µm.
  public var stage: SIMD2<Double>?
  /// What was measured.
  public var fit: CTFFit
  /// The CTF program's own figure of merit, about 0 to 1.
  public var confidence: Double?
  public var prediction: Prediction?
}

/// A part of the specimen that holds smaller parts, which lie one after the other in the survey's order.
public struct Region: Hashable, Sendable {
  public var name: String
  /// The position of the next larger part in its own list; 0 for grids, which have none.
  public var parent: Int
  /// Positions of the next smaller parts: of a patch its holes, of a square its patches, and so on.
  public var parts: Range<Int>
  /// Positions of the holes in it.
  public var holes: Range<Int>
}

/// The holes that a grid, or several, offer, in the hierarchy that they are imaged in: physical grid, atlas tile,
/// square, patch, hole.
///
/// Holes stand in the reference order: grids, tiles, squares and patches sorted by name (byte by byte), holes of a patch
/// as they were given. So every region is a range of holes.
public struct Survey: Hashable, Sendable {
  /// The levels of the hierarchy above a hole, smallest first.
  public enum Level: Int, CaseIterable, Comparable, Sendable {
    case patch, square, tile, grid
    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
  }

  public private(set) var holes: [Hole]
  public let patches: [Region]
  public let squares: [Region]
  public let tiles: [Region]
  public let grids: [Region]
  /// For each hole the positions of its square, tile and grid.
  let squareOfHole: [Int32]
  let tileOfHole: [Int32]
  let gridOfHole: [Int32]
  let patchOfHole: [Int32]

  /// A hole with the names of what it lies in.
  public struct Entry: Hashable, Sendable {
    public var name: String
    public var patch: String
    public var square: String
    public var tile: String
    public var grid: String
    public var offset: SIMD2<Double>?
    public var stage: SIMD2<Double>?
    public var fit: CTFFit
    public var confidence: Double?
    public var prediction: Prediction?
    /// Where it comes from, for errors: a file and a line.
    public var location: String?

    public init(
      name: String, patch: String, square: String, tile: String, grid: String = "", offset: SIMD2<Double>? = nil,
      stage: SIMD2<Double>? = nil, fit: CTFFit = .unmeasured, confidence: Double? = nil,
      prediction: Prediction? = nil, location: String? = nil
    ) {
      self.name = name
      self.patch = patch
      self.square = square
      self.tile = tile
      self.grid = grid
      self.offset = offset
      self.stage = stage
      self.fit = fit
      self.confidence = confidence
      self.prediction = prediction
      self.location = location
    }

    /// An entry whose parents follow from a Leginon name.
    public init(
      _ name: HoleName, offset: SIMD2<Double>? = nil, fit: CTFFit = .unmeasured, confidence: Double? = nil,
      location: String? = nil
    ) {
      self.init(
        name: name.hole, patch: name.patch, square: name.square, tile: name.tile, grid: name.grid, offset: offset,
        fit: fit, confidence: confidence, location: location)
    }
  }

  /// Sorts `entries` into the reference order.
  /// - Throws: `InputError` if there are none, or if two have one name.
  public init(_ entries: [Entry], from location: String) throws(InputError) {
    guard !entries.isEmpty else {
      throw InputError(
        "the survey is empty", at: location, expected: "at least one hole",
        remedy: "name a file with a line for every hole")
    }
    var seen: [String: Int] = [:]
    for (position, entry) in entries.enumerated() {
      if let first = seen.updateValue(position, forKey: entry.name) {
        throw InputError(
          "the hole '\(entry.name)' occurs twice", at: entry.location ?? location,
          found: entries[first].location.map { "it also stands at \($0)" }, remedy: "remove one of the two lines")
      }
    }
    let paths = entries.map {
      [Array($0.grid.utf8), Array($0.tile.utf8), Array($0.square.utf8), Array($0.patch.utf8)]
    }
    let order = entries.indices.sorted { a, b in
      for (left, right) in zip(paths[a], paths[b]) where left != right {
        return left.lexicographicallyPrecedes(right)
      }
      return a < b
    }

    var regions = [[Region]](repeating: [], count: 4)
    var holes: [Hole] = []
    for (position, index) in order.enumerated() {
      let entry = entries[index]
      let names = [entry.grid, entry.tile, entry.square, entry.patch]
      let same = position == 0 ? 0 : zip(paths[order[position - 1]], paths[index]).prefix { $0 == $1 }.count
      for level in same..<4 {
        let parent = level == 0 ? 0 : regions[level - 1].count - 1
        let start = level == 3 ? position : regions[level + 1].count
        regions[level].append(
          Region(name: names[level], parent: parent, parts: start..<start, holes: position..<position))
      }
      for level in 0..<4 {
        let last = regions[level].count - 1
        let end = level == 3 ? position + 1 : regions[level + 1].count
        regions[level][last].parts = regions[level][last].parts.lowerBound..<end
        regions[level][last].holes = regions[level][last].holes.lowerBound..<position + 1
      }
      holes.append(
        Hole(
          name: entry.name, patch: regions[3].count - 1, offset: entry.offset, stage: entry.stage, fit: entry.fit,
          confidence: entry.confidence, prediction: entry.prediction))
    }
    self.holes = holes
    (grids, tiles, squares, patches) = (regions[0], regions[1], regions[2], regions[3])
    func owners(_ level: [Region]) -> [Int32] {
      level.enumerated().flatMap { Array(repeating: Int32($0), count: $1.holes.count) }
    }
    patchOfHole = owners(patches)
    squareOfHole = owners(squares)
    tileOfHole = owners(tiles)
    gridOfHole = owners(grids)
  }

  /// The number of holes.
  public var count: Int { holes.count }

  /// The regions of one level.
  public func regions(_ level: Level) -> [Region] {
    switch level {
    case .patch: patches
    case .square: squares
    case .tile: tiles
    case .grid: grids
    }
  }

  /// The position of the region of `level` that `hole` lies in.
  public func region(of hole: Int, _ level: Level) -> Int {
    switch level {
    case .patch: Int(patchOfHole[hole])
    case .square: Int(squareOfHole[hole])
    case .tile: Int(tileOfHole[hole])
    case .grid: Int(gridOfHole[hole])
    }
  }

  /// The hole called `name`.
  /// - Throws: `InputError` that names the nearest one there is.
  public func index(of name: String, at location: String) throws(InputError) -> Int {
    if let index = holes.firstIndex(where: { $0.name == name }) { return index }
    let nearest = holes.count <= 20_000 ? holes.lazy.map(\.name).nearest(to: name) : nil
    throw InputError(
      "there is no hole of this name in the survey", at: location,
      expected: "a hole's whole name, or its index from 0",
      found: "'\(name)'", remedy: nearest.map { "the nearest name is '\($0)'" })
  }

  /// What was measured, by hole.
  public var measurements: [Int: CTFFit] {
    holes.enumerated().reduce(into: [:]) { if $1.element.fit.isMeasured { $0[$1.offset] = $1.element.fit } }
  }

  /// What predictions mean; resolutions where there are none.
  public var predictionKind: Prediction.Kind { holes.lazy.compactMap(\.prediction).first?.kind ?? .resolution }

  /// How many holes are good at `threshold` Å.
  public func goodCount(threshold: Double) -> Int { holes.count { $0.fit.isGood(threshold: threshold) } }

  /// The same holes as they are before anything was exposed: what a planner may see.
  public var withoutMeasurements: Survey {
    var copy = self
    for index in copy.holes.indices {
      copy.holes[index].fit = .unmeasured
      copy.holes[index].confidence = nil
    }
    return copy
  }

  /// The holes at `indices` alone, in the same order.
  /// - Throws: `InputError` if there are none.
  public func subset(_ indices: some Sequence<Int>, from location: String) throws(InputError) -> Survey {
    try Survey(indices.sorted().map(entry), from: location)
  }

  /// The holes outside some of its tiles, and those within them, in the same order.
  /// - Throws: `InputError` if there are none on one side.
  package func splitting(off tiles: [Region]) throws(InputError) -> (rest: Survey, tiles: Survey) {
    let within = Set(tiles.flatMap(\.holes))
    return (
      try subset(holes.indices.filter { !within.contains($0) }, from: "the other tiles"),
      try subset(within, from: "the tiles split off")
    )
  }

  /// The hole at `index` with the names of what it lies in.
  public func entry(_ index: Int) -> Entry {
    let hole = holes[index]
    return Entry(
      name: hole.name, patch: patches[hole.patch].name, square: squares[region(of: index, .square)].name,
      tile: tiles[region(of: index, .tile)].name, grid: grids[region(of: index, .grid)].name, offset: hole.offset,
      stage: hole.stage, fit: hole.fit, confidence: hole.confidence, prediction: hole.prediction)
  }

  /// The same survey with other predictions, one a hole.
  public func predicting(_ predictions: [Prediction?]) -> Survey {
    precondition(predictions.count == count, "one prediction a hole")
    var copy = self
    for (index, prediction) in predictions.enumerated() { copy.holes[index].prediction = prediction }
    return copy
  }

  /// The same survey with other measurements, one a hole.
  public func measuring(_ fits: [CTFFit]) -> Survey {
    precondition(fits.count == count, "one fit a hole")
    var copy = self
    for (index, fit) in fits.enumerated() { copy.holes[index].fit = fit }
    return copy
  }
}
