import CTorch
import Foundation
import QuenchSupport

/// What is at hand in the course of one evaluation of a graph.
struct GraphValues {
  private enum Slot {
    case tensor(Tensor)
    case integer(Int)
    case real(Double)
    case boolean(Bool)
  }

  /// Why a step could not be computed.
  enum Failure: Error {
    case refused(TorchFailure, operands: String)
    case results(expected: Int, found: Int)
    case value(String)
    case arithmetic

    func told(of node: OperatorGraph.Node, at location: String) -> InputError {
      let place = "\(location), node '\(node.name)' (\(node.target))"
      switch self {
      case .refused(let failure, let operands):
        return InputError(
          "LibTorch does not compute the operator: \(failure.message)", at: place, found: operands,
          remedy: failure.isOutOfMemory ? "lower the batch size, the image size or the number of threads" : nil)
      case .results(let expected, let found):
        return InputError(
          "the operator has other results than the program says", at: place, expected: "\(expected)",
          found: "\(found)")
      case .value(let found):
        return InputError("an operand is of another kind than the operator takes", at: place, found: found)
      case .arithmetic: return InputError("the arithmetic with sizes has no result", at: place)
      }
    }
  }

  var isTraining = false
  /// Whose images together are a training pass's batch.
  var world = World.alone
  /// Whether a training pass leaves the running statistics alone.
  var keepsStatistics = false
  /// Whether an operator may write its result over an operand that nothing else needs.
  var mayWorkInPlace = false
  private var slots: [Slot?]
  private let device: Device

  init(count: Int, device: Device) {
    slots = [Slot?](repeating: nil, count: count)
    self.device = device
  }

  /// How many tensors are at hand.
  var tensorCount: Int { slots.reduce(0) { if case .tensor? = $1 { $0 + 1 } else { $0 } } }
  func tensor(_ index: Int) -> Tensor? { if case .tensor(let tensor)? = slots[index] { tensor } else { nil } }
  mutating func set(_ index: Int, _ tensor: Tensor) { slots[index] = .tensor(tensor) }
  mutating func release(_ indices: [Int]) { for index in indices { slots[index] = nil } }

  mutating func compute(_ step: GraphProgram.Step, _ node: OperatorGraph.Node) throws(Failure) {
    switch step.operation {
    case .size(let index, let dimension):
      guard let tensor = tensor(index), (-tensor.rank..<tensor.rank).contains(dimension) else {
        throw .value(describe(index))
      }
      store([.integer(tensor.size(dimension))], node)
    case .arithmetic(let operation, let sizes):
      var operands: [Int] = []
      for size in sizes { operands.append(try integer(size)) }
      guard let result = operation(operands) else { throw .arithmetic }
      store([.integer(result)], node)
    case .call(_, let operands) where isTraining && world.size > 1 && step.isBatchNorm:
      try withMode(node.mode) { (values) throws(Failure) in try values.normalizeTogether(operands, node) }
    case .call(let schema, let operands):
      let schema = worksInPlace(step, operands) ? step.inPlace ?? schema : schema
      try withMode(node.mode) { (values) throws(Failure) in try values.call(schema, operands, node) }
    }
  }

  /// Whether the result is as large as the first operand and of its type, so that it can be written over it.
  private func worksInPlace(_ step: GraphProgram.Step, _ operands: [GraphProgram.Operand]) -> Bool {
    guard mayWorkInPlace, step.inPlace != nil, case .tensor(let first)? = operands.first, let tensor = tensor(first)
    else {
      return false
    }
    guard operands.count > 1 else { return true }
    guard case .tensor(let second) = operands[1], let other = self.tensor(second) else { return false }
    return tensor.dtype == other.dtype && tensor.shape == other.shape
  }

  private mutating func withMode(
    _ mode: OperatorGraph.Mode, _ body: (inout GraphValues) throws(Failure) -> Void
  ) throws(Failure) {
    let gradient = ct_grad_mode()
    if let wanted = mode.gradient { ct_set_grad_mode(wanted && gradient) }
    defer { if mode.gradient != nil { ct_set_grad_mode(gradient) } }
    guard let autocast = mode.autocast else { return try body(&self) }
    var dtype: DType?
    if case .on(let wanted) = autocast { dtype = wanted }
    let result = withAutocast(dtype, on: device) {
      Result { () throws(Failure) in try body(&self) }
    }
    try result.get()
  }

  private mutating func call(
    _ schema: OperatorSchema, _ operands: [GraphProgram.Operand], _ node: OperatorGraph.Node
  ) throws(Failure) {
    var list = ArgumentList(reserving: operands.count)
    // Numbers that became tensors for this call must live as long as it does.
    var made: [Tensor] = []
    for operand in operands { try append(operand, to: &list, &made) }
    var found: [Slot?] = []
    do throws(TorchFailure) {
      try withExtendedLifetime(made) { () throws(TorchFailure) in
        try schema.call(&list) { results in found = Self.slots(of: results, node.results) }
      }
    } catch { throw .refused(error, operands: summary(of: operands)) }
    let wanted = node.results.reduce(0) { if case .list(let values) = $1 { $0 + values.count } else { $0 + 1 } }
    guard found.count == wanted || node.results.isEmpty else {
      throw .results(expected: wanted, found: found.count)
    }
    store(found, node)
  }

  /// A batch norm in training over the images of all ranks.
  private mutating func normalizeTogether(
    _ operands: [GraphProgram.Operand], _ node: OperatorGraph.Node
  ) throws(Failure) {
    func found(_ position: Int) throws(Failure) -> Tensor? {
      switch operands[position] {
      case .tensor(let index): try tensor(at: index)
      case .statistic(let index): keepsStatistics ? nil : try tensor(at: index)
      default: nil
      }
    }
    func real(_ position: Int) throws(Failure) -> Double {
      guard case .fixed(let value) = operands[position], let real = value as? Double else {
        throw .value("a batch norm whose momentum or epsilon is computed")
      }
      return real
    }
    guard let input = try found(0) else { throw .value("nothing") }
    var running: (mean: Tensor, variance: Tensor)?
    if let mean = try found(3), let variance = try found(4) { running = (mean, variance) }
    let output = world.normalized(
      input, weight: try found(1), bias: try found(2), running: running, momentum: try real(6), epsilon: try real(7)
    )
    store([.tensor(output)], node)
  }

  private mutating func append(
    _ operand: GraphProgram.Operand, to list: inout ArgumentList, _ made: inout [Tensor]
  ) throws(Failure) {
    switch operand {
    case .missing: SchemaDefault().append(to: &list)
    case .fixed(let value): value.append(to: &list)
    case .inputDevice: device.append(to: &list)
    case .training: isTraining.append(to: &list)
    case .statistic(let index):
      if keepsStatistics { Tensor?.none.append(to: &list) } else { try tensor(at: index).append(to: &list) }
    case .tensor(let index):
      if let number = number(index) {
        guard let tensor = Tensor.wrappedNumber(number) else { throw .value(describe(index)) }
        made.append(tensor)
        tensor.append(to: &list)
      } else {
        try tensor(at: index).append(to: &list)
      }
    case .tensors(let indices):
      var handles: [OpaquePointer?] = []
      for index in indices {
        if let index { handles.append(try tensor(at: index).raw) } else { handles.append(nil) }
      }
      list.append(handles)
    case .number(let index):
      switch number(index) {
      case .integer(let value)?: value.append(to: &list)
      case .real(let value)?: value.append(to: &list)
      case .boolean(let value)?: value.append(to: &list)
      default: throw .value(describe(index))
      }
    case .sizes(let sizes):
      var integers: [Int] = []
      for size in sizes { integers.append(try integer(size)) }
      integers.append(to: &list)
    }
  }

  private func tensor(at index: Int) throws(Failure) -> Tensor {
    guard let tensor = tensor(index) else { throw .value(describe(index)) }
    return tensor
  }

  private func integer(_ size: OperatorGraph.Size) throws(Failure) -> Int {
    switch size {
    case .fixed(let value): return value
    case .computed(let value):
      guard case .integer(let integer)? = slots[value.index] else { throw .value(describe(value.index)) }
      return integer
    }
  }

  /// The number that a step computed; nil for a tensor.
  private func number(_ index: Int) -> OperatorGraph.Operand? {
    switch slots[index] {
    case .integer(let value)?: .integer(value)
    case .real(let value)?: .real(value)
    case .boolean(let value)?: .boolean(value)
    default: nil
    }
  }

  private func describe(_ index: Int) -> String {
    switch slots[index] {
    case .tensor(let tensor)?: tensor.summary
    case .integer(let value)?: "\(value)"
    case .real(let value)?: "\(value)"
    case .boolean(let value)?: "\(value)"
    case nil: "nothing"
    }
  }

  private func summary(of operands: [GraphProgram.Operand]) -> String {
    operands.compactMap { operand in
      switch operand {
      case .tensor(let index), .statistic(let index): tensor(index)?.summary
      case .tensors(let indices):
        "[" + indices.prefix(4).map { $0.map(describe) ?? "none" }.joined(separator: ", ") + "]"
      default: nil
      }
    }
    .joined(separator: " × ")
  }

  // MARK: - Results

  private mutating func store(_ found: [Slot?], _ node: OperatorGraph.Node) {
    var next = found.makeIterator()
    for result in node.results {
      switch result {
      case .unused: _ = next.next()
      case .one(let value): slots[value.index] = next.next() ?? nil
      case .list(let values):
        for value in values {
          let slot = next.next() ?? nil
          if let value { slots[value.index] = slot }
        }
      }
    }
  }

  /// The results one after the other, the elements of a list in its place. Every tensor among them is owned.
  private static func slots(
    of results: UnsafeBufferPointer<ct_value>, _ wanted: [OperatorGraph.Result]
  ) -> [Slot?] {
    var slots: [Slot?] = []
    for result in results {
      switch Int(result.tag) {
      case CT_TENSOR: slots.append(result.as.tensor.map { .tensor(Tensor(adopting: $0)) })
      case CT_TENSORS:
        for index in 0..<Int(result.count) {
          slots.append(result.as.tensors[index].map { .tensor(Tensor(adopting: $0)) })
        }
        free(UnsafeMutableRawPointer(mutating: result.as.tensors))
      case CT_INTEGER: slots.append(.integer(Int(result.as.integer)))
      case CT_REAL: slots.append(.real(result.as.real))
      case CT_BOOLEAN: slots.append(.boolean(result.as.integer != 0))
      default: slots.append(nil)
      }
    }
    return slots
  }
}
