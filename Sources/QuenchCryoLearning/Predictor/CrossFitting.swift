import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Predictions of a training survey's own holes, each by a predictor that has not seen them (cross-fitting, Chernozhukov et
/// al. 2018): what planners may learn from how good predictions are.
public struct CrossFitting {
  /// Parts of the survey.
  public var folds: Int

  public init(folds: Int) { self.folds = folds }

  /// The fold of each hole: whole tiles, or if these are too few whole squares, patches or single holes, the largest first
  /// to the fold with the fewest holes, as errors are alike within them.
  public func folds(of survey: Survey) -> [Int] {
    let level = Survey.Level.allCases.reversed().first { survey.regions($0).count >= folds }
    let parts = level.map { survey.regions($0).map(\.holes) } ?? survey.holes.indices.map { $0..<$0 + 1 }
    var sizes = [Int](repeating: 0, count: folds)
    var result = [Int](repeating: 0, count: survey.count)
    for part in parts.sorted(by: { (-$0.count, $0.lowerBound) < (-$1.count, $1.lowerBound) }) {
      let fold = sizes.indices.min { (sizes[$0], $0) < (sizes[$1], $1) } ?? 0
      for hole in part { result[hole] = fold }
      sizes[fold] += part.count
    }
    return result
  }

  /// Predicts the pictures of each fold by what `train` makes of the others.
  /// - Parameters:
  ///   - examples: Pictures with what was measured.
  ///   - survey: The survey that their holes are in.
  ///   - precision: What layers compute in.
  ///   - train: Gives a predictor trained on the examples; gets the fold, from 0, too.
  /// - Returns: One prediction a picture.
  /// - Throws: `InputError` if there are fewer pictures than folds; what `train` throws.
  public func predictions(
    _ examples: HoleExamples, of survey: Survey, precision: Precision = .automatic,
    train: (HoleExamples, _ fold: Int) throws -> CTFPredictor
  ) throws -> [Prediction] {
    let foldOfHole = Dictionary(uniqueKeysWithValues: zip(survey.holes.map(\.name), folds(of: survey)))
    let foldOfPicture = examples.images.names.map { foldOfHole[$0] ?? 0 }
    var predictions = [Prediction?](repeating: nil, count: examples.count)
    for fold in 0..<folds {
      let (held, others) = (
        foldOfPicture.indices.filter { foldOfPicture[$0] == fold },
        foldOfPicture.indices.filter { foldOfPicture[$0] != fold }
      )
      guard !held.isEmpty, !others.isEmpty else {
        throw InputError(
          "the training survey is too small to be parted", at: "folds",
          expected: "measured holes in each of \(folds) parts",
          found: "\(examples.count) in all")
      }
      let predictor = try train(try examples.subset(others), fold)
      let answers = predictor.predict(examples.images.subset(held), precision: precision)
      for (index, answer) in zip(held, answers) { predictions[index] = answer }
    }
    return predictions.compactMap(\.self)
  }
}

extension HoleExamples {
  /// The examples at `indices`.
  func subset(_ indices: [Int]) throws(InputError) -> HoleExamples {
    try HoleExamples(images.subset(indices), fits: indices.map { fits[$0] }, task: task)
  }
}
