import Foundation
import Testing

@testable import QuenchCryoEM

@Suite("The quality of predictions") struct PredictionQualityTests {
  @Test("counts, ranks and measures errors") func hand() throws {
    let predictions: [Prediction] = [3, 5, 7, 30, 4].map { .resolution($0) }
    let quality = PredictionQuality(
      predictions, fits: [.resolution(4), .resolution(8), .resolution(5), .failed, .unmeasured], threshold: 6)
    #expect(quality.count == 4 && quality.accuracy.correct == 2)
    #expect(quality.auc == 0.75)
    #expect(quality.meanAbsoluteError == 1.5)
    #expect(quality.rootMeanSquareError == (14.0 / 4).squareRoot())
    #expect(abs(try #require(quality.spearman) - 0.8) < 1e-12)
  }

  @Test("knows no error in Å of a classifier, and no area where all holes are of one kind") func absent() {
    let quality = PredictionQuality(
      [.classes([0.9, 0.1]), .classes([0.2, 0.8])], fits: [.resolution(4), .resolution(5)], threshold: 6)
    #expect(quality.meanAbsoluteError == nil && quality.spearman == nil && quality.auc == nil)
    #expect(quality.accuracy.correct == 1)
  }

  /// Figures that NumPy computed from the published survey and predictions.
  @Test(
    "is that of the published predictor", .enabled(if: RealData.isPresent, RealData.absence),
    arguments: [
      ("train", 1.966, 2.977, 0.785, 0.9293, 1037), ("val", 2.555, 3.805, 0.699, 0.9148, 2092)
    ]) func published(_ split: String, _ mae: Double, _ rmse: Double, _ rho: Double, _ auc: Double, _ right: Int)
    throws
  {
    let survey = try RealData.survey(split)
    let quality = PredictionQuality(
      survey.holes.compactMap(\.prediction), fits: survey.holes.map(\.fit), threshold: 6)
    #expect(quality.accuracy.correct == right)
    #expect(abs(try #require(quality.meanAbsoluteError) - mae) < 6e-4)
    #expect(abs(try #require(quality.rootMeanSquareError) - rmse) < 6e-4)
    #expect(abs(try #require(quality.spearman) - rho) < 6e-4)
    #expect(abs(try #require(quality.auc) - auc) < 6e-5)
  }

  @Test("probabilities are written so that they add up to 1") func text() throws {
    let text = PredictionFile.text(["a", "b"], [.classes([1.0 / 3, 1.0 / 3, 1.0 / 3]), .classes([0.996, 0.004, 0])])
    #expect(text == "a 0.34 0.33 0.33\nb 1.00 0.00 0.00\n")
  }
}
