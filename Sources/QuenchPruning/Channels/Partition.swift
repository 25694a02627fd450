/// Numbers 0 ..< n in disjoint classes.
struct Partition {
  private var parents: [Int] = []

  /// Takes in so many more numbers, each a class by itself.
  mutating func append(_ count: Int) -> Range<Int> {
    let new = parents.count..<parents.count + count
    parents.append(contentsOf: new)
    return new
  }

  /// The smallest number of its class.
  private mutating func root(of number: Int) -> Int {
    var number = number
    while parents[number] != number {
      parents[number] = parents[parents[number]]
      number = parents[number]
    }
    return number
  }

  mutating func unite(_ a: Int, _ b: Int) {
    let (a, b) = (root(of: a), root(of: b))
    parents[max(a, b)] = min(a, b)
  }

  /// The class of each number; classes are counted in the order of their smallest numbers.
  mutating func classes() -> [Int] {
    var classes: [Int] = []
    var count = 0
    for number in parents.indices {
      let root = root(of: number)
      if root == number {
        classes.append(count)
        count += 1
      } else {
        classes.append(classes[root])
      }
    }
    return classes
  }
}
