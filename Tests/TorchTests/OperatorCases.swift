import Foundation
import QuenchTorch

/// The wrapped operators by kind; each case does what the case of the same name in `scripts/reference_operators.py`
/// does.
enum OperatorCases: String, CaseIterable {
  case arithmetic, functions, comparisons, reductions, order, shaping, indexing, networks, losses, creation, random,
    normal

  /// `SEED` of the script.
  static let seed: UInt64 = 20

  /// Receives a case: its name, and its function of the inputs.
  typealias Check = (_ name: String, _ body: ([Tensor]) -> [Tensor]) -> Void

  func visit(_ check: Check) {
    switch self {
    case .arithmetic: Self.arithmetic(check)
    case .functions: Self.functions(check)
    case .comparisons: Self.comparisons(check)
    case .reductions: Self.reductions(check)
    case .order: Self.order(check)
    case .shaping: Self.shaping(check)
    case .indexing: Self.indexing(check)
    case .networks: Self.networks(check)
    case .losses: Self.losses(check)
    case .creation: Self.creation(check)
    case .random: Self.random(check)
    case .normal: Self.normal(check)
    }
  }

  /// An operator that works in place, on a copy of the first input.
  static func changed(_ x: [Tensor], _ body: (Tensor) -> Void) -> [Tensor] {
    let y = x[0].cloned()
    body(y)
    return [y]
  }

  static func truth(_ value: Bool) -> Tensor { Tensor([value], shape: []) }

  private static func arithmetic(_ check: Check) {
    check("add") { x in [x[0] + x[1]] }
    check("addNumber") { x in [x[0] + 1.5, 1.5 + x[0], x[0] - 1.5] }
    check("subtract") { x in [x[0] - x[1]] }
    check("subtractFromNumber") { x in [1.5 - x[0]] }
    check("multiply") { x in [x[0] * x[1]] }
    check("multiplyNumber") { x in [x[0] * 1.5, 1.5 * x[0]] }
    check("divide") { x in [x[0] / x[1]] }
    check("divideByNumber") { x in [x[0] / 1.5] }
    check("divideNumber") { x in [1.5 / x[0]] }
    check("negate") { x in [-x[0]] }
    check("addInPlace") { x in changed(x) { $0 += x[1] } }
    check("addNumberInPlace") { x in changed(x) { $0 += 1.5 } }
    check("subtractInPlace") { x in changed(x) { $0 -= x[1] } }
    check("subtractNumberInPlace") { x in changed(x) { $0 -= 1.5 } }
    check("multiplyInPlace") { x in changed(x) { $0 *= x[1] } }
    check("multiplyNumberInPlace") { x in changed(x) { $0 *= 1.5 } }
    check("divideInPlace") { x in changed(x) { $0 /= x[1] } }
    check("divideNumberInPlace") { x in changed(x) { $0 /= 1.5 } }
    check("addScaled") { x in changed(x) { $0.add(x[1], scaledBy: -0.25) } }
    check("fill") { x in changed(x) { $0.fill(with: 2.5) } }
    check("copy") { x in changed(x) { $0.copy(from: x[1]) } }
    check("floorDivide") { x in [x[0].floorDivided(by: 0.4)] }
    check("remainder") { x in [x[0].remainder(3).to(.int64)] }
    check("addProduct") { x in [x[0].adding(productOf: x[1], x[2], scaledBy: -0.5)] }
    check("interpolate") { x in [x[0].interpolated(to: x[1], weight: 0.3)] }
    check("foreach") { x in
      let tensors = x.map { $0.detached().cloned() }
      let norms = Foreach.norms(tensors)
      Foreach.scale(tensors, by: 0.5)
      Foreach.add(1, to: tensors)
      return norms + tensors
    }
  }

  private static func functions(_ check: Check) {
    check("abs") { x in [x[0].abs()] }
    check("square") { x in [x[0].square()] }
    check("exp") { x in [x[0].exp()] }
    check("expm1") { x in [x[0].expm1()] }
    check("sin") { x in [x[0].sin()] }
    check("cos") { x in [x[0].cos()] }
    check("tanh") { x in [x[0].tanh()] }
    check("sigmoid") { x in [x[0].sigmoid()] }
    check("erf") { x in [x[0].erf()] }
    check("sqrt") { x in [x[0].sqrt()] }
    check("rsqrt") { x in [x[0].rsqrt()] }
    check("log") { x in [x[0].log()] }
    check("log1p") { x in [x[0].log1p()] }
    check("sign") { x in [x[0].sign()] }
    check("floor") { x in [x[0].floor()] }
    check("ceil") { x in [x[0].ceil()] }
    check("round") { x in [x[0].rounded()] }
    check("pow") { x in [x[0].pow(2.5)] }
    check("isNaN") { x in [(x[0] / 0.0).isNaN()] }
    check("isFinite") { x in [(x[0] / x[0]).isFinite()] }
    check("clamp") { x in [x[0].clamped(to: -0.5...0.5), x[0].clamped(to: 0.1...), x[0].clamped(to: ...0.1)] }
    check("clampTensors") { x in [x[0].clamped(from: x[1], to: x[2])] }
    check("clampInPlace") { x in changed(x) { $0.clamp(to: -0.5...0.5) } }
    check("maximum") { x in [x[0].maximum(x[1])] }
    check("minimum") { x in [x[0].minimum(x[1])] }
  }

  private static func comparisons(_ check: Check) {
    check("compareTensors") { x in
      let (a, b) = (x[0], x[1])
      return [a .== b, a .!= b, a .< b, a .<= b, a .> b, a .>= b]
    }
    check("compareNumber") { x in
      let a = x[0]
      return [a .== 2.0, a .!= 2.0, a .< 2.0, a .<= 2.0, a .> 2.0, a .>= 2.0]
    }
    check("logical") { x in [x[0].logicalAnd(x[1]), x[0].logicalOr(x[1]), x[0].logicalNot()] }
    check("choose") { x in [x[1].choosing(where: x[0], otherwise: x[2])] }
    check("maskedFill") { x in [x[0].filled(with: -2, where: x[1])] }
    check("isEqual") { x in [truth(x[0].isEqual(to: x[0].cloned())), truth(x[0].isEqual(to: x[1]))] }
    check("isClose") { x in [1e-6, 1e-4].map { truth(x[0].isClose(to: x[0] + $0)) } }
  }

  private static func creation(_ check: Check) {
    check("full") { _ in [.full([2, 2], 1.5), .zeros([3], dtype: .int32), .ones([2], dtype: .bool)] }
    check("empty") { _ in [.empty([2, 0], dtype: .float64)] }
    check("arange") { _ in [.arange(to: 4), .arange(1, to: 2, by: 0.25, dtype: .float64)] }
    check("linspace") { _ in [.linspace(-1, 1, count: 5, dtype: .float64)] }
    check("eye") { _ in [.eye(3)] }
    check("like") { x in
      let ones = x[0].detached().emptyLike()
      ones.fill(with: 1)
      return [x[0].zerosLike(), x[0].onesLike(), x[0].fullLike(2.5), ones]
    }
    check("oneHot") { x in [x[0].oneHot(classes: 4)] }
  }

  /// A generator seeded as the script's gives the script's numbers.
  private static func seeded() -> Generator { Generator(seed: seed) }

  private static func random(_ check: Check) {
    check("uniform") { _ in
      [
        .uniform([8], -1, 2, dtype: .float64, using: seeded()), .uniform([40], using: seeded())
      ]
    }
    check("fillUniform") { x in changed([x[0].detached()]) { $0.fillUniform(-1, 2, using: seeded()) } }
    check("dropout") { x in [x[0].dropout(0.4, using: seeded())] }
    check("bernoulli") { _ in [.bernoulli([16], probability: 0.3, using: seeded())] }
    check("randint") { _ in [.randint([12], in: -5..<6, using: seeded())] }
    check("permutation") { _ in [.permutation(12, using: seeded())] }
    check("multinomial") { x in
      [
        x[0].multinomial(samples: 3, using: seeded()),
        x[0].multinomial(samples: 8, replacement: true, using: seeded())
      ]
    }
  }

  private static func normal(_ check: Check) {
    check("normal") { _ in
      [
        .normal([8], mean: 0.5, standardDeviation: 2, dtype: .float64, using: seeded()),
        .normal([40], dtype: .float64, using: seeded()), .normal([8], using: seeded())
      ]
    }
    check("fillNormal") { x in
      changed([x[0].detached()]) { $0.fillNormal(mean: 0.5, standardDeviation: 2, using: seeded()) }
    }
  }
}
