import QuenchSupport
import QuenchTorch
import QuenchVision

/// A classifier under attack, and the only door to it: each question is about samples, and is counted for them.
///
/// Made from a network it is a frozen copy with folded batch norm in channels-last memory; the network itself, its
/// mode and its gradients stay as they are.
public final class AttackedModel {
  /// For reports: `resnet20`.
  public let name: String
  /// `[channels, height, width]`.
  public let inputShape: [Int]
  public let classes: Int
  public let device: Device
  /// Passes that a gradient, and the logits beside it, are averaged over: more than 1 for a randomised defence
  /// (expectation over transformation, Athalye et al. 2018).
  public var gradientSamples = 1
  /// Logits `[N, classes]` of pixels `[N, C, H, W]`, differentiable.
  private let forward: (Tensor) -> Tensor
  /// The same without gradients, as fast as it can be had.
  private let plan: (Tensor) -> Tensor
  /// The same in float32: what judges, and confirms every answer that counts as broken where others computed in fewer bits.
  private let exact: (Tensor) -> Tensor
  /// Which of the others do.
  private let rounding: Rounding
  /// Activations that a feature attack compares, `[N, ...]`, differentiable.
  private let featureMap: ((Tensor) -> Tensor)?
  /// What attacks' images go through first, where they do.
  private let entrance: Entrance?

  private struct Rounding {
    var ofGradients = false
    var ofAnswers = false
  }

  /// Images for the images of some samples; gradients pass it for the identity.
  typealias Entrance = (_ images: Tensor, _ samples: Samples) -> Tensor

  /// - Parameters:
  ///   - network: A classifier; copied.
  ///   - precision: What attacks compute in: gradients as training steps would be, answers as an inference plan. With
  ///     bfloat16 an answer that counts as broken is asked for again in float32, in which the evaluator judges: no
  ///     attack lets go of an image that only rounding has changed.
  public init(_ network: Network, precision: Precision = .float32) {
    let frozen = network.foldingBatchNorm()
    let dtype = precision.autocast(on: network.device)
    let exact = InferencePlan(network, dtype: .float32)
    let type = precision.inference ?? InferencePlan.fastest(on: network.device)
    let plan = type == .float32 ? exact : InferencePlan(network, dtype: type)
    name = network.architecture.name
    inputShape = network.architecture.inputShape
    classes = network.architecture.outputShape[0]
    device = network.device
    let device = network.device
    forward = { images in withAutocast(dtype, on: device) { frozen(images) }.inFullPrecision() }
    self.plan = { plan($0) }
    self.exact = { exact($0) }
    rounding = Rounding(ofGradients: dtype != nil, ofAnswers: plan.dtype != .float32)
    featureMap = { frozen.penultimateFeatures(of: $0) }
    entrance = nil
  }

  /// A model that is a closure: a defence around a network, or a function of any kind.
  /// - Parameters:
  ///   - name: For reports.
  ///   - inputShape: `[channels, height, width]` of one image.
  ///   - classes: How many logits an image gets.
  ///   - device: Where it computes.
  ///   - features: Activations that a feature attack compares.
  ///   - forward: Logits `[N, classes]` for pixels in [0, 1], `[N, C, H, W]`, differentiable with respect to them.
  public init(
    name: String, inputShape: [Int], classes: Int, device: Device = .cpu, features: ((Tensor) -> Tensor)? = nil,
    forward: @escaping (Tensor) -> Tensor
  ) {
    self.name = name
    self.inputShape = inputShape
    self.classes = classes
    self.device = device
    self.forward = forward
    (plan, exact) = (forward, forward)
    rounding = Rounding()
    featureMap = features
    entrance = nil
  }

  private init(_ other: AttackedModel, entrance: @escaping Entrance) {
    (name, inputShape, classes, device) = (other.name, other.inputShape, other.classes, other.device)
    gradientSamples = other.gradientSamples
    (forward, plan, exact, featureMap) = (other.forward, other.plan, other.exact, other.featureMap)
    rounding = other.rounding
    self.entrance = entrance
  }

  /// This model as attacks see it through `entrance`.
  func seeing(_ entrance: @escaping Entrance) -> AttackedModel { AttackedModel(self, entrance: entrance) }

  private func entered(_ images: Tensor, _ samples: Samples) -> Tensor {
    entrance.map { entrance in withoutGradient { entrance(images, samples) } } ?? images
  }

  /// Logits `[N, classes]`, without gradients.
  public func logits(_ images: Tensor, _ samples: Samples) -> Tensor {
    samples.ledger.note(samples, forward: 1)
    return withoutGradient {
      let images = entered(images, samples)
      return confirmed(plan(images).detached(), images, samples, rounded: rounding.ofAnswers)
    }
  }

  /// `logits` with those in float32 in place of answers that count as broken, where they are `rounded` to fewer bits; the
  /// further passes are counted, and so are answers that are no numbers.
  private func confirmed(_ logits: Tensor, _ images: Tensor, _ samples: Samples, rounded: Bool) -> Tensor {
    samples.ledger.noteUndefined(samples, logits)
    guard rounded else { return logits }
    let rows = samples.broken(logits).positions()
    guard rows.count > 0 else { return logits }
    samples.ledger.note(samples.selecting(rows), forward: 1)
    return withoutGradient {
      let result = logits.cloned()
      result.setRows(exact(images.selecting(rows)), at: rows)
      return result
    }
  }

  /// Logits for the evaluator's own use: uncounted.
  /// - Parameter passes: If more than 1, the logarithms of the mean probabilities over so many passes: what a randomised
  ///   model answers on the whole, and not what it happens to answer once.
  func score(_ images: Tensor, passes: Int = 1) -> Tensor {
    withoutGradient {
      guard passes > 1 else { return exact(images).detached() }
      let sum = (1..<passes).reduce(exact(images).softmax(1)) { sum, _ in sum + exact(images).softmax(1) }
      return (sum / Double(passes)).log().clamped(to: (-1e4)...)
    }
  }

  /// Whether gradients are those of fewer bits than what judges.
  var rounds: Bool { rounding.ofGradients }

  /// Logits as an attack that differentiates sees them: uncounted, for probes.
  func probe(_ images: Tensor) -> Tensor { withGradient { forward(images.detached().requiringGrad()).detached() } }

  /// Logits with their graph, for models built upon this one.
  func differentiable(_ images: Tensor) -> Tensor { forward(images) }

  /// What ``gradient(at:_:of:)`` found, without its graph.
  public struct Gradient {
    /// `[N, classes]`
    public var logits: Tensor
    /// `[N]`
    public var loss: Tensor
    /// `[N, C, H, W]`
    public var gradient: Tensor
  }

  /// The gradient of each sample's loss at its own image: that of the sum over the batch, so that it does not depend
  /// on the other samples.
  /// - Parameters:
  ///   - images: `[N, C, H, W]`.
  ///   - samples: Whose images these are.
  ///   - loss: One value a sample, `[N]`, of logits `[N, classes]`.
  public func gradient(at images: Tensor, _ samples: Samples, of loss: (Tensor) -> Tensor) -> Gradient {
    samples.ledger.note(samples, forward: gradientSamples, backward: gradientSamples)
    let images = entered(images, samples)
    var total = single(images, loss)
    for _ in 1..<max(1, gradientSamples) {
      let more = single(images, loss)
      total.logits += more.logits
      total.loss += more.loss
      total.gradient += more.gradient
    }
    if gradientSamples > 1 {
      let scale = 1 / Double(gradientSamples)
      total = Gradient(
        logits: total.logits * scale, loss: total.loss * scale, gradient: total.gradient * scale)
    }
    total.logits = confirmed(total.logits, images, samples, rounded: rounding.ofGradients)
    total.loss = total.loss.filled(with: -.infinity, where: total.loss .!= total.loss)
    total.gradient = total.gradient.finite()
    samples.ledger.noteVanished(samples, total.gradient, total.logits)
    return total
  }

  private func single(_ images: Tensor, _ loss: (Tensor) -> Tensor) -> Gradient {
    withGradient {
      let (leaf, logits) = graph(at: images)
      let values = loss(logits)
      let gradient = grad(of: values.sum(), withRespectTo: [leaf])[0]
      return Gradient(logits: logits.detached(), loss: values.detached(), gradient: gradient)
    }
  }

  /// Logits with their graph, and the images that it begins at.
  private func graph(at images: Tensor) -> (leaf: Tensor, logits: Tensor) {
    let leaf = images.detached().requiringGrad()
    return (leaf, forward(leaf))
  }

  /// Logits at images that belong to `samples`, with the graph from which boundaries near these images are found.
  func linearised(at images: Tensor, _ samples: Samples) -> Linearisation {
    samples.ledger.note(samples, forward: 1)
    let images = entered(images, samples)
    let (leaf, logits) = withGradient { graph(at: images) }
    let answers = confirmed(logits.detached(), images, samples, rounded: rounding.ofGradients)
    return Linearisation(leaf: leaf, graph: logits, logits: answers, samples: samples)
  }

  /// Whether there is a layer to compare features at.
  var hasFeatures: Bool { featureMap != nil }

  /// The features of images that belong to no sample: a guide's.
  func guideFeatures(_ images: Tensor) -> Tensor {
    withoutGradient { (featureMap?(images) ?? forward(images)).flattened(from: 1).detached() }
  }

  /// Squared distances `[N]` to features `[N, F]`, and their gradient.
  func featureDistance(at images: Tensor, _ samples: Samples, to guides: Tensor) -> (Tensor, gradient: Tensor) {
    samples.ledger.note(samples, forward: 1, backward: 1)
    let images = entered(images, samples)
    return withGradient {
      let leaf = images.detached().requiringGrad()
      let distance = ((featureMap?(leaf) ?? forward(leaf)).flattened(from: 1) - guides).square().sum([1])
      let gradient = grad(of: distance.sum(), withRespectTo: [leaf])[0].finite()
      samples.ledger.noteVanished(samples, gradient, nil)
      return (distance.detached(), gradient)
    }
  }
}

extension Tensor {
  /// 0 in place of what is no finite number.
  func finite() -> Tensor { filled(with: 0, where: isFinite().logicalNot()) }
}
