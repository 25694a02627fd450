import QuenchSupport
import QuenchTorch

/// Which of a network's classes the classes of a data set are.
///
/// They match by name, whole or up to the first comma, by the WordNet id that a name begins with or is (`n01440764`), or
/// else as the numbers of classes from 0; upper and lower case, spaces and underscores are alike.
struct ClassMatching {
  /// For each class of the data set that of the network, in label order.
  let places: [Int]
  /// Whether nothing but their order says that they are the same.
  let isByOrder: Bool

  /// - Parameters:
  ///   - names: The classes of the data set, in label order.
  ///   - network: Those of the network; empty where nobody knows.
  ///   - count: How many classes the network has.
  ///   - location: What errors call the data set.
  /// - Throws: `InputError` if some are not the network's, or nothing says which they are.
  init(_ names: [String], among network: [String], count: Int, at location: String) throws(InputError) {
    let positions = Self.positions(of: network)
    let found = names.map { name in Self.keys(of: name).lazy.compactMap { positions[$0] }.first }
    if found.contains(where: { $0 != nil }) {
      if let missing = found.firstIndex(of: nil) {
        throw InputError(
          "the network has no such class", at: "\(location), class '\(names[missing])'",
          expected: network.prefix(5).joined(separator: ", ") + (network.count > 5 ? ", ..." : ""),
          remedy: "call the class as the network does, or leave it out")
      }
      places = found.compactMap { $0 }
      guard Set(places).count == places.count else {
        throw InputError("two classes are one class of the network", at: location)
      }
      isByOrder = false
      return
    }
    let numbers = names.compactMap { Int($0) }.filter { (0..<count).contains($0) }
    if numbers.count == names.count, Set(numbers).count == names.count, names.count <= count {
      (places, isByOrder) = (numbers, false)
      return
    }
    guard names.count == count else {
      throw InputError(
        "the network has \(count) classes, and nothing says which the \(names.count) of the data are", at: location,
        found: names.prefix(5).joined(separator: ", "),
        remedy: "name the network's classes in a file, with `classes`, or call the folders by their numbers from 0")
    }
    (places, isByOrder) = (Array(0..<count), true)
  }

  private static func positions(of names: [String]) -> [String: Int] {
    var positions: [String: Int?] = [:]
    for (position, name) in names.enumerated() {
      // What two classes are called tells neither.
      for key in keys(of: name) { positions[key] = positions[key] == nil ? position : .some(nil) }
    }
    return positions.compactMapValues { $0 }
  }

  /// What a class may be known by, the most telling first.
  private static func keys(of name: String) -> [String] {
    func plain(_ text: some StringProtocol) -> String {
      text.lowercased().split { $0 == " " || $0 == "_" || $0 == "-" }.joined(separator: " ")
    }
    var keys = [plain(name)]
    if let first = name.split(separator: ",").first, plain(first) != keys[0] { keys.append(plain(first)) }
    let words = keys[0].split(separator: " ", maxSplits: 1)
    if let id = words.first, id.count == 9, id.first == "n", id.dropFirst().allSatisfy(\.isNumber) {
      keys.append(String(id))
      if let rest = words.dropFirst().first { keys.append(plain(rest.prefix { $0 != "," })) }
    }
    var seen: Set<String> = []
    return keys.filter { !$0.isEmpty && seen.insert($0).inserted }
  }
}

extension ImageDataset {
  /// The same images with the labels of a network that knows these classes, perhaps among others.
  /// - Parameters:
  ///   - network: The network's classes; empty where nobody knows.
  ///   - count: How many it has.
  /// - Returns: The images, and what is to be said of how classes were matched.
  /// - Throws: `InputError` if nothing says which of them a class is.
  func matching(_ network: [String], count: Int) throws(InputError) -> (dataset: ImageDataset, note: String?) {
    let matching = try ClassMatching(classNames, among: network, count: count, at: name)
    if matching.isByOrder {
      let differ = !network.isEmpty && network != classNames
      return (self, differ ? "the network calls its classes otherwise than the data: they are taken in order" : nil)
    }
    var copy = self
    let named = zip(matching.places, classNames)
    copy.labels = Tensor(matching.places).to(labels.device).selecting(labels)
    copy.classNames =
      network.isEmpty
      ? named.reduce(into: (0..<count).map { "class \($0)" }) { $0[$1.0] = $1.1 } : network
    let isPart = matching.places.count < count
    return (copy, isPart ? "the data have \(matching.places.count) of the network's \(count) classes" : nil)
  }
}
