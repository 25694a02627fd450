import QuenchSupport

/// A tensor and its name in the model: `layer1.0.conv1.weight`.
public typealias NamedTensor = (name: String, tensor: Tensor)

/// A rule that moves parameters along their gradients.
///
/// One optimiser is one group of parameters with the same settings; parameters with other settings (a model's
/// weights and its pruning scores) get an optimiser of their own. All of its parameters lie on one device in one
/// element type.
public protocol Optimizer: AnyObject {
  /// Multiplies the update; a ``Schedule`` sets it between steps.
  var learningRate: Double { get set }
  /// What is updated, in place.
  var parameters: [NamedTensor] { get }
  /// What the rule remembers between steps, under names like `layer1.0.conv1.weight.momentum_buffer`: tensors that
  /// live on, so copy them to keep them.
  var state: StateDictionary { get }

  /// Updates every parameter in one pass; one whose gradient is nil keeps its value and its state.
  /// - Parameter gradients: One a parameter, in the order of ``parameters``, of the parameter's shape.
  func step(gradients: [Tensor?])
}

extension Optimizer {
  /// Updates every parameter that has a ``Tensor/gradient``.
  public func step() { step(gradients: parameters.map(\.tensor.gradient)) }

  /// Drops the gradients, so that the next `backward` starts afresh.
  public func zeroGradients() {
    for parameter in parameters { parameter.tensor.gradient = nil }
  }

  /// Scales all gradients by one factor where their common Euclidean norm is larger than `maxNorm`.
  /// - Returns: The norm before scaling; NaN or infinite gradients show in it.
  @discardableResult
  public func clipGradients(maxNorm: Double) -> Double {
    let gradients = parameters.compactMap(\.tensor.gradient)
    guard !gradients.isEmpty else { return 0 }
    return withoutGradient {
      let norm = Tensor.stacked(Foreach.norms(gradients)).norm().item()
      let factor = maxNorm / (norm + 1e-6)
      if factor < 1 { Foreach.scale(gradients, by: factor) }
      return norm
    }
  }

  /// Continues from a ``state`` that was saved: the next step is the one that would have followed, bit for bit.
  /// - Parameters:
  ///   - saved: The tensors of that state.
  ///   - location: The file that they come from, for errors.
  /// - Throws: `InputError`, with nothing changed, if a tensor is missing, unknown, or of another shape or type.
  public func restore(_ saved: some Sequence<NamedTensor>, from location: String) throws(InputError) {
    let saved = StateDictionary(saved.map { ($0.name, $0.tensor) })
    let state = state
    for (name, tensor) in state {
      let remedy = "resume with the model and the optimizer that the state was saved with"
      guard let other = saved[name] else {
        throw InputError("the optimizer state lacks '\(name)'", at: location, remedy: remedy)
      }
      guard other.shape == tensor.shape, other.dtype == tensor.dtype else {
        throw InputError(
          "the optimizer state '\(name)' does not fit", at: location, expected: tensor.summary,
          found: other.summary, remedy: remedy)
      }
    }
    if let unknown = saved.keys.first(where: { state[$0] == nil }) {
      throw InputError("the optimizer knows no state '\(unknown)'", at: location)
    }
    withoutGradient {
      for (name, tensor) in state { saved[name].map { tensor.copy(from: $0) } }
    }
  }
}

/// Zeros that lie in memory as each parameter does.
///
/// The fused kernels walk the memory of a parameter, its gradient and its buffers side by side.
func buffers(for parameters: [NamedTensor]) -> [Tensor] {
  parameters.map { name, parameter in
    let buffer = parameter.detached().zerosLike()
    guard buffer.hasLayout(of: parameter) else {
      ProgrammingError.stop("optimizer: '\(name)' (\(parameter.summary)) is a view with gaps; make it contiguous")
    }
    return buffer
  }
}

/// The positions of the parameters with a gradient, and these gradients as they lie in memory as the parameters do.
func aligned(_ gradients: [Tensor?], to parameters: [NamedTensor]) -> (indices: [Int], gradients: [Tensor]) {
  guard gradients.count == parameters.count else {
    ProgrammingError.stop("optimizer: \(gradients.count) gradients for \(parameters.count) parameters")
  }
  var result: (indices: [Int], gradients: [Tensor]) = ([], [])
  for (index, gradient) in gradients.enumerated() {
    guard let gradient else { continue }
    let (name, parameter) = parameters[index]
    result.indices.append(index)
    if gradient.hasLayout(of: parameter), gradient.dtype == parameter.dtype, gradient.device == parameter.device {
      result.gradients.append(gradient)
    } else if gradient.shape == parameter.shape {
      let copy = parameter.detached().emptyLike()
      copy.copy(from: gradient)
      result.gradients.append(copy)
    } else {
      ProgrammingError.stop("optimizer: '\(name)' is \(parameter.summary), its gradient \(gradient.summary)")
    }
  }
  return result
}
