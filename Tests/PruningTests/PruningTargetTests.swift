import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision
import Testing

@Suite("Pruning targets") struct PruningTargetTests {
  private static func network() -> Network {
    Network(ModelName.resnet20.architecture(input: [3, 32, 32], classes: 10), seed: 2)
  }

  private static func target(
    _ keep: Double, _ granularity: Granularity = .weight, _ configure: (inout PruningTarget) -> Void = { _ in }
  ) throws -> PruningTarget {
    var target = PruningTarget(keepRatio: try KeepRatio(keep))
    target.granularity = granularity
    configure(&target)
    return target
  }

  /// The masks of one layer, given as rankings row by row.
  private static func mask(_ ranking: [Double], _ shape: [Int], _ target: PruningTarget) throws -> [Int] {
    var builder = ArchitectureBuilder(input: [shape[1] == 3 ? 2 : 3, 4, 4])
    let stem = builder.append(
      "stem", .conv2d(Conv2d(inputs: builder.input.channels, outputs: shape[1], kernel: 1)), builder.input)
    _ = builder.append("conv", .conv2d(Conv2d(inputs: shape[1], outputs: shape[0], kernel: shape[2])), stem)
    let network = Network(builder.build("one"), seed: 0)
    var target = target
    target.included = ["conv"]
    let layout = try target.layout(of: network)
    #expect(layout.names == ["conv.weight"])
    return target.mask(Tensor(ranking), layout).values.array(Int.self)
  }

  @Test("filters are ranked by the norm of their weights")
  func filters() throws {
    let kept = try Self.mask([3, 4, 1, 0, 0, 2, 5, 12], [4, 2, 1, 1], Self.target(0.5, .filter))
    #expect(kept == [1, 1, 0, 0, 0, 0, 1, 1])
  }

  @Test("channels are ranked by the norm of the weights that read them")
  func channels() throws {
    let kept = try Self.mask([1, 2, 0, 2, 1, 0.5], [2, 3, 1, 1], Self.target(2.0 / 3, .channel))
    #expect(kept == [1, 1, 0, 1, 1, 0])
  }

  @Test("2 of 4 inputs in a row stay at every place of the kernel, of equal ones the later")
  func pattern() throws {
    let kept = try Self.mask([4, 1, 3, 2, 0, 0, 0, 0], [2, 4, 1, 1], Self.target(0.5, .pattern(kept: 2, group: 4)))
    #expect(kept == [1, 0, 1, 0, 0, 0, 1, 1])

    let network = Self.network()
    let target = try Self.target(0.5, .pattern(kept: 2, group: 4))
    let layout = try target.layout(of: network)
    #expect(!layout.names.contains("conv1.weight"), "3 inputs are no multiple of 4")
    let mask = target.mask(layout.weights(of: network).abs(), layout)
    #expect(mask.keptCount * 2 == layout.count)
    for layer in mask.layers where layer.rank == 4 {
      let rows = layer.permuted([0, 2, 3, 1]).reshaped([-1, 4]).sum([1])
      #expect((rows .== 2).all())
    }
  }

  @Test(
    "exactly as many weights stay as promised, whatever the granularity",
    arguments: [Granularity.weight, .filter, .channel, .pattern(kept: 1, group: 4)],
    [PruningTarget.Scope.global, .layer])
  func counts(_ granularity: Granularity, _ scope: PruningTarget.Scope) throws {
    let network = Self.network()
    for keep in [0.1, 0.3, 0.55, 1] {
      let target = try Self.target(keep, granularity) { $0.scope = scope }
      let layout = try target.layout(of: network)
      let mask = try target.checkedMask(layout.weights(of: network).abs(), layout)
      #expect(mask.keptCount == target.kept(of: layout))
      if scope == .layer, granularity == .weight {
        for row in mask.table { #expect(row.kept == target.keepRatio.kept(of: row.total)) }
      }
      let half = target.mask(layout.weights(of: network).abs() * 0.5, layout)
      #expect(half.values.isEqual(to: mask.values), "a positive scale changes nothing")
    }
  }

  @Test("structured pruning leaves linear layers, and the planes of the images, alone")
  func structured() throws {
    let network = Self.network()
    let filters = try Self.target(0.5, .filter).layout(of: network)
    #expect(filters.names.contains("conv1.weight") && !filters.names.contains("fc.weight"))
    let channels = try Self.target(0.5, .channel).layout(of: network)
    #expect(!channels.names.contains("conv1.weight") && !channels.names.contains("fc.weight"))
  }

  @Test("a floor keeps every layer alive in a global ranking")
  func floors() throws {
    let network = Self.network()
    let layout = WeightLayout(network)
    let ranking = Tensor.arange(to: Double(layout.count)).to(.float32)
    let open = try Self.target(0.1).mask(ranking, layout)
    #expect(open.table.first?.kept == 0)
    let target = try Self.target(0.1) { $0.layerFloor = 0.02 }
    let floored = try target.checkedMask(ranking, layout)
    #expect(floored.keptCount == open.keptCount)
    for row in floored.table { #expect(row.kept >= max(1, row.total / 50)) }
  }

  @Test("patterns choose layers by name; one that fits nothing names the nearest")
  func patterns() throws {
    let network = Self.network()
    let layout = try Self.target(0.5) {
      $0.included = ["layer2.*", "fc"]
      $0.excluded = ["layer2.0.*"]
    }.layout(of: network)
    #expect(layout.names.count == 5)
    #expect(layout.names.allSatisfy { $0.hasPrefix("layer2.") && !$0.hasPrefix("layer2.0.") || $0 == "fc.weight" })
    let error = #expect(throws: InputError.self) {
      try Self.target(0.5) { $0.excluded = ["layer2.0.konv1"] }.layout(of: network)
    }
    #expect(error?.remedy == "did you mean 'layer2.0.conv1'?")
    #expect(throws: InputError.self) { try Self.target(0.5) { $0.excluded = ["*"] }.layout(of: network) }
  }

  @Test("a ranking that is not a number, or empties a layer, is refused with the layer's name")
  func refusals() throws {
    let network = Self.network()
    let layout = WeightLayout(network)
    let target = try Self.target(0.1)
    let broken = layout.weights(of: network)
    broken[0] = Tensor(Double.nan, dtype: .float32)
    #expect(throws: InputError.self) { try target.checkedMask(broken, layout) }
    let error = #expect(throws: InputError.self) {
      try target.checkedMask(Tensor.arange(to: Double(layout.count)).to(.float32), layout)
    }
    #expect(error?.location == "conv1.weight")
    #expect(throws: InputError.self) { try Self.target(0.1) { $0.layerFloor = 0.2 }.layout(of: network) }
  }

  @Test("granularities are written as users write them")
  func text() {
    for text in ["weight", "filter", "channel", "2:4", "1:16"] {
      #expect(Granularity(text)?.description == text)
    }
    for text in ["", "weights", "0:4", "5:4", "2:", ":4", "2:4:8", "1:9999"] { #expect(Granularity(text) == nil) }
  }
}
