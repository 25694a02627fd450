import QuenchTorch

extension AttackedModel {
  /// The classifier behind a step that cleans images first, as an attacker who knows it sees it.
  public enum Knowledge: String, CaseIterable, Sendable {
    /// Gradients go through the step.
    case gradient
    /// The step runs forward; backward it passes for the identity (BPDA, Athalye et al. 2018).
    case identity
  }

  /// This model behind `defence`.
  /// - Parameters:
  ///   - name: The defence's, for reports.
  ///   - knowledge: How the attacker differentiates it.
  ///   - defence: Images `[N, C, H, W]` for images of that shape.
  public func behind(
    _ name: String, knowledge: Knowledge = .gradient, _ defence: @escaping (Tensor) -> Tensor
  ) -> AttackedModel {
    let model = self
    return AttackedModel(
      name: "\(model.name) behind \(name)", inputShape: inputShape, classes: classes, device: device
    ) { images in
      switch knowledge {
      case .gradient: return model.differentiable(defence(images))
      case .identity:
        let shift = withoutGradient { (defence(images) - images).detached() }
        return model.differentiable(images + shift)
      }
    }
  }

  /// The mean of the logits of several models: what fools it often fools each of them.
  /// - Precondition: All take the same images and know the same classes; there is one at least.
  public static func ensemble(_ models: [AttackedModel]) -> AttackedModel {
    let first = models[0]
    return AttackedModel(
      name: models.map(\.name).joined(separator: "+"), inputShape: first.inputShape, classes: first.classes,
      device: first.device
    ) { images in
      let sum = models.dropFirst().reduce(first.differentiable(images)) { $0 + $1.differentiable(images) }
      return sum / Double(models.count)
    }
  }
}
