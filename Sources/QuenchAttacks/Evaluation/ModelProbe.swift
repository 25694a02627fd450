import QuenchSupport
import QuenchTorch

/// Looks at a model before it is attacked: what its answers show about how far a robust accuracy can be trusted.
enum ModelProbe {
  /// - Throws: `InputError` if the model's answer to `images` has the wrong shape.
  static func check(_ model: AttackedModel, _ images: Tensor, _ logits: Tensor) throws(InputError) {
    guard logits.shape == [images.size(0), model.classes] else {
      throw InputError(
        "the model's answer has another shape", at: model.name, expected: "\([images.size(0), model.classes])",
        found: "\(logits.shape)")
    }
  }

  /// What the answers to clean images show; nothing where one of them is no finite number.
  /// - Throws: `InputError` if they have the wrong shape.
  static func findings(_ model: AttackedModel, _ images: Tensor, labels: Tensor) throws(InputError) -> [Finding] {
    var findings: [Finding] = []
    let logits = model.score(images)
    try check(model, images, logits)
    guard logits.isFinite().all() else { return [] }
    if isRandomised(model, images, logits, labels) {
      findings.append(
        Finding(
          .randomised,
          "the same images get different logits: average gradients (AutoAttack rand, or EOT); images are judged by "
            + "the mean of several passes"))
    } else {
      let differentiated = model.probe(images)
      let tolerance = model.rounds ? 0.05 : 1e-3
      if !unit(differentiated).isClose(to: unit(logits), relative: 0, absolute: tolerance) {
        findings.append(
          Finding(
            .dynamic, "the logits depend on whether gradients are recorded: the gradient may not be the model's"))
      }
    }
    let sums = logits.sum([1])
    if logits.min().item() >= 0, logits.max().item() <= 1, (sums - 1).abs().max().item() <= 1e-5 {
      findings.append(
        Finding(
          .probabilities, "the answers look like probabilities: attacks need logits, and losses are flat here"))
    }
    if images.size(0) > 1, (logits - logits[0..<1]).abs().max().item() == 0, distinct(images) {
      findings.append(Finding(.constant, "all images get the same logits: nothing can be attacked or defended"))
    }
    return findings
  }

  private static func distinct(_ images: Tensor) -> Bool { (images - images[0..<1]).abs().max().item() > 0 }

  /// Logits of unit length: their scale does not matter.
  private static func unit(_ logits: Tensor) -> Tensor {
    logits / logits.norm(2, [1], keepDimensions: true).clamped(to: 1e-12...)
  }

  /// Five passes that differ in the answers, or in the logits by more than rounding.
  private static func isRandomised(
    _ model: AttackedModel, _ images: Tensor, _ logits: Tensor, _ labels: Tensor
  ) -> Bool {
    let correct = (logits.argmax(1) .== labels).nonzeroCount()
    return (0..<4).contains { _ in
      let again = model.score(images)
      return (again.argmax(1) .== labels).nonzeroCount() != correct
        || (unit(again) - unit(logits)).abs().max().item() > 1e-4
    }
  }
}
