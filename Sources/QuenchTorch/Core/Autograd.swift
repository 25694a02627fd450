import CTorch

extension Tensor {
  /// Whether operators on this tensor are recorded for differentiation.
  public var requiresGrad: Bool { ct_requires_grad(raw) }

  /// Marks this leaf for differentiation and returns it.
  @discardableResult
  public func requiringGrad(_ value: Bool = true) -> Tensor {
    ProgrammingError.check("requires_grad of \(summary)") { error in ct_set_requires_grad(raw, value, &error) }
    return self
  }

  /// The gradient that ``backward(seed:retainGraph:createGraph:)`` accumulated in this leaf.
  public var gradient: Tensor? {
    get { ct_gradient(raw).map(Tensor.init(adopting:)) }
    nonmutating set {
      ProgrammingError.check("gradient of \(summary)") { error in ct_set_gradient(raw, newValue?.raw, &error) }
    }
  }

  /// Adds the derivative of this tensor to the gradient of every leaf that it was computed from.
  /// - Parameters:
  ///   - seed: The derivative with respect to this tensor; may be left out for a scalar, where it is 1.
  ///   - retainGraph: Keeps the graph, so that it can be gone through again.
  ///   - createGraph: Records the computation of the derivatives, so that they can be differentiated again.
  public func backward(seed: Tensor? = nil, retainGraph: Bool = false, createGraph: Bool = false) {
    ProgrammingError.check("backward of \(summary)") { error in
      ct_backward(raw, seed?.raw, retainGraph, createGraph, &error)
    }
  }
}

/// The derivatives of `outputs` with respect to `inputs`; nil for an input that no output depends on.
/// - Parameters:
///   - outputs: What is differentiated; the derivatives of several are added up.
///   - inputs: Leaves or results that the outputs were computed from.
///   - seeds: The derivatives with respect to each output; left out, each output must be a scalar.
///   - retainGraph: Keeps the graph, so that it can be gone through again.
///   - createGraph: Records the computation of the derivatives, so that they can be differentiated again.
public func gradients(
  of outputs: [Tensor], withRespectTo inputs: [Tensor], seeds: [Tensor]? = nil, retainGraph: Bool = false,
  createGraph: Bool = false
) -> [Tensor?] {
  var results = [OpaquePointer?](repeating: nil, count: inputs.count)
  let seedHandles = seeds?.map { Optional($0.raw) } ?? Array(repeating: nil, count: outputs.count)
  withExtendedLifetime((outputs, inputs, seeds)) {
    ProgrammingError.check("gradients") { error in
      ct_grad(
        outputs.map { $0.raw }, seedHandles, Int32(outputs.count), inputs.map { $0.raw }, Int32(inputs.count),
        retainGraph, createGraph, &results, &error)
    }
  }
  return results.map { $0.map(Tensor.init(adopting:)) }
}

/// The derivative of a scalar `output` with respect to each of `inputs`; zeros where it does not depend on one.
public func grad(
  of output: Tensor, withRespectTo inputs: [Tensor], retainGraph: Bool = false, createGraph: Bool = false
) -> [Tensor] {
  let found = gradients(of: [output], withRespectTo: inputs, retainGraph: retainGraph, createGraph: createGraph)
  return zip(inputs, found).map { input, gradient in gradient ?? input.zerosLike() }
}

/// Runs `body` without recording operators for differentiation.
///
/// The mode belongs to the thread, so `body` is synchronous.
public func withoutGradient<Result>(_ body: () throws -> Result) rethrows -> Result {
  try withGradientMode(false, body)
}

/// Runs `body` with recording on, also inside ``withoutGradient(_:)``.
public func withGradient<Result>(_ body: () throws -> Result) rethrows -> Result {
  try withGradientMode(true, body)
}

private func withGradientMode<Result>(_ enabled: Bool, _ body: () throws -> Result) rethrows -> Result {
  let before = ct_grad_mode()
  ct_set_grad_mode(enabled)
  defer { ct_set_grad_mode(before) }
  return try body()
}

/// Runs `body` with matrix products and convolutions in `dtype`, by LibTorch's autocast rules. Nil turns it off.
public func withAutocast<Result>(_ dtype: DType?, on device: Device, _ body: () throws -> Result) rethrows -> Result
{
  let before = ct_autocast(device.type)
  func set(_ value: Int32) { ProgrammingError.check("autocast") { ct_set_autocast(device.type, value, &$0) } }
  set(dtype?.rawValue ?? -1)
  defer { set(before) }
  return try body()
}
