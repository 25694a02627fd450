import QuenchSupport
import QuenchTorch
import QuenchVision

@testable import QuenchPruning

/// A network without half of its cuttable channels: of every tier the later half goes.
struct HalvedNetwork {
  let slimmed: Network
  let masked: Network
  /// Sets of coupled channels that went.
  let removed: Int
  let difference: OutputDifference
  /// `layer:before:after` for every layer.
  let widths: [String]

  /// - Parameter side: How the masked network loses the channels: written as zero, or read by nobody.
  init(_ network: Network, side: ChannelGroups.Side) throws {
    let groups = try ChannelGroups(network.architecture)
    var gone = Set<Int>()
    for tier in groups.groups.flatMap(\.tiers) where !groups.coupled[tier[0]].isFrozen {
      gone.formUnion(tier.suffix(tier.count / 2))
    }
    removed = gone.count
    let copy = network.copy()
    copy.isTraining = false
    withoutGradient {
      for entry in copy.parameters { entry.tensor.lose(gone, entry.name, groups, side) }
    }
    widths = groups.mixings.map { mixing in
      let sets = groups.sets(at: mixing.output)
      return "\(groups.layerName(of: mixing)):\(sets.count):\(sets.count { !gone.contains($0) })"
    }
    masked = copy
    slimmed = try copy.removing(gone, of: groups)
    difference = OutputDifference(of: slimmed, from: copy)
  }
}

extension Tensor {
  /// Zeroes a parameter's slices of channels that go.
  fileprivate func lose(
    _ gone: Set<Int>, _ name: String, _ groups: ChannelGroups, _ side: ChannelGroups.Side
  ) {
    let found: (dimension: Int, sets: [Int])?
    if rank == 1 {
      found = side == .filters ? groups.sets(ofTensor: name, along: 0).map { (0, $0) } : nil
    } else {
      found = groups.sets(ofWeight: name, along: side)
    }
    guard let (dimension, sets) = found else { return }
    var shape = [Int](repeating: 1, count: rank)
    shape[dimension] = sets.count
    let kept = Tensor(sets.map { gone.contains($0) ? 0.0 : 1 }).to(device, dtype: dtype)
    copy(from: self * kept.reshaped(shape))
  }
}
