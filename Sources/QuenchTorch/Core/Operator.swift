import CTorch
import Foundation

/// A LibTorch operator, found by its schema name once and called boxed.
///
/// Keep it in a `static let` and call it with the schema's arguments in order; what is left out at the end takes
/// the schema's default. A mistake (a shape, a type) is a programming error: it ends the process with one line and
/// exit code 70.
///
/// ```swift
/// private static let matmulOperator = Operator("aten::matmul")
/// public func matmul(_ other: Tensor) -> Tensor { Self.matmulOperator(self, other) }
/// ```
public struct Operator: Sendable {
  /// The schema's name with its overload: `aten::add.Tensor`.
  public let name: String
  /// The handle's address (a handle lives as long as the process), or nil where LibTorch lacks the operator.
  private let address: UInt?

  public init(_ name: String) {
    self.name = name
    address = ct_operator_find(name).map { UInt(bitPattern: $0) }
  }

  /// Whether this LibTorch has the operator: oneDNN's, for one, are missing on some platforms.
  public var isAvailable: Bool { address != nil }
  /// How many arguments the schema has, or nil where the operator is missing.
  public var arity: Int? { handle.map { Int(ct_operator_arity($0)) } }
  /// How often the operator was called through this package in this process, whoever holds it.
  public var calls: UInt64 { handle.map { ct_operator_calls($0) } ?? 0 }

  private var handle: OpaquePointer? { address.flatMap { OpaquePointer(bitPattern: $0) } }

  /// Calls an operator that returns one tensor.
  public func callAsFunction(_ arguments: any Argument...) -> Tensor {
    invoke(arguments) { results in Tensor(adopting: tensor(results, at: 0)) }
  }

  /// Calls an operator for its effect only; a tensor that it returns is let go.
  public func run(_ arguments: any Argument...) {
    invoke(arguments) { results in
      for value in results where value.tag == CT_TENSOR { ct_release(value.as.tensor) }
    }
  }

  /// Calls an operator that returns a tuple of tensors.
  public func tuple(_ arguments: any Argument...) -> [Tensor] {
    invoke(arguments) { results in results.indices.map { Tensor(adopting: tensor(results, at: $0)) } }
  }

  /// Calls an operator that returns a list of tensors.
  public func list(_ arguments: any Argument...) -> [Tensor] {
    invoke(arguments) { results in
      guard let first = results.first, first.tag == CT_TENSORS else { stop("does not return a list of tensors") }
      defer { free(UnsafeMutableRawPointer(mutating: first.as.tensors)) }
      return (0..<Int(first.count)).map { index in
        guard let handle = first.as.tensors[index] else { stop("returned an undefined tensor") }
        return Tensor(adopting: handle)
      }
    }
  }

  /// Calls an operator that returns a truth value.
  public func boolean(_ arguments: any Argument...) -> Bool {
    invoke(arguments) { results in results.first?.as.integer != 0 }
  }

  private func tensor(_ results: UnsafeBufferPointer<ct_value>, at index: Int) -> OpaquePointer {
    guard index < results.count, results[index].tag == CT_TENSOR, let handle = results[index].as.tensor else {
      stop("returned no tensor")
    }
    return handle
  }

  private func invoke<Result>(
    _ arguments: [any Argument], _ body: (UnsafeBufferPointer<ct_value>) -> Result
  ) -> Result {
    guard let handle else { stop("is missing from LibTorch \(LibTorch.version)") }
    var list = ArgumentList(reserving: arguments.count)
    for argument in arguments { argument.append(to: &list) }
    return withExtendedLifetime(arguments) {
      withUnsafeTemporaryAllocation(of: ct_value.self, capacity: 8) { results in
        var produced: Int32 = 0
        var error = ct_error()
        let status = list.withValues { values in
          ct_call(handle, values.baseAddress, Int32(values.count), results.baseAddress, 8, &produced, &error)
        }
        guard status == CT_OK else { stop(error, arguments) }
        return body(UnsafeBufferPointer(rebasing: results[..<Int(produced)]))
      }
    }
  }

  private func stop(_ problem: String) -> Never { ProgrammingError.stop("\(name) \(problem)") }

  private func stop(_ error: ct_error, _ arguments: [any Argument]) -> Never {
    let operands = arguments.compactMap { argument in
      switch argument {
      case let tensor as Tensor: tensor.summary
      case let tensors as [Tensor]: "[" + tensors.prefix(4).map(\.summary).joined(separator: ", ") + "]"
      default: nil
      }
    }
    let failure = TorchFailure(taking: error)
    ProgrammingError.stop("\(name): \(operands.joined(separator: " × ")): \(failure.advised)")
  }
}

/// What LibTorch reported, copied out of the door at once.
struct TorchFailure: Error {
  let message: String
  let isOutOfMemory: Bool

  /// The message, and where memory ran out what can be done.
  var advised: String {
    isOutOfMemory ? "\(message); lower the batch size, the image size or the number of threads" : message
  }

  init(message: String) { (self.message, isOutOfMemory) = (message, false) }

  init(taking error: ct_error) {
    message = error.message.map { String(cString: $0) } ?? "out of memory"
    isOutOfMemory = error.status == CT_OUT_OF_MEMORY
    free(error.message)
  }
}
