import QuenchTorch

extension Tensor {
  /// This tensor with Gaussian noise that follows from a seed and a position in training alone, so that a resumed run
  /// draws the same.
  /// - Parameters:
  ///   - sigma: The noise's standard deviation, in the tensor's units.
  ///   - seed: The run's.
  ///   - position: The step that the noise is for.
  ///   - part: Which rows of the step's batch these are; nil: all.
  public func noisy(
    _ sigma: Double, seed: UInt64, at position: LoaderPosition, part: BatchPart? = nil
  ) -> Tensor {
    let generator = Generator(seed: seed, for: "noise \(position.epoch) \(position.batch)", device: device)
    let part = part ?? BatchPart(0..<size(0), of: size(0))
    let noise = part.drawn(like: self) { $0.fillNormal(standardDeviation: sigma, using: generator) }
    noise += self
    return noise
  }
}
