import QuenchSupport
import QuenchTorch

/// Weights as training scripts leave them, taken out of what they are wrapped in: a prefix before all names, as
/// `DataParallel` (`module.`), `torch.compile` (`_orig_mod.`) and modules around a network put there, masks and other
/// parametrizations, and a layer that normalizes pixels, whose buffers lie among the weights.
struct WrappedWeights {
  /// Under the network's own names; what belongs to nothing known stays under the name it has.
  var state: StateDictionary
  /// With the normalization that the file states, where it does.
  var architecture: Architecture
  /// What was done, to be told.
  var notes: [String] = []
  /// Whether the file says what pixels are normalized by.
  var statesNormalization = false

  /// - Parameters:
  ///   - state: What the file holds.
  ///   - architecture: What the weights belong to.
  init(_ state: StateDictionary, of architecture: Architecture) {
    (self.state, self.architecture) = (state, architecture)
    if architecture.isImported {
      takeOffPrefix()
      return
    }
    notes = self.state.undoParametrizations()
    useOwnNames()
    takeOffPrefix()
    leaveOutUnused()
    takeOutNormalization()
  }

  /// Whether every tensor of the architecture is there, in its shape, and no other.
  var fits: Bool { share == 1 }

  /// How many tensors are the architecture's by name and shape, over all that either has.
  var share: Double {
    let own = architecture.tensorShapes
    let matches = own.count { state[$0.name]?.shape == $0.shape }
    let found = state.count { !$0.name.hasSuffix("num_batches_tracked") }
    return Double(matches) / Double(max(own.count, found, 1))
  }

  /// What other collections call layers.
  private static let otherNames = [("linear.", "fc."), (".shortcut.", ".downsample.")]

  private mutating func useOwnNames() {
    let names = architecture.tensorNames
    for (theirs, ours) in Self.otherNames {
      func isCalled(_ name: String, _ part: String) -> Bool {
        part.hasPrefix(".") ? name.contains(part) : name.hasPrefix(part) || name.contains("." + part)
      }
      guard names.contains(where: { isCalled($0, ours) }), !names.contains(where: { isCalled($0, theirs) }),
        state.keys.contains(where: { isCalled($0, theirs) }), !state.keys.contains(where: { isCalled($0, ours) })
      else { continue }
      state = StateDictionary(
        state.map { name, tensor in
          (isCalled(name, theirs) ? name.replacing(theirs, with: ours) : name, tensor)
        })
      func plain(_ name: String) -> String { name.replacing(".", with: "") }
      notes.append("'\(plain(theirs))' in names is read as '\(plain(ours))'")
    }
  }

  private mutating func takeOffPrefix() {
    let names = architecture.tensorNames
    guard let first = names.first, state[first] == nil else { return }
    let prefixes = state.keys.filter { $0.hasSuffix("." + first) }.map { String($0.dropLast(first.count)) }
    guard let prefix = prefixes.first(where: { prefix in names.allSatisfy { state[prefix + $0] != nil } }) else {
      return
    }
    let (weights, rest) = state.partitioned(byPrefix: prefix)
    state = weights
    for (name, tensor) in rest { state[name] = tensor }
    notes.append("all names begin with '\(prefix)', which was left out")
  }

  /// What published scripts keep and no forward pass reads: the count of averaged steps of `swa_utils`, and a block of the
  /// published Wide ResNets.
  private static let unused = ["n_averaged", "sub_block1."]

  private mutating func leaveOutUnused() {
    let names = architecture.tensorNames
    for unused in Self.unused where !names.contains(where: { $0.hasPrefix(unused) }) {
      let found = state.keys.filter { $0.hasPrefix(unused) }
      guard !found.isEmpty else { continue }
      for name in found { state[name] = nil }
      notes.append("'\(unused.replacing(".", with: ""))' was left out: the network never reads it")
    }
  }

  /// Mean and standard deviation by the names that they are usually given.
  private static let (means, deviations) = (
    Set(["mean", "mu", "pixel_mean"]), Set(["std", "sigma", "stddev", "pixel_std"])
  )

  private mutating func takeOutNormalization() {
    let own = Set(architecture.tensorNames)
    func entry(_ names: Set<String>) -> (name: String, values: [Double])? {
      let found = state.keys.filter {
        !own.contains($0) && names.contains($0.split(separator: ".").last.map(String.init) ?? "")
      }
      let channels = architecture.inputShape.first ?? 0
      guard found.count == 1, let tensor = state[found[0]], tensor.dtype.isFloatingPoint,
        tensor.count == channels || tensor.count == 1
      else { return nil }
      let values = tensor.to(.float64).array(Double.self)
      return (found[0], values.count == channels ? values : [Double](repeating: values[0], count: channels))
    }
    guard let mean = entry(Self.means), let deviation = entry(Self.deviations),
      deviation.values.allSatisfy({ $0 > 0 })
    else { return }
    // In units where a pixel is at most 255, as some scripts have them, no deviation is below 1.
    let unit = deviation.values.allSatisfy { $0 > 1 } ? 255.0 : 1
    architecture = architecture.normalizing(
      mean: mean.values.map { $0 / unit }, standardDeviation: deviation.values.map { $0 / unit })
    state[mean.name] = nil
    state[deviation.name] = nil
    statesNormalization = true
    notes.append("pixels are normalized by '\(mean.name)' and '\(deviation.name)' of the file")
  }
}
