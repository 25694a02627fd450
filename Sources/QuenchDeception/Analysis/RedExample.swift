import QuenchTorch

/// A pair of clean and adversarial image with what a denoiser makes of it, to be looked at.
public struct RedExample {
  public let key: PairCell.Key
  /// uint8 `[1 or 3, H, W]`: x, x' and D(x').
  public let clean: Tensor
  public let adversarial: Tensor
  public let denoised: Tensor
  /// The perturbation x' - x and its estimate x' - D(x'), both stretched by ``gain`` about grey.
  public let perturbation: Tensor
  public let estimate: Tensor
  public let gain: Double
  /// The victim's answers to x, x' and D(x').
  public let answers: (clean: Int, adversarial: Int, denoised: Int)

  /// - Parameters:
  ///   - pairs: A cell.
  ///   - row: Which of its pairs.
  ///   - victim: The one that the cell's attack was made on.
  ///   - denoise: D.
  init(_ pairs: PairCell, row: Int, victim: Victim, denoise: (Tensor) -> Tensor) {
    let (x, xA) = (PairCell.pixels(pairs.clean[row..<row + 1]), PairCell.pixels(pairs.adversarial[row..<row + 1]))
    let xR = denoise(xA)
    let delta = xA - x
    gain = 0.5 / max(delta.abs().max().item(), 1.0 / 255)
    key = pairs.key
    (clean, adversarial) = (pairs.clean[row], pairs.adversarial[row])
    denoised = PairCell.rounded(xR[0])
    perturbation = PairCell.rounded(delta[0] * gain + 0.5)
    estimate = PairCell.rounded((xA - xR)[0] * gain + 0.5)
    func answer(_ images: Tensor) -> Int { victim.answers(images)[0].integerItem() }
    answers = (answer(x), answer(xA), answer(xR))
  }
}

extension RedEvaluation {
  /// The first successful pair of each attack on the first victim, of medium strength where there are several: what is
  /// shown is not chosen.
  public func examples(_ cells: [PairCell]) -> [RedExample] {
    guard let victim = victims.first else { return [] }
    return cells.filter { $0.key.victim == victim.name && $0.key.level == .medium }.map(\.successful)
      .filter { $0.count > 0 }.map { RedExample($0, row: 0, victim: victim, denoise: denoise) }
  }
}
