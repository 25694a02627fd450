import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The last transitions of several environments, each in a ring of its own. A state is kept as its regions' numbers and
/// one bit a hole, a few kilobytes; observations are put together again when they are sampled.
struct ReplayBuffer {
  /// Where a state lies.
  struct Slot: Hashable {
    var ring: Int
    var position: Int
  }

  let encoder: FeatureEncoder
  /// Transitions in each ring.
  let capacity: Int
  let rings: Int
  /// One slot is for the state without an action yet, three for the history of the oldest transition.
  private var size: Int { capacity + 4 }
  private let groupCount: Int
  private let words: Int

  private var groups: [Float]
  private var visited: [UInt64]
  private var current: [Int32]
  private var timeLeft: [Float]
  private var episodeStep: [Int32]
  private(set) var action: [Int32]
  private(set) var reward: [Float]
  private(set) var isDone: [Bool]
  /// By ring, the slot of the state without an action, and how many transitions there are.
  private var head: [Int]
  private(set) var filled: [Int]
  /// Priorities to the power α, where transitions are not sampled uniformly.
  private var priorities: SumTree?
  private var largestPriority = 1.0
  private let alpha: Double

  init(_ encoder: FeatureEncoder, capacity: Int, rings: Int, priorityExponent: Double?) {
    self.encoder = encoder
    self.capacity = capacity
    self.rings = rings
    let survey = encoder.survey
    groupCount = (survey.patches.count + survey.squares.count + survey.tiles.count) * encoder.mode.groupWidth
    words = (survey.count + 63) / 64
    let slots = (capacity + 4) * rings
    groups = Array(repeating: 0, count: slots * groupCount)
    visited = Array(repeating: 0, count: slots * words)
    current = Array(repeating: 0, count: slots)
    timeLeft = Array(repeating: 0, count: slots)
    episodeStep = Array(repeating: 0, count: slots)
    action = Array(repeating: 0, count: slots)
    reward = Array(repeating: 0, count: slots)
    isDone = Array(repeating: false, count: slots)
    head = Array(repeating: 0, count: rings)
    filled = Array(repeating: 0, count: rings)
    alpha = priorityExponent ?? 0
    if priorityExponent != nil { priorities = SumTree(count: slots) }
  }

  private func index(_ slot: Slot) -> Int { slot.ring * size + slot.position }

  /// Stores the state that the next action of `ring` is taken in.
  mutating func store(_ frames: FeatureFrames, in ring: Int) {
    let slot = ring * size + head[ring]
    let newest = frames.frames[3]
    for index in 0..<groupCount { groups[slot * groupCount + index] = newest.groups[index] }
    for word in 0..<words { visited[slot * words + word] = 0 }
    for (hole, step) in frames.visitStep.enumerated() where step <= newest.step {
      visited[slot * words + hole / 64] |= 1 << UInt64(hole % 64)
    }
    current[slot] = Int32(newest.current)
    timeLeft[slot] = newest.timeLeft
    episodeStep[slot] = newest.step
    priorities?.set(slot, 0)
  }

  /// Stores what followed from the state that was stored last in `ring`.
  mutating func store(action hole: Int, reward earned: Double, isDone ended: Bool, in ring: Int) {
    let slot = ring * size + head[ring]
    action[slot] = Int32(hole)
    reward[slot] = Float(earned)
    isDone[slot] = ended
    head[ring] = (head[ring] + 1) % size
    filled[ring] = min(filled[ring] + 1, capacity)
    guard priorities != nil else { return }
    priorities?.set(slot, largestPriority)
    // The transition that has just left the window of those that may be sampled.
    let leaving = ring * size + (head[ring] - filled[ring] - 1 + 2 * size) % size
    priorities?.set(leaving, 0)
  }

  /// Transitions with their weights in the loss: those of rare ones are larger where sampling is uniform, 1.
  func sample(_ count: Int, beta: Double, using generator: inout SplitMix64) -> [(slot: Slot, weight: Double)] {
    let total = filled.reduce(0, +)
    guard let priorities else {
      return (0..<count).map { _ in
        var number = Int.random(in: 0..<total, using: &generator)
        var ring = 0
        while number >= filled[ring] {
          number -= filled[ring]
          ring += 1
        }
        return (Slot(ring: ring, position: (head[ring] - 1 - number + size) % size), 1)
      }
    }
    let drawn = (0..<count).map { _ in priorities.find(Double.random(in: 0..<1, using: &generator)) }
    let weights = drawn.map { pow(Double(total) * priorities.share($0), -beta) }
    let largest = weights.max() ?? 1
    return zip(drawn, weights).map { (Slot(ring: $0 / size, position: $0 % size), $1 / largest) }
  }

  /// New priorities, by the size of the temporal-difference error.
  mutating func prioritize(_ slots: [Slot], errors: [Float]) {
    guard priorities != nil else { return }
    for (slot, error) in zip(slots, errors) {
      let (priority, leaf) = (pow(Double(abs(error)) + 1e-6, alpha), index(slot))
      priorities?.set(leaf, priority)
      largestPriority = max(largestPriority, priority)
    }
  }

  /// The return over up to `steps` steps, and the state to bootstrap from with its discount; nil after an episode's end.
  func window(from slot: Slot, steps: Int, discount: Double) -> (
    sum: Double, bootstrap: (slot: Slot, discount: Double)?
  ) {
    var (sum, factor, position) = (0.0, 1.0, slot.position)
    for _ in 0..<steps where position != head[slot.ring] {
      let index = slot.ring * size + position
      sum += factor * Double(reward[index])
      factor *= discount
      position = (position + 1) % size
      if isDone[index] { return (sum, nil) }
    }
    return (sum, (Slot(ring: slot.ring, position: position), factor))
  }

  func action(_ slot: Slot) -> Int { Int(action[index(slot)]) }

  func isVisited(_ slot: Slot, _ hole: Int) -> Bool {
    visited[index(slot) * words + hole / 64] >> UInt64(hole % 64) & 1 == 1
  }

  /// Writes the observations of `holes` in the state at `slot`, row by row.
  func write(_ slot: Slot, _ holes: [Int], _ target: UnsafeMutablePointer<Float>) {
    let width = encoder.mode.width
    let step = Int(episodeStep[index(slot)])
    groups.withUnsafeBufferPointer { groups in
      for frame in 0..<4 {
        let back = min(3 - frame, step)
        let position = (slot.position - back + size) % size
        let other = slot.ring * size + position
        let rows = UnsafeBufferPointer(rebasing: groups[other * groupCount..<(other + 1) * groupCount])
        for (row, hole) in holes.enumerated() {
          let isVisited = visited[other * words + hole / 64] >> UInt64(hole % 64) & 1 == 1
          encoder.write(
            hole, groups: rows, current: Int(current[other]), timeLeft: timeLeft[other], isVisited: isVisited,
            target + (row * 4 + frame) * width)
        }
      }
    }
  }

  /// Everything, as tensors.
  var state: StateDictionary {
    StateDictionary([
      ("replay.groups", Tensor(groups)), ("replay.visited", Tensor(visited.map { Int64(bitPattern: $0) })),
      ("replay.current", Tensor(current.map(Int64.init))), ("replay.time_left", Tensor(timeLeft)),
      ("replay.episode_step", Tensor(episodeStep.map(Int64.init))),
      ("replay.action", Tensor(action.map(Int64.init))),
      ("replay.reward", Tensor(reward)), ("replay.is_done", Tensor(isDone.map { Int64($0 ? 1 : 0) })),
      ("replay.head", Tensor(head.map(Int64.init))), ("replay.filled", Tensor(filled.map(Int64.init))),
      ("replay.priorities", Tensor(priorities?.leaves ?? [])), ("replay.largest", Tensor([largestPriority]))
    ])
  }

  mutating func restore(_ state: StateDictionary, from location: String) throws(InputError) {
    func tensor(_ name: String, _ count: Int) throws(InputError) -> Tensor {
      guard let tensor = state["replay.\(name)"], tensor.count == count else {
        throw InputError(
          "the checkpoint's '\(name)' does not fit", at: location, remedy: "start the run anew in another folder")
      }
      return tensor
    }
    func integers(_ name: String, _ count: Int) throws(InputError) -> [Int64] { try tensor(name, count).array() }
    let slots = size * rings
    groups = try tensor("groups", slots * groupCount).array()
    visited = try integers("visited", slots * words).map { UInt64(bitPattern: $0) }
    current = try integers("current", slots).map { Int32(truncatingIfNeeded: $0) }
    timeLeft = try tensor("time_left", slots).array()
    episodeStep = try integers("episode_step", slots).map { Int32(truncatingIfNeeded: $0) }
    action = try integers("action", slots).map { Int32(truncatingIfNeeded: $0) }
    reward = try tensor("reward", slots).array()
    isDone = try integers("is_done", slots).map { $0 != 0 }
    head = try integers("head", rings).map(Int.init)
    filled = try integers("filled", rings).map(Int.init)
    if priorities != nil {
      let leaves = try tensor("priorities", slots).array(Double.self)
      for (index, value) in leaves.enumerated() { priorities?.set(index, value) }
    }
    largestPriority = try tensor("largest", 1).item()
  }
}

/// Numbers of which one is drawn in proportion to its size, in logarithmic time.
struct SumTree {
  private var nodes: [Double]
  private let first: Int
  private let count: Int

  init(count: Int) {
    var size = 1
    while size < count { size *= 2 }
    first = size
    self.count = count
    nodes = Array(repeating: 0, count: 2 * size)
  }

  var leaves: [Double] { Array(nodes[first..<first + count]) }

  mutating func set(_ index: Int, _ value: Double) {
    var node = first + index
    nodes[node] = value
    while node > 1 {
      node /= 2
      nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
    }
  }

  /// The share of the sum at `index`.
  func share(_ index: Int) -> Double { nodes[first + index] / nodes[1] }

  /// The first index up to which more than `fraction` of the sum lies.
  func find(_ fraction: Double) -> Int {
    var rest = fraction * nodes[1]
    var node = 1
    while node < first {
      node *= 2
      if rest >= nodes[node], nodes[node + 1] > 0 {
        rest -= nodes[node]
        node += 1
      }
    }
    return node - first
  }
}
