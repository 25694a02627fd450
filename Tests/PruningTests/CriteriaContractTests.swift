import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Every criterion")
struct CriteriaContractTests {
  enum Kind: String, CaseIterable {
    case snip, balancedSnip, grasp, synflow, prospr, firstOrder, random

    func make() throws -> any PruningCriterion {
      switch self {
      case .snip: return SNIP()
      case .balancedSnip:
        var method = SNIP()
        method.batchSize = 8
        method.samplesPerClass = 3
        return method
      case .grasp:
        var method = GraSP()
        method.samplesPerClass = 2
        return method
      case .synflow:
        var method = SynFlow(keepRatio: try KeepRatio(0.1))
        method.rounds = 3
        return method
      case .prospr:
        var method = ProsPr()
        method.batchSize = 8
        method.redrawsBatch = true
        return method
      case .firstOrder:
        var method = ProsPr()
        method.batchSize = 8
        method.firstOrder = true
        return method
      case .random: return RandomPruning()
      }
    }
  }

  static func dataset() throws -> ImageDataset {
    var options = DataOptions()
    options.synthetic.trainCount = 40
    options.synthetic.side = 8
    return try Datasets.load(.synthetic, split: .train, options: options)
  }

  static func network() -> Network { Network(.smallCNN(input: [3, 8, 8], classes: 10), seed: 1) }

  @Test("ranks each weight by a finite number and leaves the network as it was", arguments: Kind.allCases)
  func contract(_ kind: Kind) throws {
    let network = Self.network()
    network.isTraining = true
    let before = network.state.map { ($0.name, $0.tensor.cloned()) }
    let layout = WeightLayout(network)
    let ranking = try kind.make().ranking(of: network, layout: layout, on: try Self.dataset(), seed: 3)
    #expect(ranking.shape == [layout.count])
    #expect(ranking.isFinite().all())
    #expect(!ranking.requiresGrad)
    #expect((ranking .!= ranking[0]).any(), "not all the same")
    #expect(network.isTraining)
    for (old, new) in zip(before, network.state) { #expect(new.tensor.isEqual(to: old.1), "\(new.name)") }
    #expect(network.parameters.allSatisfy { $0.tensor.requiresGrad && $0.tensor.gradient == nil })
  }

  @Test("gives the same ranking for the same seed, another for another", arguments: Kind.allCases)
  func seeds(_ kind: Kind) throws {
    let network = Self.network()
    let layout = WeightLayout(network)
    let data = try Self.dataset()
    let method = try kind.make()
    let first = try method.ranking(of: network, layout: layout, on: data, seed: 3)
    #expect(try method.ranking(of: network, layout: layout, on: data, seed: 3).isEqual(to: first))
    // SynFlow sees no image, and a single batch of SNIP here holds all images.
    guard kind != .synflow && kind != .snip else { return }
    #expect(try !method.ranking(of: network, layout: layout, on: data, seed: 4).isEqual(to: first))
  }

  @Test("refuses a network with a weight that is no number", arguments: Kind.allCases.filter { $0 != .random })
  func notANumber(_ kind: Kind) throws {
    let network = Self.network()
    withoutGradient { network.parameters[0].tensor[0].fill(with: .nan) }
    let method = try kind.make()
    let error = #expect(throws: InputError.self) {
      try method.ranking(of: network, layout: WeightLayout(network), on: try Self.dataset(), seed: 3)
    }
    #expect(error?.problem == "the ranking is not a number")
  }

  @Test("survives being written and read", arguments: Kind.allCases)
  func coding(_ kind: Kind) throws {
    func roundTrip<Criterion: PruningCriterion>(_ method: Criterion) throws {
      #expect(try JSONDecoder().decode(Criterion.self, from: JSONEncoder().encode(method)) == method)
    }
    try roundTrip(try kind.make())
  }

  @Test("settings that make no sense are refused by name")
  func settings() throws {
    let network = Self.network()
    let layout = WeightLayout(network)
    let data = try Self.dataset()
    var snip = SNIP()
    snip.batchSize = 0
    var grasp = GraSP()
    grasp.samplesPerClass = 1
    var cold = GraSP()
    cold.temperature = 0
    var synflow = SynFlow(keepRatio: try KeepRatio(0.1))
    synflow.rounds = 0
    var prospr = ProsPr()
    prospr.steps = -1
    let cases: [(any PruningCriterion, String)] = [
      (snip, "SNIP, batchSize"), (grasp, "GraSP, samplesPerClass"), (cold, "GraSP, temperature"),
      (synflow, "SynFlow, rounds"), (prospr, "ProsPr, steps")
    ]
    for (method, location) in cases {
      let error = #expect(throws: InputError.self) {
        try method.ranking(of: network, layout: layout, on: data, seed: 1)
      }
      #expect(error?.location == location)
    }
  }

  @Test("a class with too few images is named")
  func scarce() throws {
    var method = GraSP()
    method.samplesPerClass = 5
    let network = Self.network()
    let error = #expect(throws: InputError.self) {
      try method.ranking(of: network, layout: WeightLayout(network), on: try Self.dataset(), seed: 1)
    }
    #expect(error?.found == "4")
    #expect(error?.expected == "5 or more")
  }
}
