import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What is found out about a model before a defense is trained from its answers: what they are like, and over which step
/// differences of them say something.
public struct DefenseProbe: Hashable, Codable, Sendable {
  public static let fileName = "black-box.json"

  public var box: BlackBoxProbe
  /// Nil where no differences are taken.
  public var step: StepProbe?

  /// - Parameters:
  ///   - model: Is asked; the ledger counts it.
  ///   - defense: As training will begin.
  ///   - estimator: Whose step is tried.
  ///   - dataset: The training images.
  ///   - sigma: σ of the noise on them.
  ///   - seed: Of noise and directions.
  /// - Throws: `InputError` if the model cannot be asked, or tells probabilities that are none.
  public init(
    _ model: MeteredBlackBox, _ defense: Defense, _ estimator: GradientEstimator, on dataset: ImageDataset,
    sigma: Double, seed: UInt64
  ) throws {
    let sample = BlackBoxProbe.sample(of: dataset)
    box = try BlackBoxProbe(model, on: sample)
    guard estimator.isOfDifferences else { return }
    let feedback = model.model.feedback
    let images = BatchLoader.evaluation(sample, batchSize: sample.count).batch(at: LoaderPosition()).images
    let targets = feedback.targets(try model.answer(images, for: .probe))
    let codes = withoutGradient {
      defense.codes(images.noisy(sigma, seed: Generator.derive(seed, "probe"), at: LoaderPosition()))
    }
    step = try StepProbe(
      estimator, at: codes, resolution: box.resolution ?? 0,
      using: Generator(seed: seed, for: "probe", device: images.device),
      losses: { feedback.losses($0, against: targets) },
      answers: { try model.answer(defense.images($0), for: .probe) })
  }

  /// What the user is to know.
  /// - Parameters:
  ///   - estimator: As it was asked for.
  ///   - feedback: What the model answers.
  ///   - classes: The data set's.
  ///   - isGiven: Whether the user named the estimator's step.
  /// - Throws: `InputError` where no step makes the differences say anything.
  public func findings(
    on estimator: GradientEstimator, _ feedback: Feedback, classes: [String], isGiven: Bool
  ) throws(InputError) -> [String] {
    var findings = box.findings(feedback, classes: classes)
    guard let first = step?.trials.first, let best = step?.best else { return findings }
    func percent(_ share: Double) -> String { "\(Int((100 * share).rounded())) %" }
    let used = isGiven ? first : best
    guard used.error < 1, used.zeros < 0.98 else {
      throw InputError(
        "the model's answers are too coarse or too noisy for differences", at: "step \(used.step)",
        expected: "rounding and noise below the differences themselves",
        found: "\(percent(used.zeros)) of them exactly 0",
        remedy: best.error < 1 && best.zeros < 0.98
          ? "a smoothing step of \(best.step) is long enough"
          : "ask for answers of more digits, or learn from labels alone with the estimator labels")
    }
    if isGiven, !used.suffices, best.step != used.step {
      findings.append(
        "over steps of \(used.step) \(percent(used.zeros)) of the differences are exactly 0, and rounding and noise are "
          + "\(percent(used.error)) of the others: a smoothing step of \(best.step) is better")
    } else if used.step != estimator.smoothingStep {
      findings.append(
        "differences are taken over steps of \(used.step) in place of \(estimator.smoothingStep), where rounding and "
          + "noise are \(percent(used.error)) of them")
    }
    if !used.suffices, !isGiven {
      findings.append(
        "even so \(percent(used.zeros)) of the differences are exactly 0, and rounding and noise are "
          + "\(percent(used.error)) of them: answers of more digits would teach more")
    }
    return findings
  }

  /// What an earlier process of the run found out; nil: none.
  /// - Throws: `InputError` if the file is damaged.
  public init?(ifAt file: URL) throws(InputError) {
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do { self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file)) } catch {
      throw InputError(
        "what was found out about the model cannot be read", at: file.path,
        remedy: "remove the file: the model is asked again")
    }
  }

  public func write(to file: URL) throws(InputError) {
    do { try AtomicFile.write(try JSONEncoder().encode(self), to: file) } catch {
      throw InputError.writing(file, error)
    }
  }
}
