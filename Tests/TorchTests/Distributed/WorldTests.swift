import Foundation
import QuenchSupport
import TestRanks
import Testing

@testable import QuenchTorch

@Suite("A world of ranks") struct WorldTests {
  @Test("adds up, gathers in order and shares out") func calls() async throws {
    struct Seen: Equatable {
      var sum: [Double]
      var gathered: [Data]
      var told: Data
      var rows: [Float]
      var part: Range<Int>
    }
    @Sendable func seen(_ world: World) -> Seen {
      let rank = world.rank
      return Seen(
        sum: world.sum([Double(rank), 0.5]), gathered: world.gather(Data(repeating: UInt8(rank), count: 2 * rank)),
        told: world.broadcast(Data("rank \(rank)".utf8)),
        rows: world.gatherRows(Tensor([Float](repeating: Float(rank), count: 2 * rank), shape: [rank, 2])).array(),
        part: world.part(of: 3..<10))
    }
    let all = try await Crew.run(3, seen)
    #expect(all.map(\.part) == [3..<5, 5..<7, 7..<10])
    for one in all {
      #expect(one.sum == [3, 1.5])
      #expect(one.gathered == [Data(), Data([1, 1]), Data([2, 2, 2, 2])])
      #expect(one.told == Data("rank 0".utf8))
      #expect(one.rows == [1, 1, 2, 2, 2, 2])
    }
    let alone = seen(.alone)
    #expect(alone.sum == [0, 0.5] && alone.gathered == [Data()] && alone.part == 3..<10)
  }

  @Test("counts what a training step gives to the others, and nothing beside it") func traffic() async throws {
    let all = try await Crew.run(2) { world in
      world.barrier()
      for _ in 0..<2 {
        world.step {
          _ = world.sum([1, 2])
          _ = world.sum(Tensor.zeros([3]))
        }
      }
      _ = world.sum([1])
      return world.stepTraffic
    }
    #expect(all == [StepTraffic(bytes: 28, messages: 2), StepTraffic(bytes: 28, messages: 2)])
    World.alone.step { _ = World.alone.sum([1]) }
    #expect(World.alone.stepTraffic == nil)
  }

  /// What a step learns from its images.
  private struct Learned: Sendable {
    var gradients: [Double] = []
    var curvatures: [Double] = []
    var statistics: [Double] = []

    /// - Parameter images: How many there are; each rank computes its part of them.
    init(_ world: World, images count: Int) {
      var builder = ArchitectureBuilder(input: [2, 6, 6])
      var x = builder.relu("relu", builder.batchNorm("bn", builder.conv("conv", builder.input, 4)))
      x = builder.batchNorm("bn2", builder.conv("conv2", x, 3, bias: true))
      _ = builder.linear("fc", builder.globalAverage(x), 5)
      let network = Network(builder.build("tiny"), seed: 3)
      network.convert(to: .float64)
      network.isTraining = true
      network.world = world
      let generator = Generator(seed: 5)
      let images = Tensor.uniform([count, 2, 6, 6], using: generator).to(.float64).contiguous(.channelsLast)
      let labels = Tensor.randint([count], in: 0..<5, using: generator)
      let rows = world.part(of: 0..<count)
      let loss = network(images[rows]).crossEntropy(labels[rows])
      let weights = network.parameters.map(\.tensor)
      let first = grad(of: loss, withRespectTo: weights, createGraph: true)
      let length = Tensor.stacked(first.map { $0.square().sum() }).sum()
      let second = grad(of: length, withRespectTo: weights)
      gradients = first.flatMap { $0.array(Double.self) }
      curvatures = second.flatMap { $0.array(Double.self) }
      statistics = network.buffers.flatMap { $0.tensor.array(Double.self) }
    }
  }

  @Test("learns from the parts of a batch, even or not, as one process from all of it", arguments: [(2, 8), (3, 7)])
  func derivatives(size: Int, images: Int) async throws {
    let whole = Learned(.alone, images: images)
    let all = try await Crew.run(size) { Learned($0, images: images) }
    func distance(_ a: [Double], _ b: [Double]) -> Double {
      (zip(a, b).map { ($0 - $1) * ($0 - $1) }.reduce(0, +) / b.map { $0 * $0 }.reduce(0, +)).squareRoot()
    }
    for one in all {
      #expect(one.gradients == all[0].gradients && one.statistics == all[0].statistics)
      #expect(distance(one.gradients, whole.gradients) < 1e-12)
      #expect(distance(one.curvatures, whole.curvatures) < 1e-10)
      #expect(distance(one.statistics, whole.statistics) < 1e-6)
    }
  }
}

@Suite("A process's place among ranks") struct RankPlaceTests {
  @Test("is told by torchrun, Kubernetes and Slurm; one process is alone") func found() throws {
    let torch = ["RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node7", "MASTER_PORT": "4711"]
    #expect(try RankPlace(environment: torch) == RankPlace(rank: 1, size: 4, address: "node7", port: 4711))
    let agent = ["TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "2"]
    let served = try #require(try RankPlace(environment: torch.merging(agent) { $1 }))
    #expect(served.isServed && served.attempt == 2 && served.localRank == 0)
    #expect(try RankPlace(environment: torch.merging(["LOCAL_RANK": "1"]) { $1 })?.localRank == 1)
    let slurm = [
      "SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_STEP_NODELIST": "gpu[07-09,12],big1", "SLURM_JOB_ID": "40005"
    ]
    #expect(try RankPlace(environment: slurm) == RankPlace(rank: 3, size: 8, address: "gpu07", port: 20005))
    #expect(RankPlace.firstHost("alpha,beta") == "alpha" && RankPlace.firstHost("") == nil)
    for alone in [[:], ["RANK": "0", "WORLD_SIZE": "1"], ["SLURM_NTASKS": "4"], ["SLURM_PROCID": "0"]] {
      #expect(try RankPlace(environment: alone) == nil)
    }
  }

  @Test(
    "that cannot be is refused with the variable's name",
    arguments: [
      (["RANK": "2", "WORLD_SIZE": "2"], "RANK: the variable has no value that it can have"),
      (["RANK": "one", "WORLD_SIZE": "2"], "RANK: the variable has no value"),
      (["RANK": "0", "WORLD_SIZE": "0"], "WORLD_SIZE: the variable has no value"),
      (["RANK": "0"], "WORLD_SIZE: the variable is missing"),
      (["WORLD_SIZE": "2"], "RANK: the variable is missing"),
      (["RANK": "0", "WORLD_SIZE": "2"], "MASTER_ADDR: the variable is missing"),
      (
        ["RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "http"],
        "MASTER_PORT: the variable has no value that it can have (expected 1 to 65535, found \"http\")"
      )
    ])
  func refused(environment: [String: String], text: String) {
    #expect {
      try RankPlace(environment: environment)
    } throws: { "\($0)".contains(text) && "\($0)".contains("--standalone") }
  }
}
