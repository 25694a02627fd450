import QuenchSupport

/// A call of an operator whose operands are not yet values of a graph.
struct ONNXPendingCall {
  enum Role {
    case plain
    case weight(String)
    case statistic(String)
  }

  private enum Argument {
    case value(Int)
    case values([Int])
    case sizes([ONNXSize])
    case size(ONNXSize)
    case literal(OperatorGraph.Operand)
  }

  private(set) var values: [ONNXValue] = []
  private(set) var roles: [Role] = []
  private(set) var hangsOnImages = false
  private var list: [(name: String, argument: Argument)] = []

  mutating func append(_ name: String, _ operand: ONNXOperand) {
    switch operand {
    case .tensor(let value): list.append((name, .value(add(value, .plain))))
    case .weight(let value, let role): list.append((name, .value(add(value, .weight(role)))))
    case .statistic(let value, let role): list.append((name, .value(add(value, .statistic(role)))))
    case .tensors(let values): list.append((name, .values(values.map { add($0, .plain) })))
    case .sizes(let sizes):
      if sizes.contains(where: { $0.fixed == nil }) { hangsOnImages = true }
      list.append((name, .sizes(sizes)))
    case .size(let size):
      if size.fixed == nil { hangsOnImages = true }
      list.append((name, .size(size)))
    case .literal(let operand): list.append((name, .literal(operand)))
    }
  }

  private mutating func add(_ value: ONNXValue, _ role: Role) -> Int {
    if case .tensor = value { hangsOnImages = true }
    values.append(value)
    roles.append(role)
    return values.count - 1
  }

  /// The tensors in one trial.
  func operands(_ trial: Int) -> [Tensor] {
    values.compactMap { value in
      switch value {
      case .constant(let constant): constant.tensor
      case .tensor(let tensor): tensor.trials[trial]
      case .sizes: nil
      }
    }
  }

  /// The arguments in one trial; values are positions among its operands.
  func arguments(_ trial: Int) -> [OperatorGraph.Argument] {
    list.map { name, argument in
      switch argument {
      case .value(let index): .init(name, .value(.init(index)))
      case .values(let indices): .init(name, .values(indices.map { .init($0) }))
      case .sizes(let sizes): .init(name, .integers(sizes.map { $0.trials[trial] }))
      case .size(let size): .init(name, .integer(size.trials[trial]))
      case .literal(let operand): .init(name, operand)
      }
    }
  }

  /// The arguments in a graph whose values stand for the operands.
  func arguments(reading values: [OperatorGraph.Value]) -> [OperatorGraph.Argument] {
    list.map { name, argument in
      switch argument {
      case .value(let index): .init(name, .value(values[index]))
      case .values(let indices): .init(name, .values(indices.map { values[$0] }))
      case .sizes(let sizes):
        if sizes.allSatisfy({ $0.fixed != nil }) {
          .init(name, .integers(sizes.compactMap(\.fixed)))
        } else {
          .init(name, .sizes(sizes.map(\.size)))
        }
      case .size(let size):
        switch size.size {
        case .fixed(let value): .init(name, .integer(value))
        case .computed(let value): .init(name, .value(value))
        }
      case .literal(let operand): .init(name, operand)
      }
    }
  }
}
