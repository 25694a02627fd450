import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Takes a suspicious image apart: what it was before, what was done to it, how sure that is and who may have done it.
public struct Analyst {
  /// D; its output is clamped for display only.
  public let denoise: (Tensor) -> Tensor
  public let victim: Victim
  public let families: OriginClassifier?
  public var calibration: SuspicionCalibration
  /// How likely recovered labels are right; nil: nobody says.
  public var labels: LabelCalibration?
  /// Also tell what each pixel of the perturbation is for: a pass a pixel.
  public var tellsPixelRoles = false

  public init(
    denoise: @escaping (Tensor) -> Tensor, victim: Victim, families: OriginClassifier?,
    calibration: SuspicionCalibration
  ) {
    self.denoise = denoise
    self.victim = victim
    self.families = families
    self.calibration = calibration
  }

  /// What is found of one image.
  public struct Finding {
    /// The classes before and after denoising and their probabilities.
    public var label: Int
    public var confidence: Double
    public var denoisedLabel: Int
    public var denoisedConfidence: Double
    /// Of attacked images whose labels stood as firmly after denoising, how many were right; nil where that is not known.
    public var denoisedLikelihood: Accuracy?
    /// How much the answer changes by denoising.
    public var suspicion: Double
    /// How many clean images are at least as suspicious, of those that are known; nil where these are too few.
    public var falsePositives: Accuracy?
    /// The likeliest attack and its probability among those that are known, if the image was attacked.
    public var family: RedAttack?
    public var familyProbability: Double?
    /// ‖x' - D(x')‖ as the largest and the Euclidean norm, in pixel units.
    public var estimatedLinf: Double
    public var estimatedL2: Double
    /// uint8 `[3 or 1, H, W]`: the image, its estimate and the perturbation stretched about grey.
    public var image: Tensor
    public var denoised: Tensor
    public var perturbation: Tensor
    /// float32 `[H, W]` in [0, 1]: where the victim looks, for the label of each image.
    public var attribution: Tensor
    public var denoisedAttribution: Tensor
    /// float32 `[H, W]` in [-1, 1]: where the image speaks more for ``label`` (above 0) than for ``denoisedLabel``, the
    /// difference of its two maps; nil where both are one class.
    public var discrepancy: Tensor?
    /// What the estimated perturbation's pixels are for; nil where the class stays or nobody asked.
    public var pixelRoles: PixelRoles?
    /// By how much the perturbation was stretched.
    public var gain: Double
  }

  /// Analyses images.
  /// - Parameter images: float32 pixels in [0, 1], `[N, C, H, W]`.
  public func analyse(_ images: Tensor) -> [Finding] {
    let xR = denoise(images)
    let estimate = images - xR
    let (before, after) = (victim.logits(images).softmax(1), victim.logits(xR).softmax(1))
    let (confidence, label) = before.maxWithIndex(1)
    let (confidenceR, labelR) = after.maxWithIndex(1)
    let suspicion = calibration.score(images, denoised: xR) { victim.logits($0) }
    let maps = victim.cam(images, classes: label)
    let mapsR = victim.cam(xR, classes: labelR)
    let discrepancies = maps - victim.cam(images, classes: labelR)
    let likelihoods = labels.map { labels in
      RecoveredLabels(of: images, denoise: denoise) { victim.logits($0) }.firmness.map(labels.likelihood)
    }
    let likely = families.map { $0.probabilities(estimate).maxWithIndex(1) }
    let (linf, l2) = (
      estimate.flattened(from: 1).abs().max([1]).array(Double.self),
      estimate.flattened(from: 1).norm(2, [1]).array(Double.self)
    )
    return (0..<images.size(0)).map { row in
      let gain = 0.5 / max(linf[row], 1e-6)
      let (deception, truth) = (label[row].integerItem(), labelR[row].integerItem())
      let isChanged = deception != truth
      return Finding(
        label: deception, confidence: confidence[row].item(), denoisedLabel: truth,
        denoisedConfidence: confidenceR[row].item(), denoisedLikelihood: likelihoods?[row] ?? nil,
        suspicion: suspicion[row],
        falsePositives: calibration.falsePositives(suspicion[row]),
        family: likely.flatMap { likely in
          families.flatMap { RedAttack(rawValue: $0.classes[likely.indices[row].integerItem()]) }
        },
        familyProbability: likely.map { $0.values[row].item() }, estimatedLinf: linf[row], estimatedL2: l2[row],
        image: PairCell.rounded(images[row]), denoised: PairCell.rounded(xR[row]),
        perturbation: PairCell.rounded(estimate[row] * gain + 0.5), attribution: maps[row],
        denoisedAttribution: mapsR[row],
        discrepancy: isChanged ? discrepancies[row] : nil,
        pixelRoles: isChanged && tellsPixelRoles
          ? PixelRoles(of: images[row], undoneBy: xR[row], truth: truth, deception: deception) { victim.logits($0) }
          : nil, gain: gain)
    }
  }
}
