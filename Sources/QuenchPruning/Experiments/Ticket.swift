import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Where a round of iterative magnitude pruning has ended: its network, mask and test accuracy, in a folder of its own.
public struct Ticket: Codable, Sendable {
  public var round: Int
  public var keepRatio: Double
  public var kept: Int
  /// Of all rounds so far.
  public var seconds: Double
  public var accuracy: AccuracyFigure
  /// Test images.
  public var n: Int

  /// The ticket of the round that ends with `epoch`; nil if none does.
  init?(
    after epoch: Int, of training: IMPTraining, seconds: Double, _ test: () throws -> Accuracy
  ) throws {
    let (round, rest) = epoch.quotientAndRemainder(dividingBy: training.method.recipe.epochs)
    guard rest == 0 else { return nil }
    let accuracy = try test()
    self.round = round
    keepRatio = training.rounds[round - 1].value
    kept = training.mask.keptCount
    self.seconds = seconds
    self.accuracy = AccuracyFigure(accuracy)
    n = accuracy.count
  }

  func write(_ network: Network, _ mask: Mask, classNames: [String], in folder: RunFolder) throws {
    let url = Self.url(in: folder, keepRatio)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    try network.write(with: mask, classNames: classNames, in: url)
    let summary = try Value(encoding: self, style: .figures).json(pretty: true)
    try AtomicFile.write(Data(summary.utf8), to: url.appending(path: "summary.json"))
  }

  /// The ticket of the round that ended at `keepRatio`; nil where there was none so far.
  /// - Throws: `InputError` if its summary is damaged.
  public init?(in folder: RunFolder, keepRatio: Double) throws(InputError) {
    let url = Self.url(in: folder, keepRatio).appending(path: "summary.json")
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let summary = try Value(json: try InputFile.read(url), name: url.path).record ?? [:]
    self = try Value.object(EarlierRuns.summary(summary))
      .decode(style: .figures, name: url.path, allowsOtherKeys: true)
  }

  private static func url(in folder: RunFolder, _ keepRatio: Double) -> URL {
    let name = "keep-\((keepRatio * 1e4).rounded() / 1e4)"
    return folder.artefact("tickets").appending(path: name, directoryHint: .isDirectory)
  }
}
