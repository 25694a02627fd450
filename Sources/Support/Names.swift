extension String {
  /// How many characters must be changed, put in or left out to come from one to the other (Levenshtein).
  public func distance(to other: String) -> Int {
    let other = Array(other)
    var row = Array(0...other.count)
    for (i, mine) in enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, theirs) in other.enumerated() {
        let substitution = diagonal + (mine == theirs ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = Swift.min(substitution, row[j] + 1, diagonal + 1)
      }
    }
    return row[other.count]
  }

  /// Whether the whole name fits `glob`, where `*` stands for any characters and `?` for one.
  public func matches(glob: String) -> Bool {
    var possible = [true] + Array(repeating: false, count: count)
    for token in glob {
      var next = [token == "*" && possible[0]]
      for (index, character) in enumerated() {
        next.append(
          token == "*"
            ? next[index] || possible[index + 1] : possible[index] && (token == "?" || token == character))
      }
      possible = next
    }
    return possible[count]
  }
}

extension Collection<String> {
  /// The name with the fewest differences; of equally near ones the first in alphabetical order.
  public func nearest(to name: String) -> String? {
    sorted().min { $0.distance(to: name) < $1.distance(to: name) }
  }
}
