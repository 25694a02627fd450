import Foundation
import QuenchReporting
import QuenchSupport

extension Navigator {
  /// The holes of a survey and the items that they come from.
  public struct Targets: Sendable {
    public let survey: Survey
    /// For each hole of the survey its place in ``Navigator/items``.
    public let items: [Int]
    /// For each hole of the survey the exposures that its item stands for.
    public let exposures: [Int]
    /// The registration that they belong to.
    public let registration: Int
    /// Points that would be holes but for their registration.
    public let otherRegistrations: Int
  }

  /// The points as a survey: which patch, square and tile each lies in.
  ///
  /// A point belongs to the map that it was drawn on (`DrawnID`), or else to the smallest map that encloses it, and
  /// that map in the same way to the next. Of three maps or more the first is the patch, the second the square and
  /// the third the tile. Where there are fewer, the points of one `GroupID` are a patch of the maps that there are.
  /// Points are the ones marked for acquisition, or all if none is; those of other registrations lie in coordinates of
  /// their own and are left out.
  /// - Parameter registration: Which; nil: the one with the most points, and of equals the one with the most maps.
  /// - Throws: `InputError` if there is no point, or if maps are drawn on each other in a ring.
  public func targets(registration: Int? = nil) throws(InputError) -> Targets {
    let points = items.indices.filter { items[$0].kind == .point }
    let marked = points.filter { items[$0].acquires }
    let candidates = marked.isEmpty ? points : marked
    let counts = candidates.reduce(into: [Int: Int]()) { $0[items[$1].registration, default: 0] += 1 }
    let maps = items.filter { $0.kind == .map }.reduce(into: [Int: Int]()) { $0[$1.registration, default: 0] += 1 }
    let most = counts.max { a, b in (a.value, maps[a.key] ?? 0, a.key) < (b.value, maps[b.key] ?? 0, b.key) }
    let registration = registration ?? most?.key ?? 1
    let chosen = candidates.filter { items[$0].registration == registration }
    guard !chosen.isEmpty else {
      throw InputError(
        "there is no point to expose in the navigator file", at: document.name,
        expected: counts.isEmpty ? "items of Type 0" : "items of Type 0 with Regis = \(registration)",
        found: counts.isEmpty
          ? "\(NumberText.count(items.count, "item")) of other types"
          : "Regis = \(counts.keys.sorted().map(String.init).joined(separator: ", "))")
    }
    let names = names()
    let hierarchy = try MapHierarchy(items, registration: registration, name: document.name)
    var entries: [Survey.Entry] = []
    for index in chosen {
      let item = items[index]
      let levels = try levels(of: item, in: hierarchy, names)
      entries.append(
        Survey.Entry(
          name: names[index], patch: levels.patch, square: levels.square, tile: levels.tile,
          stage: SIMD2(item.stage.x, item.stage.y), location: "\(document.name), line \(item.line)"))
    }
    let survey = try Survey(entries, from: document.name)
    let itemOf = Dictionary(uniqueKeysWithValues: chosen.map { (names[$0], $0) })
    let order = survey.holes.compactMap { itemOf[$0.name] }
    return Targets(
      survey: survey, items: order, exposures: order.map { items[$0].holes }, registration: registration,
      otherRegistrations: candidates.count - chosen.count)
  }

  /// What a hole is called whose item has this label, unless another item has it, too.
  package static func holeName(ofLabel label: String) -> String { label.replacing(",", with: " ") }

  /// The names of all points by their place in ``items``.
  func pointNames() -> [Int: String] {
    let names = names()
    return Dictionary(
      uniqueKeysWithValues: items.indices.filter { items[$0].kind == .point }.map { ($0, names[$0]) })
  }

  /// The items' names: their labels, as no two holes may share a name, with what else tells twins apart, wherever they stand
  /// in the file: their own number, or where they lie on the stage.
  private func names() -> [String] {
    let labels = items.map { Self.holeName(ofLabel: $0.label) }
    let counts = labels.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    var taken: [String: Int] = [:]
    return zip(items, labels).map { item, label in
      var name = label
      if counts[label] != 1 || label.isEmpty {
        let place = "\(NumberText.plain(item.stage.x, digits: 9))/\(NumberText.plain(item.stage.y, digits: 9))"
          .replacing(",", with: "")
        name += "@" + (item.mapID.map { "\($0)" } ?? place)
      }
      // Twins of one place are exchangeable: any order of them will do.
      let twins = taken[name, default: 0]
      taken[name] = twins + 1
      return twins == 0 ? name : "\(name)#\(twins + 1)"
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

  init(_ items: [NavigatorItem], registration: Int, name: String) throws(InputError) {
    self.items = items
    self.name = name
    let areas = items.map(\.area)
    maps = items.indices.filter { items[$0].kind == .map && items[$0].registration == registration }.sorted {
      (areas[$0], $0) < (areas[$1], $1)
    }
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
