import QuenchReporting

/// What a survey and its predictions hold, counted.
public struct SurveyInventory: Codable, Hashable, Sendable {
  public var holes: Int
  public var patches: Int
  public var squares: Int
  public var tiles: Int
  public var grids: Int
  public var measured: Int
  /// Holes whose fit found no rings.
  public var failed: Int
  /// Holes fitted to ``threshold`` or better.
  public var good: Int
  /// In Å.
  public var threshold: Double
  /// Quartiles of the measured resolutions in Å, failed and bad fits at ``CTFFit/clip``; nil where nothing was measured.
  public var resolutionQ25: Double?
  public var resolutionMedian: Double?
  public var resolutionQ75: Double?
  public var predicted: Int
  public var predictedGood: Int
  /// Images of the file that are no holes.
  public var otherImages: Int
  /// Raw exposures of the file whose aligned sums are listed.
  public var rawExposures: Int
  public var synthetic: Bool
  /// The share of measured and predicted holes that were predicted to be good or bad rightly.
  public var predictionAccuracy: Double?

  private enum CodingKeys: String, CodingKey {
    case holes, patches, squares, tiles, grids, measured, failed, good, threshold
    case resolutionQ25 = "resolution_q25"
    case resolutionMedian
    case resolutionQ75 = "resolution_q75"
    case predicted, predictedGood, otherImages, rawExposures, synthetic, predictionAccuracy
  }

  /// - Parameters:
  ///   - file: The survey.
  ///   - threshold: Å up to which a hole is good.
  public init(_ file: SurveyFile, threshold: Double) {
    let survey = file.survey
    let fits = survey.holes.map(\.fit)
    let resolutions = fits.compactMap(\.clippedResolution).sorted()
    func quantile(_ q: Double) -> Double? {
      resolutions.isEmpty ? nil : resolutions[Int((q * Double(resolutions.count - 1)).rounded())]
    }
    (holes, patches, squares) = (survey.count, survey.patches.count, survey.squares.count)
    (tiles, grids, measured) = (survey.tiles.count, survey.grids.count, resolutions.count)
    failed = fits.count { $0 == .failed }
    good = survey.goodCount(threshold: threshold)
    self.threshold = threshold
    (resolutionQ25, resolutionMedian, resolutionQ75) = (quantile(0.25), quantile(0.5), quantile(0.75))
    predicted = survey.holes.count { $0.prediction != nil }
    predictedGood = survey.holes.count { $0.prediction?.isGood(threshold: threshold) ?? false }
    (otherImages, rawExposures) = (file.passedOver, file.rawExposures)
    synthetic = survey.isSynthetic
    let both = survey.holes.filter { $0.fit.isMeasured && $0.prediction != nil }
    let right = both.count {
      $0.fit.isGood(threshold: threshold) == ($0.prediction?.isGood(threshold: threshold) ?? false)
    }
    predictionAccuracy = both.isEmpty ? nil : Double(right) / Double(both.count)
  }
}
