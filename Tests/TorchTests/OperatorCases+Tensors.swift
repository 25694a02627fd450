import Foundation
import QuenchTorch

extension OperatorCases {
  static func reductions(_ check: Check) {
    check("sum") { x in [x[0].sum(), x[0].sum([0, 2]), x[0].sum([1], keepDimensions: true)] }
    check("mean") { x in [x[0].mean(), x[0].mean([0, 2]), x[0].mean([1], keepDimensions: true)] }
    check("variance") { x in [x[0].variance([0, 1]), x[0].variance([2], correction: 0, keepDimensions: true)] }
    check("standardDeviation") { x in
      [x[0].standardDeviation([0, 1]), x[0].standardDeviation([1], correction: 0, keepDimensions: true)]
    }
    check("product") { x in [x[0].product()] }
    check("max") { x in [x[0].max(), x[0].max([0, 2]), x[0].max([1], keepDimensions: true)] }
    check("min") { x in [x[0].min(), x[0].min([0, 2]), x[0].min([1], keepDimensions: true)] }
    check("argmax") { x in [x[0].argmax(1), x[0].argmax(-1, keepDimension: true)] }
    check("argmin") { x in [x[0].argmin(1), x[0].argmin(-1, keepDimension: true)] }
    check("anyAll") { x in
      [truth(x[0].any()), truth(x[0].all()), x[0].all(1), x[0].all(0, keepDimension: true)]
    }
    check("norm") { x in [x[0].norm(), x[0].norm(1, [0, 2]), x[0].norm(.infinity, [1], keepDimensions: true)] }
    check("cumulativeSum") { x in [x[0].cumulativeSum(1)] }
    check("logSumExp") { x in [x[0].logSumExp([1]), x[0].logSumExp([0, 2], keepDimensions: true)] }
    check("binCount") { x in [x[0].binCount(), x[0].binCount(minimumLength: 7)] }
    check("nonzeroCount") { x in [Tensor([x[0].nonzeroCount()], shape: [])] }
  }

  static func order(_ check: Check) {
    func list(_ pair: (values: Tensor, indices: Tensor)) -> [Tensor] { [pair.values, pair.indices] }
    check("sort") { x in list(x[0].sorted()) + list(x[0].sorted(0, descending: true)) }
    check("argsort") { x in [x[0].argsort(), x[0].argsort(0, descending: true)] }
    check("topK") { x in list(x[0].topK(2, 1)) + list(x[0].topK(3, 1, largest: false)) }
    check("kthValue") { x in list(x[0].kthValue(2, 1)) }
    check("maxWithIndex") { x in list(x[0].maxWithIndex(1)) }
    check("minWithIndex") { x in list(x[0].minWithIndex(1)) }
  }

  static func shaping(_ check: Check) {
    check("reshape") { x in
      [x[0].reshaped([3, -1]), x[0].viewed([4, 3]), x[0].flattened(from: 1), x[0].flattened(from: 0, to: 1)]
    }
    check("permute") { x in [x[0].permuted([2, 0, 1]), x[0].transposed(), x[0].transposed(0, 1)] }
    check("squeeze") { x in [x[0].unsqueezed(1), x[0][..<1].squeezed(0)] }
    check("expand") { x in [x[0].unsqueezed(0).expanded([2, -1, -1])] }
    check("repeat") { x in [x[0].repeated([2, 1]), x[0].repeatInterleaved(2, 1)] }
    check("concatenate") { x in [.concatenated(x), .concatenated(x, 1), .stacked(x, 2)] }
    check("split") { x in x[0].split(2, 1) + x[0].split(sizes: [1, 2], 1) + x[0].unbound(1) }
    check("flip") { x in [x[0].flipped([0, 2])] }
    check("pad") { x in [x[0].padded([1, 0, 0, 2], value: 0.5)] }
    check("clone") { x in [x[0].cloned(), x[0].detached(), x[0].transposed().contiguous()] }
    check("channelsLast") { x in [x[0].contiguous(.channelsLast)] }
    check("cast") { x in [DType.float32, .float16, .bfloat16, .int64, .int8, .bool].map(x[0].to) }
    check("castOnDevice") { x in [x[0].to(.cpu, dtype: .float32)] }
  }

  static func indexing(_ check: Check) {
    check("subscript") { x in
      let a = x[0]
      return [
        a[1], a[-1, 2], a[1..<3, TensorIndex.every(2)], a[2...], a[..<1],
        a[TensorIndex.newAxis, TensorIndex.all, 1]
      ]
    }
    check("assignSubscript") { x in changed(x) { $0[1..<3, 0] = x[1] } }
    check("index") { x in [x[0].indexed([x[1]]), x[0].indexed([x[1], x[2]]), x[0].indexed([nil, x[2]])] }
    check("put") { x in changed(x) { $0.put(x[1], at: [x[2], x[3]]) } }
    check("putAccumulating") { x in changed(x) { $0.put(x[1], at: [x[2]], accumulate: true) } }
    check("select") { x in [x[0].selecting(x[1]), x[0].selecting(x[2], 1)] }
    check("addSlices") { x in changed(x) { $0.addSlices(x[1], at: x[2]) } }
    check("gather") { x in [x[0].gathered(0, x[1])] }
    check("scatter") { x in [x[0].scattered(0, x[2], x[1]), x[0].scattered(0, x[2], 0.5)] }
    check("scatterInPlace") { x in changed(x) { $0.scatter(0, x[1], 0.5) } }
    check("scatterAdd") { x in [x[0].scatterAdded(0, x[2], x[1])] }
    check("masked") { x in [x[0].masked(by: x[0] .> 0.0), (x[0] .> 0.0).nonzero()] }
  }

  static func networks(_ check: Check) {
    check("matmul") { x in [x[0].matmul(x[1])] }
    check("linear") { x in [x[0].linear(x[1], bias: x[2])] }
    check("linearWithoutBias") { x in [x[0].linear(x[1])] }
    check("conv2d") { x in [x[0].conv2d(x[1], bias: x[2], stride: 2, padding: 1)] }
    check("conv2dGrouped") { x in [x[0].conv2d(x[1], padding: 2, dilation: 2, groups: 2)] }
    check("convTranspose2d") { x in
      [x[0].convTranspose2d(x[1], bias: x[2], stride: 2, padding: 1, outputPadding: 1)]
    }
    check("batchNormTraining") { x in
      [x[0].batchNorm(weight: x[1], bias: x[2], runningMean: nil, runningVariance: nil, training: true)]
    }
    check("batchNormRunning") { x in
      [
        x[0].batchNorm(
          weight: x[1], bias: x[2], runningMean: x[3], runningVariance: x[4], training: false, epsilon: 1e-3)
      ]
    }
    check("batchNormUpdate") { x in
      let (mean, variance) = (x[3].cloned(), x[4].cloned())
      let result = x[0].batchNorm(
        weight: x[1], bias: x[2], runningMean: mean, runningVariance: variance, training: true, momentum: 0.3)
      return [result, mean, variance]
    }
    check("layerNorm") { x in [x[0].layerNorm([3, 2], weight: x[1], bias: x[2])] }
    check("groupNorm") { x in [x[0].groupNorm(2, weight: x[1], bias: x[2])] }
    check("maxPool2d") { x in [x[0].maxPool2d(3, stride: 2, padding: 1)] }
    check("avgPool2d") { x in [x[0].avgPool2d(3, stride: 2, padding: 1)] }
    check("adaptiveAvgPool2d") { x in [x[0].adaptiveAvgPool2d(1), x[0].adaptiveAvgPool2d(2)] }
    check("upsample") { x in
      [x[0].upsampledBilinear(height: 7, width: 6), x[0].upsampledNearest(height: 7, width: 6)]
    }
    check("resize") { x in [x[0].resizedBilinear(height: 2, width: 3)] }
    check("relu") { x in [x[0].relu()] }
    check("reluInPlace") { x in changed(x) { $0.reluInPlace() } }
    check("leakyRelu") { x in [x[0].leakyRelu(slope: 0.2)] }
    check("gelu") { x in [x[0].gelu()] }
    check("silu") { x in [x[0].silu()] }
    check("softplus") { x in [x[0].softplus()] }
    check("softmax") { x in [x[0].softmax(), x[0].softmax(0), x[0].logSoftmax(), x[0].logSoftmax(0)] }
  }

  static func losses(_ check: Check) {
    let kinds: [Reduction] = [.none, .mean, .sum]
    check("crossEntropy") { x in
      kinds.map { x[0].crossEntropy(x[1], reduction: $0) } + [x[0].crossEntropy(x[1], labelSmoothing: 0.1)]
    }
    check("crossEntropyOfProbabilities") { x in [x[0].crossEntropy(x[1].softmax(1))] }
    check("negativeLogLikelihood") { x in
      kinds.map { x[0].logSoftmax(1).negativeLogLikelihood(x[1], reduction: $0) }
    }
    check("meanSquaredError") { x in kinds.map { x[0].meanSquaredError(x[1], reduction: $0) } }
    check("absoluteError") { x in kinds.map { x[0].absoluteError(x[1], reduction: $0) } }
    check("huberLoss") { x in kinds.map { x[0].huberLoss(x[1], delta: 0.5, reduction: $0) } }
    check("binaryCrossEntropy") { x in kinds.map { x[0].binaryCrossEntropy(x[1].sigmoid(), reduction: $0) } }
    check("klDivergence") { x in kinds.map { x[0].logSoftmax(1).klDivergence(x[1].softmax(1), reduction: $0) } }
  }
}
