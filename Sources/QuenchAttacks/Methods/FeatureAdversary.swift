import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The feature adversary (Sabour et al. 2016): moves an image's features to those of a guide of another class.
///
/// The paper solves the bounded problem by L-BFGS-B; here it is projected descent by signs.
public struct FeatureAdversary: Attack {
  /// In pixel units.
  public var budget = 10.0 / 255
  public var stepSize = 1.0 / 255
  public var steps = 100
  /// Images whose features are aimed at, `[M, C, H, W]`, and their classes `[M]`. Nil: the other samples of the batch,
  /// each the next one of another class.
  public var guides: (images: Tensor, labels: Tensor)?

  public init() {}

  public var name: String { "feature" }
  public var norm: Norm { .linf }
  public var epsilon: Double? { budget }
  public var settings: Record { ["step_size": .double(stepSize), "steps": .int(steps)] }

  public func bounded(by epsilon: Double) -> FeatureAdversary {
    var copy = self
    copy.budget = epsilon
    return copy
  }

  public func check(_ model: AttackedModel) throws(InputError) {
    guard model.hasFeatures else {
      throw InputError(
        "the model has no layer to compare features at", at: model.name,
        remedy: "attack the network itself, or give the closure its features")
    }
    guard guides != nil else {
      throw InputError(
        "the feature attack has no guides", remedy: "give it images of other classes whose features it aims at")
    }
  }

  public func perturb(_ samples: Samples, on model: AttackedModel) -> Tensor {
    guard let guides else { return samples.images }
    let targets = model.guideFeatures(chosen(for: samples, from: guides))
    var images = samples.images
    for _ in 0..<steps {
      let found = model.featureDistance(at: images, samples, to: targets)
      images = norm.projected(
        images - found.gradient.sign() * stepSize, around: samples.images, radius: budget)
    }
    return images
  }

  /// For each sample a guide of another class: the first, from a place that follows from the sample's index.
  private func chosen(for samples: Samples, from guides: (images: Tensor, labels: Tensor)) -> Tensor {
    let (own, theirs) = (samples.labels.array(Int64.self), guides.labels.array(Int64.self))
    let picks = zip(own, samples.indices).map { label, index in
      let places = theirs.indices.map { ($0 + index) % theirs.count }
      return places.first { theirs[$0] != label } ?? places[0]
    }
    return guides.images.selecting(Tensor(picks).to(samples.device))
  }
}
