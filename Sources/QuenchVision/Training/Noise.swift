import QuenchTorch

extension Tensor {
  /// This tensor with Gaussian noise that follows from a seed and a position in training alone, so that a resumed run
  /// draws the same.
  /// - Parameters:
  ///   - sigma: The noise's standard deviation, in the tensor's units.
  ///   - seed: The run's.
  ///   - position: The step that the noise is for.
  public func noisy(_ sigma: Double, seed: UInt64, at position: LoaderPosition) -> Tensor {
    let generator = Generator(seed: seed, for: "noise \(position.epoch) \(position.batch)", device: device)
    let noise = emptyLike()
    noise.fillNormal(standardDeviation: sigma, using: generator)
    noise += self
    return noise
  }
}
