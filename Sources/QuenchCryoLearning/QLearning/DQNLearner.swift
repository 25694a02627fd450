import QuenchCryoEM
import QuenchTorch
import QuenchVision

/// A step is an update, before the first of which the replay memory is filled; what it learns from are steps of
/// environments.
extension DQNTraining: Learner {
  public var epochs: Int { method.epochs }
  public var stepsPerEpoch: Int { iterationsPerEpoch }
  public var imagesPerStep: Int { method.environments }
  public var learningRate: Double { method.learningRate }

  public func step(at position: LoaderPosition) throws -> StepResult {
    while true {
      if let loss = try step() {
        return StepResult(loss: Tensor(loss), correct: nil, images: method.environments)
      }
    }
  }
}
