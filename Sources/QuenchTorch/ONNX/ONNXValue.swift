/// What a name in an ONNX model stands for while the model is read.
enum ONNXValue {
  /// Numbers that are the same for all images.
  case constant(ONNXConstant)
  /// A few integers of which some hang on the images' shape.
  case sizes(ONNXSizes)
  /// What the network computes.
  case tensor(ONNXTensor)
}

struct ONNXConstant {
  var tensor: Tensor
  /// The name in the file, of the initializer or of the result that it was computed as.
  var name: String
  /// Tells constants apart.
  var id: Int
  /// Whether it may have been learned.
  var isLearned: Bool
}

/// A size that is computed by the graph or known now, and what it is in each trial.
struct ONNXSize {
  var size: OperatorGraph.Size
  var trials: [Int]

  var fixed: Int? { if case .fixed(let value) = size { value } else { nil } }
}

/// An integer or a vector of them.
struct ONNXSizes {
  var elements: [ONNXSize]
  var isScalar: Bool
}

/// A value of the graph, and what it is in each trial: the network on a black image or two.
struct ONNXTensor {
  var value: OperatorGraph.Value
  var trials: [Tensor]

  var rank: Int { trials[0].rank }
  var dtype: DType { trials[0].dtype }

  /// The size of a dimension, where it is the same in all trials.
  func size(_ dimension: Int) -> Int? {
    let size = trials[0].size(dimension)
    return trials.allSatisfy { $0.size(dimension) == size } ? size : nil
  }
}

extension ONNXValue {
  var rank: Int {
    switch self {
    case .constant(let constant): constant.tensor.rank
    case .sizes(let sizes): sizes.isScalar ? 0 : 1
    case .tensor(let tensor): tensor.rank
    }
  }

  var dtype: DType {
    switch self {
    case .constant(let constant): constant.tensor.dtype
    case .sizes: .int64
    case .tensor(let tensor): tensor.dtype
    }
  }

  /// The only number of a constant.
  var number: Double? {
    guard case .constant(let constant) = self, constant.tensor.count == 1 else { return nil }
    return constant.tensor.reshaped([]).item()
  }

  /// The only number of a constant as an operator's argument: an integer where it is one.
  var literal: OperatorGraph.Operand? {
    guard case .constant(let constant) = self, constant.tensor.count == 1 else { return nil }
    let scalar = constant.tensor.reshaped([])
    if dtype.isFloatingPoint { return .real(scalar.item()) }
    return dtype == .bool ? .boolean(scalar.item() != 0) : .integer(scalar.to(.int64).integerItem())
  }

  /// The size of a dimension, where it is the same for all images.
  func size(_ dimension: Int) -> Int? {
    switch self {
    case .constant(let constant): constant.tensor.size(dimension)
    case .sizes(let sizes): sizes.elements.count
    case .tensor(let tensor): tensor.size(dimension)
    }
  }

  /// The sizes of all dimensions in one trial.
  func shape(_ trial: Int) -> [Int] {
    switch self {
    case .constant(let constant): constant.tensor.shape
    case .sizes(let sizes): sizes.isScalar ? [] : [sizes.elements.count]
    case .tensor(let tensor): tensor.trials[trial].shape
    }
  }
}

/// What a lowered operator is given for an argument.
enum ONNXOperand {
  /// What the network computes, or numbers; these are learned where they may be.
  case tensor(ONNXValue)
  /// Learned numbers, by PyTorch's name for them: `weight`.
  case weight(ONNXValue, String)
  /// A running statistic.
  case statistic(ONNXValue, String)
  case tensors([ONNXValue])
  case sizes([ONNXSize])
  case size(ONNXSize)
  case literal(OperatorGraph.Operand)
}
