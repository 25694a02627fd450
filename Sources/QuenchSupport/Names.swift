extension String {
  /// How many characters must be changed, put in, left out or swapped with their neighbour to come from one to the
  /// other (Damerau and Levenshtein's distance, in its restricted form).
  public func distance(to other: String) -> Int {
    let (mine, theirs) = (Array(self), Array(other))
    var (earlier, row) = ([Int](), Array(0...theirs.count))
    for i in mine.indices {
      var next = [i + 1]
      for j in theirs.indices {
        var least = Swift.min(row[j] + (mine[i] == theirs[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
        if i > 0, j > 0, mine[i] == theirs[j - 1], mine[i - 1] == theirs[j] {
          least = Swift.min(least, earlier[j - 1] + 1)
        }
        next.append(least)
      }
      (earlier, row) = (row, next)
    }
    return row[theirs.count]
  }

  /// Without capitals, and without what separates words: as `ResNet-20` and `resnet20` are one name.
  fileprivate var plainSpelling: String { lowercased().filter { !"-_ ".contains($0) } }

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
  /// The name that `name` was probably meant to be: one that begins so, or one with few differences for its length,
  /// of these the one with the fewest; of equally near ones the first in alphabetical order. Capitals, hyphens and
  /// underscores make no difference.
  /// - Returns: nil where none is near.
  public func nearest(to name: String) -> String? {
    let wanted = name.plainSpelling
    return sorted().compactMap { candidate -> (name: String, distance: Int)? in
      let spelling = candidate.plainSpelling
      let distance = spelling.distance(to: wanted)
      let isNear = distance <= Swift.max(1, Swift.max(wanted.count, spelling.count) / 3)
      let isBegun = wanted.count >= 3 && spelling.hasPrefix(wanted)
      return isNear || isBegun ? (candidate, distance) : nil
    }
    .min { $0.distance < $1.distance }?.name
  }
}
