import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

@Suite("Slimming to a target") struct CostTargetTests {
  private static func network() -> Network {
    let network = Network(ModelName.resnet20.architecture(input: [3, 8, 8], classes: 4), seed: 1)
    network.isTraining = false
    return network
  }

  private static func slimming() -> Slimming {
    var slimming = Slimming(policy: .intersection)
    slimming.silencesMaskedFilters = true
    return slimming
  }

  private static func target(_ settings: Record) throws -> CostTarget {
    let experiment = try Slim(settings: settings.merging(["weights": "net.safetensors"]), name: "x").checked()
    return experiment.cost
  }

  @Test("cuts no more than multiply-adds or parameters ask for", arguments: ["target-macs", "target-parameters"])
  func cost(name: String) throws {
    let network = Self.network()
    let target = try Self.target([name: "50%"])
    let slimming = Self.slimming()
    let mask = try slimming.mask(of: network, meeting: target, on: [], precision: .float32)
    let slimmed = try slimming.slim(network, mask: mask)
    func cost(_ network: Network) -> Double {
      Double(name == "target-macs" ? network.architecture.multiplyAdds : network.architecture.parameterCount)
    }
    let share = cost(slimmed.network) / cost(network)
    #expect(share <= 0.5 && share > 0.45, "\(share)")
    #expect(slimmed.report.difference.relative <= 1e-4)
  }

  @Test("takes the channels first that matter least to each measure", arguments: GroupImportance.allCases)
  func ranking(importance: GroupImportance) throws {
    let network = Self.network()
    let groups = try ChannelGroups(network.architecture)
    let inner = try #require(groups.sets(ofWeight: "layer2.1.conv1.weight", along: .filters)).sets
    let state = network.state
    withoutGradient {
      for (name, index) in [("layer2.1.conv1.weight", 3), ("layer2.1.bn1.weight", 3), ("layer2.1.bn1.bias", 3)] {
        state[name]?[index..<index + 1].fill(with: 0)
      }
      state["layer2.1.conv2.weight"]?[TensorIndex.all, 3].fill(with: 0)
    }
    let images = Tensor.uniform([8, 3, 8, 8], using: Generator(seed: 1))
    let batch = Batch(images: images, labels: Tensor([0, 1, 2, 3, 0, 1, 2, 3]), position: LoaderPosition())
    let scores = importance.scores(of: network, groups, on: [batch])
    #expect(scores[inner[3]] == 0)
    #expect(inner.filter { $0 != inner[3] }.allSatisfy { scores[$0] > 0 })
    let mean = inner.reduce(0) { $0 + scores[$1] } / Double(inner.count)
    #expect(abs(mean - 1) < 1e-9)
  }

  @Test(
    "ranks by a file of learned scores, by magnitude what it does not tell of, and refuses one of another network")
  func learnedScores() throws {
    let network = Self.network()
    let groups = try ChannelGroups(network.architecture)
    let inner = try #require(groups.sets(ofWeight: "layer2.1.conv1.weight", along: .filters)).sets
    let layout = WeightLayout(network)
    let weights = StateDictionary(zip(layout.names, layout.split(layout.weights(of: network))))
    let own = try #require(weights["layer2.1.conv1.weight"])
    let next = try #require(weights["layer2.1.conv2.weight"])
    let folder = try TemporaryFolder()
    func scores(_ state: StateDictionary) throws -> [Double] {
      try Safetensors.write(state, to: folder / "scores.safetensors")
      var target = CostTarget()
      target.scores = (folder / "scores.safetensors").path
      let learned = try #require(try target.learnedScores(for: network))
      return GroupImportance.magnitude.scores(of: network, groups, on: [], learned: learned)
    }
    let plain = GroupImportance.magnitude.scores(of: network, groups, on: [])
    let (first, second) = (own.cloned(), next.cloned())
    first[5..<6].fill(with: 9)
    second[TensorIndex.all, 5].fill(with: 9)
    let ranked = try scores(StateDictionary([("layer2.1.conv1.weight", first), ("layer2.1.conv2.weight", second)]))
    #expect(inner.max { plain[$0] < plain[$1] } != inner[5] && inner.max { ranked[$0] < ranked[$1] } == inner[5])
    let others = try #require(groups.sets(ofWeight: "layer1.0.conv1.weight", along: .filters)).sets
    #expect(others.allSatisfy { plain[$0] == ranked[$0] })

    #expect(throws: InputError.self) { try scores(StateDictionary([("fc.bias.weight", own)])) }
    #expect(throws: InputError.self) { try scores(StateDictionary([("layer2.1.conv1.weight", own[0..<3])])) }
    #expect(throws: InputError.self) {
      try Self.target(["target-macs": 0.5, "scores": "scores.safetensors", "importance": "taylor"])
    }
    #expect(throws: InputError.self) { try Self.target(["scores": "scores.safetensors"]) }
  }

  @Test("leaves every layer its floor and multiples of widths, and says what is out of reach") func floors() throws
  {
    let network = Self.network()
    var slimming = Self.slimming()
    slimming.roundTo = 4
    let target = try Self.target(["target-macs": 0.4, "layer-floor": 0.25])
    let mask = try slimming.mask(of: network, meeting: target, on: [], precision: .float32)
    let widths = try slimming.slim(network, mask: mask).report.widths
    #expect(widths.allSatisfy { $0.after % 4 == 0 && 4 * $0.after >= $0.before }, "\(widths)")
    let error = #expect(throws: InputError.self) {
      try slimming.mask(
        of: network, meeting: Self.target(["target-macs": 0.1, "layer-floor": 0.9]), on: [], precision: .float32)
    }
    #expect(
      error?.problem == "the network does not get so small by cutting channels" && error?.location == "target-macs")
  }

  @Test("is a fraction in one of three forms") func fractions() throws {
    #expect(["0.5", "0.5x", "50%"].allSatisfy { CostFraction($0)?.value == 0.5 })
    #expect(["0", "1", "-0.5", "150%", "half", ""].allSatisfy { CostFraction($0) == nil })
    #expect(throws: InputError.self) { try Self.target(["target-macs": 0.5, "target-parameters": 0.5]) }
    #expect(throws: InputError.self) { try Self.target(["importance": "taylor"]) }
    #expect(throws: InputError.self) { try Self.target(["target-macs": 0.5, "mask": "mask.safetensors"]) }
  }
}
