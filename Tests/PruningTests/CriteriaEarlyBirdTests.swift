import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Early-Bird")
struct CriteriaEarlyBirdTests {
  /// Two batch norms with the given γ.
  static func network(_ first: [Double], _ second: [Double]) throws -> Network {
    var builder = ArchitectureBuilder(input: [1, 4, 4])
    let x = builder.batchNorm("bn1", builder.conv("conv1", builder.input, first.count))
    _ = builder.batchNorm("bn2", builder.conv("conv2", x, second.count))
    let network = Network(builder.build("norms"), seed: 0)
    withoutGradient {
      for (name, values) in [("bn1.weight", first), ("bn2.weight", second)] {
        network.parameters.first { $0.name == name }?.tensor.copy(from: Tensor(values))
      }
    }
    return network
  }

  @Test("keeps the channels of largest |γ| over all batch norms")
  func channels() throws {
    let network = try Self.network([0.9, -0.8, 0.1, 0.3], [-0.7, 0.2])
    #expect(
      try EarlyBird(keepRatio: KeepRatio(0.5)).channelMask(of: network).array(Int.self) == [1, 1, 0, 0, 1, 0])
  }

  @Test("leaves each batch norm a channel, also where all are equal")
  func floor() throws {
    let small = try Self.network([0.9, -0.8, 0.7, 0.6], [0.01, 0.02])
    let method = EarlyBird(keepRatio: try KeepRatio(0.5))
    #expect(try method.channelMask(of: small).array(Int.self) == [1, 1, 0, 0, 0, 1])
    let equal = try Self.network([1, 1], [1, 1, 1, 1])
    let mask = try method.channelMask(of: equal)
    #expect(mask.sum().item() == 3)
    #expect(mask[0..<2].sum().item() >= 1)
    let few = EarlyBird(keepRatio: try KeepRatio(0.01))
    #expect(try few.channelMask(of: small).array(Int.self) == [1, 0, 0, 0, 0, 1])
  }

  @Test("refuses a network without batch norm, or with a γ that is no number")
  func refusals() throws {
    let method = EarlyBird(keepRatio: try KeepRatio(0.5))
    #expect(throws: InputError.self) { try method.channelMask(of: try LinearNetwork.collapsing()) }
    let broken = try Self.network([1, .nan], [1])
    let error = #expect(throws: InputError.self) { try method.channelMask(of: broken) }
    #expect(error?.problem == "the ranking is not a number")
  }

  @Test("adds the penalty's subgradient to what a backward pass left")
  func penalty() throws {
    let network = try Self.network([0.5, -0.5], [0, 2])
    var method = EarlyBird(keepRatio: try KeepRatio(0.5))
    method.penalty = 0.25
    let first = try #require(network.parameters.first { $0.name == "bn1.weight" }).tensor
    first.gradient = Tensor([1.0, 1]).to(.float32)
    method.addPenalty(toGradientsOf: network)
    #expect(first.gradient?.array(Double.self) == [1.25, 0.75])
    let second = try #require(network.parameters.first { $0.name == "bn2.weight" }).tensor
    #expect(second.gradient?.array(Double.self) == [0, 0.25])
    #expect(network.parameters.filter { $0.tensor.gradient != nil }.count == 2)
  }

  @Test("draws the ticket once the last five masks agree to a tenth")
  func emergence() throws {
    var detector = EarlyBirdDetector(EarlyBird(keepRatio: try KeepRatio(0.5)))
    func mask(_ digits: String) -> Tensor { Tensor(digits.map { $0 == "1" ? 1.0 : 0 }) }
    detector.append(mask("0000011111"))
    for _ in 0..<4 {
      #expect(!detector.hasEmerged)
      detector.append(mask("1101011101"))
    }
    #expect(!detector.hasEmerged, "the first mask is still among the five, and far")
    #expect(detector.distances.count == 4)
    detector.append(mask("1101111101"))
    #expect(detector.distances == [0.1, 0.1, 0.1, 0.1])
    #expect(detector.hasEmerged)
    #expect(detector.masks.count == 5)
    detector.append(mask("1101100000"))
    #expect(!detector.hasEmerged)
  }

  @Test("goes on from saved masks")
  func resumes() throws {
    let method = EarlyBird(keepRatio: try KeepRatio(0.5))
    var detector = EarlyBirdDetector(method)
    for _ in 0..<4 { detector.append(Tensor([1.0, 0])) }
    var resumed = EarlyBirdDetector(method, masks: detector.masks)
    resumed.append(Tensor([1.0, 0]))
    #expect(resumed.hasEmerged)
  }
}
