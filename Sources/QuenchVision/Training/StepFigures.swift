import QuenchSupport
import QuenchTorch

/// What a step of all ranks together comes to.
struct StepFigures {
  /// The mean loss over the images of all ranks.
  let loss: Double
  let correct: Double?
  let images: Int
  let shares: [String: StepResult.Share]
  /// Whether the user asked any of them to leave.
  let isInterrupted: Bool

  /// - Parameter result: This rank's.
  init(_ result: StepResult, in world: World) {
    let names = result.shares.keys.sorted()
    let own = names.compactMap { result.shares[$0] }.flatMap { [Double($0.part), Double($0.whole)] }
    let count = Double(result.images)
    let sums = world.sum(
      [result.loss.item() * count, count, result.correct?.item() ?? 0, Interruption.isRequested ? 1 : 0] + own)
    loss = sums[0] / sums[1]
    images = Int(sums[1])
    correct = result.correct == nil ? nil : sums[2]
    isInterrupted = sums[3] > 0
    let pairs = names.enumerated().map { index, name in
      (name, StepResult.Share(Int(sums[4 + 2 * index]), of: Int(sums[5 + 2 * index])))
    }
    shares = Dictionary(uniqueKeysWithValues: pairs)
  }
}
