import QuenchTorch
import QuenchVision
import Testing

@testable import QuenchPruning

@Suite("Channel groups")
struct SlimmingGroupsTests {
  /// The names of layers, sorted; a layer counts as often as it is there.
  private func names(_ channels: [ChannelGroups.Channel], _ groups: ChannelGroups) -> [String] {
    channels.map { groups.graph.nodes[$0.node].name }.sorted()
  }

  /// The set that a filter of a layer writes.
  private func set(_ name: String, _ filter: Int, _ groups: ChannelGroups) throws -> ChannelGroups.Coupled {
    groups.coupled[try #require(groups.sets(ofWeight: "\(name).weight", along: .filters)).sets[filter]]
  }

  private func group(_ name: String, _ groups: ChannelGroups) throws -> ChannelGroups.Group {
    let node = try #require(groups.graph.nodes.firstIndex { $0.name == name })
    return try #require(groups.groups.first { $0.nodes.contains(node) })
  }

  @Test("of torchvision's ResNet-18: conv1 goes with what Torch-Pruning lists")
  func resNet18() throws {
    let groups = try ChannelGroups(ModelName.resnet18ImageNet.architecture(input: [3, 64, 64], classes: 10))
    let set = try set("conv1", 5, groups)
    #expect(names(set.producers, groups) == ["conv1", "layer1.0.conv2", "layer1.1.conv2"])
    #expect(names(set.norms, groups) == ["bn1", "layer1.0.bn2", "layer1.1.bn2"])
    #expect(
      names(set.consumers, groups) == [
        "layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "layer2.0.downsample.0"
      ])
    #expect(set.members.allSatisfy { $0.index == 5 })
    let stream = try group("conv1", groups)
    #expect(!stream.isInner && stream.members.count == 64 && stream.tiers.count == 1)
    let nodes = stream.nodes.map { groups.graph.nodes[$0].name }
    #expect(Set(["relu", "maxpool", "layer1.0.add", "layer1.1.add"]).isSubset(of: nodes))

    let inner = try group("layer1.0.conv1", groups)
    #expect(inner.isInner)
    #expect(names(try self.set("layer1.0.conv1", 0, groups).consumers, groups) == ["layer1.0.conv2"])
    #expect(names(try self.set("layer4.1.conv2", 9, groups).consumers, groups) == ["fc", "layer4.1.conv1"])
  }

  @Test("of the CIFAR ResNets: all three stages' streams are one group, coupled with offsets")
  func resNet20() throws {
    let groups = try ChannelGroups(.cifarResNet(depth: 20, input: [3, 32, 32], classes: 10))
    let stream = try group("conv1", groups)
    #expect(try group("layer3.2.conv2", groups) == stream)
    #expect(stream.members.count == 64)
    #expect(stream.tiers.map(\.count) == [16, 16, 32])

    func stages(_ set: ChannelGroups.Coupled) -> [String: Int] {
      set.producers.reduce(into: [:]) { $0[groups.graph.nodes[$1.node].name] = $1.index }
    }
    for channel in [0, 7, 15] {
      let first = stages(try set("conv1", channel, groups))
      #expect(first["layer1.2.conv2"] == channel)
      #expect(first["layer2.0.conv2"] == channel + 8)
      #expect(first["layer3.2.conv2"] == channel + 24)
    }
    for (second, third) in [(0, 16), (7, 23), (24, 40), (31, 47)] {
      let found = stages(try set("layer2.1.conv2", second, groups))
      #expect(found["conv1"] == nil && found["layer3.0.conv2"] == third)
    }
    for third in [0, 15, 48, 63] { #expect(stages(try set("layer3.0.conv2", third, groups)).count == 3) }
    #expect(groups.groups.dropFirst().count { $0.isInner } == 10, "nine blocks and the classifier's own output")
  }

  @Test("of VGG: a channel before the flattening is four features of the linear layer")
  func vgg() throws {
    let groups = try ChannelGroups(.vgg16BN(input: [3, 32, 32], classes: 10))
    let set = try set("features.40", 7, groups)
    #expect(names(set.producers, groups) == ["features.40"])
    #expect(names(set.consumers, groups) == Array(repeating: "classifier.0", count: 4))
    #expect(set.consumers.map(\.index) == [28, 29, 30, 31])
    #expect(groups.groups.dropFirst().allSatisfy { $0.isInner })
  }

  @Test("of a Wide ResNet: every block's first batch norm is on the stream")
  func wideResNet() throws {
    let groups = try ChannelGroups(.wideResNet(depth: 16, width: 4, input: [3, 32, 32], classes: 10))
    let set = try set("block2.layer.1.conv2", 3, groups)
    #expect(
      names(set.norms, groups) == ["block2.layer.1.bn1", "block3.layer.0.bn1"])
    #expect(
      names(set.producers, groups) == [
        "block2.layer.0.conv2", "block2.layer.0.convShortcut", "block2.layer.1.conv2"
      ])
    #expect(
      names(set.consumers, groups) == [
        "block2.layer.1.conv1", "block3.layer.0.conv1", "block3.layer.0.convShortcut"
      ])
    #expect(try group("block2.layer.1.conv1", groups).isInner)
  }

  @Test("of a bottleneck: two groups of its own, and the stream")
  func bottleneck() throws {
    let groups = try ChannelGroups(ModelName.resnet50.architecture(input: [3, 32, 32], classes: 10))
    #expect(try group("layer2.1.conv1", groups).isInner)
    #expect(try group("layer2.1.conv2", groups).isInner)
    #expect(try group("layer2.1.conv3", groups) == group("layer2.0.downsample.0", groups))
    #expect(try group("layer2.1.conv3", groups).members.count == 512)
  }

  @Test("images and answers are frozen, in a denoiser both at once")
  func frozen() throws {
    for architecture in [
      Architecture.smallCNN(input: [3, 16, 16], classes: 7), .dnCNN(input: [1, 16, 16], depth: 4, width: 8)
    ] {
      let groups = try ChannelGroups(architecture)
      let sets =
        groups.sets(at: .init(value: groups.graph.input.value, dimension: 1))
        + groups.sets(at: .init(value: groups.graph.output, dimension: 1))
      #expect(sets.allSatisfy { groups.coupled[$0].isFrozen })
      #expect(groups.coupled.count { $0.isFrozen } == Set(sets).count)
    }
  }

  @Test("a depthwise filter goes with its plane; a grouped convolution loses the same filters of every group")
  func grouped() throws {
    var net = ArchitectureBuilder(input: [3, 8, 8])
    let x = net.conv("conv", net.input, 8)
    let depthwise = net.append(
      "depthwise", .conv2d(Conv2d(inputs: 8, outputs: 16, kernel: 3, padding: 1, groups: 8)), x)
    let grouped = net.append("grouped", .conv2d(Conv2d(inputs: 16, outputs: 6, kernel: 1, groups: 2)), depthwise)
    _ = net.linear("fc", net.globalAverage(grouped), 2)
    let groups = try ChannelGroups(net.build("grouped"))

    let set = try set("conv", 1, groups)
    #expect(set.producers.map(\.index) == [1, 5, 2, 3, 10, 11], "planes 2, 3 of one group, 10, 11 of the other")
    #expect(names(set.consumers, groups) == Array(repeating: "grouped", count: 4))
    #expect(set.consumers.map(\.index) == [2, 3, 10, 11])
    #expect(try self.set("grouped", 2, groups).producers.map(\.index) == [2, 5])
    #expect(try group("conv", groups).isInner)
  }
}
