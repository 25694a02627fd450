import QuenchReporting
import QuenchTorch

/// Spatially transformed adversarial examples (Xiao et al. 2018, section 3.2): pixels are not changed but moved, each along
/// its own vector of a flow field that is kept smooth.
///
/// The flow begins at zero and grows by Adam's steps until the answer changes; the paper's L-BFGS couples the samples of
/// a batch. How far pixel values change is not bounded.
public struct StAdv: Attack, Equatable, Codable, Sendable {
  /// Where examples count as found; nil: however much pixel values change.
  public var epsilon: Double?
  public var steps = 200
  /// Of Adam, in pixels.
  public var learningRate = 0.01
  /// τ: the weight of the flow's roughness beside the margin of logits.
  public var smoothness = 0.05
  /// Whether a sample leaves the batch with its first adversarial image.
  public var stopsAtSuccess = true

  public init() {}

  public var name: String { "stadv" }
  public var norm: Norm { .linf }
  public var isBounded: Bool { false }
  public var takesTargets: Bool { true }
  public var settings: Record {
    [
      "steps": .int(steps), "learning_rate": .double(learningRate), "smoothness": .double(smoothness),
      "stops_at_success": .bool(stopsAtSuccess)
    ]
  }

  public func bounded(by epsilon: Double) -> StAdv {
    var copy = self
    copy.epsilon = epsilon
    return copy
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    var hunt = Hunt(samples)
    let still = samples.images[TensorIndex.all, ..<1].zerosLike()
    var adam = SampleAdam(like: .concatenated([still, still], 1), learningRate: learningRate)
    for _ in 0..<steps {
      let images = Self.moved(hunt.live.images, along: adam.value)
      let found = model.gradient(at: images, hunt.live) { -AttackLoss.margin($0, hunt.live) }
      var slope = found.gradient
      if stopsAtSuccess, let rest = hunt.release(images, where: hunt.live.broken(found.logits)) {
        if hunt.isOver { break }
        (adam, slope) = (adam.selecting(rest), slope.selecting(rest))
      }
      adam.step(gradient(at: adam.value, hunt.live.images, slope))
    }
    if !hunt.isOver { hunt.keep(Self.moved(hunt.live.images, along: adam.value)) }
    return hunt.found
  }

  /// The gradient by the flow of a loss whose gradient by the moved image is `slope`, and of the roughness.
  private func gradient(at flow: Tensor, _ images: Tensor, _ slope: Tensor) -> Tensor {
    withGradient {
      let leaf = flow.detached().requiringGrad()
      let loss = (Self.moved(images, along: leaf) * slope).sum() + Self.roughness(leaf).sum() * smoothness
      return grad(of: loss, withRespectTo: [leaf])[0]
    }
  }

  /// Each pixel's value from where its vector points to, between pixels bilinearly, at the border the nearest.
  /// - Parameters:
  ///   - images: `[N, C, H, W]`, pixels in [0, 1].
  ///   - flow: `[N, 2, H, W]`: down and right, in pixels.
  static func moved(_ images: Tensor, along flow: Tensor) -> Tensor {
    let (count, channels, height, width) = (images.size(0), images.size(1), images.size(2), images.size(3))
    func place(_ axis: Int, _ length: Int, _ shape: [Int]) -> (first: Tensor, share: Tensor) {
      let own = Tensor.arange(to: Double(length), device: images.device).to(images.dtype).reshaped(shape)
      let place = (flow[TensorIndex.all, axis] + own).clamped(to: 0...Double(length - 1))
      let first = place.detached().floor()
      return (first, (place - first).unsqueezed(1))
    }
    let (top, down) = place(0, height, [1, height, 1])
    let (left, right) = place(1, width, [1, 1, width])
    let flat = images.reshaped([count, channels, height * width])
    func pixels(_ below: Double, _ beside: Double) -> Tensor {
      let (row, column) = (
        (top + below).clamped(to: ...Double(height - 1)), (left + beside).clamped(to: ...Double(width - 1))
      )
      let index = (row * Double(width) + column).to(.int64).reshaped([count, 1, height * width])
      return flat.gathered(2, index.repeated([1, channels, 1])).reshaped(images.shape)
    }
    let upper = pixels(0, 0) * (1 - right) + pixels(0, 1) * right
    let lower = pixels(1, 0) * (1 - right) + pixels(1, 1) * right
    return (upper * (1 - down) + lower * down).clamped(to: 0...1)
  }

  /// Σ over pixels and their four neighbours of the length of the difference of their vectors: `[N]` for `[N, 2, H, W]`.
  static func roughness(_ flow: Tensor) -> Tensor {
    let (height, width, all) = (flow.size(2), flow.size(3), TensorIndex.all)
    // Each pair of neighbours counts for both.
    func lengths(_ difference: Tensor) -> Tensor {
      (difference.square().sum([1]) + 1e-12).sqrt().sumPerSample() * 2
    }
    return lengths(flow[all, all, 1..<height] - flow[all, all, ..<(height - 1)])
      + lengths(flow[all, all, all, 1..<width] - flow[all, all, all, ..<(width - 1)])
  }
}
