import Foundation
import QuenchTorch
import Testing

/// The figures that PyTorch computed; `scripts/reference_operators.py` writes them and says with which version and
/// seed.
enum Reference {
  static func load<Figures: Decodable>(_ type: Figures.Type, _ name: String) throws -> Figures {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Reference")
    return try JSONDecoder().decode(Figures.self, from: Data(contentsOf: folder.appending(path: name)))
  }
}

/// A tensor in a file of figures.
struct StoredTensor: Decodable {
  var dtype: String
  var shape: [Int]
  var values: [Double]

  var tensor: Tensor {
    get throws {
      let type = try #require(DType.allCases.first { "\($0)" == dtype })
      return Tensor(values, shape: shape).to(type)
    }
  }

  /// Whether `tensor` has this type, this shape and, within the type's tolerance, these elements.
  func matches(_ tensor: Tensor, tolerance: Double? = nil) -> Bool {
    let tolerance = tolerance ?? (tensor.dtype == .float64 ? 1e-12 : tensor.dtype == .float32 ? 1e-6 : 0)
    return "\(tensor.dtype)" == dtype && tensor.shape == shape
      && zip(tensor.array(Double.self), values).allSatisfy { abs($0 - $1) <= tolerance * (1 + abs($1)) }
  }
}

/// One function of tensors: what goes in, what comes out, and the gradients of the outputs times `seeds`.
struct OperatorFigures: Decodable {
  var inputs: [StoredTensor]
  var outputs: [StoredTensor]
  var seeds: [StoredTensor]?
  var gradients: [StoredTensor?]?

  /// Fresh inputs, those with a gradient marked for differentiation.
  func makeInputs() throws -> [Tensor] {
    try inputs.enumerated().map { index, input in
      try input.tensor.requiringGrad(gradients?[index] != nil)
    }
  }

  /// Compares `body` with the figures; `tolerance` nil stands for the element type's.
  func check(_ name: String, tolerance: Double?, _ body: ([Tensor]) -> [Tensor]) throws {
    let inputs = try makeInputs()
    let results = body(inputs)
    try #require(results.count == outputs.count, "\(name): the number of results")
    for (index, (result, figure)) in zip(results, outputs).enumerated() {
      #expect(figure.matches(result, tolerance: tolerance), "\(name): result \(index) is \(result), not \(figure)")
    }
    let smooth = results.filter(\.requiresGrad)
    try #require(smooth.count == seeds?.count ?? 0, "\(name): the number of differentiable results")
    guard let seeds = try seeds?.map({ try $0.tensor }), let expected = gradients else { return }
    let leaves = zip(inputs, expected).filter { $1 != nil }.map(\.0)
    let found = gradients(of: smooth, withRespectTo: leaves, seeds: seeds)
    for (index, (gradient, figure)) in zip(found, expected.compactMap(\.self)).enumerated() {
      let gradient = try #require(gradient, "\(name): gradient \(index)")
      #expect(
        figure.matches(gradient, tolerance: tolerance), "\(name): gradient \(index) is \(gradient), not \(figure)")
    }
  }

  private func gradients(of outputs: [Tensor], withRespectTo inputs: [Tensor], seeds: [Tensor]) -> [Tensor?] {
    QuenchTorch.gradients(of: outputs, withRespectTo: inputs, seeds: seeds)
  }
}

struct OperatorReference: Decodable {
  var seed: UInt64
  var cases: [String: OperatorFigures]
}
