import QuenchSupport
import QuenchTorch

/// The attacks that can be had by name; what each takes is declared in ``declaration``.
public enum AttackName: String, CaseIterable, Codable, Sendable {
  case fgsm
  case pgd
  case bim
  case momentumFGSM = "mi-fgsm"
  case carliniWagner = "cw"
  case deepFool = "deepfool"
  case apgdCE = "apgd-ce"
  case apgdDLR = "apgd-dlr"
  case apgdT = "apgd-t"
  case fab
  case fabT = "fab-t"
  case square
  case feature
  case stAdv = "stadv"
  case uniformNoise = "noise-uniform"
  case gaussianNoise = "noise-gaussian"

  /// What it is and where it comes from, in one line.
  public var summary: String {
    switch self {
    case .fgsm: "one step along the gradient's sign (Goodfellow et al. 2015)"
    case .pgd: "projected gradient descent from a random point (Madry et al. 2018)"
    case .bim: "the same from the image itself (Kurakin et al. 2017)"
    case .momentumFGSM: "iterations with momentum, which transfer better (Dong et al. 2018)"
    case .carliniWagner: "the smallest L2 perturbation by Adam and bisection (Carlini and Wagner 2017)"
    case .deepFool: "steps to the nearest linearised boundary (Moosavi-Dezfooli et al. 2016)"
    case .apgdCE: "Auto-PGD on the cross-entropy (Croce and Hein 2020)"
    case .apgdDLR: "Auto-PGD on the difference of logits ratio"
    case .apgdT: "Auto-PGD towards each of nine classes"
    case .fab: "the smallest perturbation by projections on boundaries (Croce and Hein 2020)"
    case .fabT: "the same, one target class at a time"
    case .square: "random search with squares, from answers alone (Andriushchenko et al. 2020)"
    case .feature: "moves the features to those of another image (Sabour et al. 2016)"
    case .stAdv: "moves pixels along a smooth flow field instead of changing them (Xiao et al. 2018)"
    case .uniformNoise: "uniform noise of the budget's size: the floor"
    case .gaussianNoise: "Gaussian noise of the budget's size: the floor"
    }
  }
}
