import Foundation
import Support

extension Navigator {
  /// The holes of a survey and the items that they come from.
  public struct Targets: Sendable {
    public let survey: Survey
    /// For each hole of the survey its place in ``Navigator/items``.
    public let items: [Int]
    /// For each hole of the survey the exposures that its item stands for.
    public let exposures: [Int]
  }

  /// The points as a survey: which patch, square and tile each lies in.
  ///
  /// A point belongs to the map that it was drawn on (`DrawnID`), or else to the smallest map that encloses it, and
  /// that map in the same way to the next. Of three maps or more the first is the patch, the second the square and
  /// the third the tile. Where there are fewer, the points of one `GroupID` are a patch of the maps that there are.
  /// Points are the ones marked for acquisition, or all if none is.
  /// - Throws: `InputError` if there is no point, or if maps are drawn on each other in a ring.
  public func targets() throws(InputError) -> Targets {
    let points = items.indices.filter { items[$0].kind == .point }
    let marked = points.filter { items[$0].acquires }
    let chosen = marked.isEmpty ? points : marked
    guard !chosen.isEmpty else {
      throw InputError(
        "there is no point to expose in the navigator file", at: document.name, expected: "items of Type 0",
        found: "\(items.count) items of other types")
    }
    let names = uniqueLabels()
    let maps = try MapHierarchy(items, name: document.name)
    var entries: [Survey.Entry] = []
    for index in chosen {
      let item = items[index]
      let levels = try levels(of: item, in: maps, names)
      entries.append(
        Survey.Entry(
          name: names[index], patch: levels.patch, square: levels.square, tile: levels.tile,
          stage: SIMD2(item.stage.x, item.stage.y), location: "\(document.name), line \(item.line)"))
    }
    let survey = try Survey(entries, from: document.name)
    let itemOf = Dictionary(uniqueKeysWithValues: chosen.map { (names[$0], $0) })
    let order = survey.holes.compactMap { itemOf[$0.name] }
    return Targets(survey: survey, items: order, exposures: order.map { items[$0].holes })
  }

  /// The items' labels without commas, which separate columns elsewhere; those that occur twice carry the item's
  /// number, as no two holes may share a name.
  private func uniqueLabels() -> [String] {
    let labels = items.map { $0.label.replacing(",", with: " ") }
    let counts = labels.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    var taken = Set(labels)
    return labels.enumerated().map { index, label in
      guard counts[label] != 1 || label.isEmpty else { return label }
      var name = "\(label)#\(index + 1)"
      while !taken.insert(name).inserted { name += "#" }
      return name
    }
  }

  private func levels(
    of point: NavigatorItem, in maps: MapHierarchy, _ names: [String]
  ) throws(InputError) -> (patch: String, square: String, tile: String) {
    let chain = try maps.chain(from: point).map { names[$0] }
    if chain.count >= 3 { return (chain[0], chain[1], chain[2]) }
    let whole = "whole file"
    guard let group = point.groupID else {
      let patch = chain.first ?? whole
      return (patch, chain.dropFirst().first ?? patch, chain.last ?? whole)
    }
    let square = chain.first ?? whole
    return ("\(square) group \(group)", square, chain.last ?? whole)
  }
}

/// Which map lies on which.
private struct MapHierarchy {
  private let items: [NavigatorItem]
  private let name: String
  /// Places in the items, the smallest outline first.
  private let maps: [Int]
  private let byID: [Int: Int]

  init(_ items: [NavigatorItem], name: String) throws(InputError) {
    self.items = items
    self.name = name
    let areas = items.map(\.area)
    maps = items.indices.filter { items[$0].kind == .map }.sorted { (areas[$0], $0) < (areas[$1], $1) }
    var byID: [Int: Int] = [:]
    for map in maps {
      guard let id = items[map].mapID else { continue }
      if let other = byID.updateValue(map, forKey: id) {
        throw InputError(
          "two maps have the same MapID", at: "\(name), line \(items[map].line)", expected: "another number",
          found: "\(id), also of item '\(items[other].label)' (line \(items[other].line))")
      }
    }
    self.byID = byID
  }

  /// The maps that an item lies on, the nearest first.
  func chain(from item: NavigatorItem) throws(InputError) -> [Int] {
    var chain: [Int] = []
    var current = item
    while let next = parent(of: current, above: chain.last) {
      guard !chain.contains(next) else {
        throw InputError(
          "maps are drawn on each other in a ring", at: "\(name), line \(items[next].line)",
          found: "item '\(items[next].label)'", remedy: "mend the DrawnID of one of them")
      }
      chain.append(next)
      current = items[next]
    }
    return chain
  }

  /// The map that an item was drawn on; without one, the smallest larger map round its centre.
  private func parent(of item: NavigatorItem, above map: Int?) -> Int? {
    if let id = item.drawnID, let drawn = byID[id] { return drawn }
    let candidates = map.flatMap { map in maps.firstIndex(of: map) }.map { maps[($0 + 1)...] } ?? maps[...]
    return candidates.first { items[$0].encloses(item.stage) }
  }
}
