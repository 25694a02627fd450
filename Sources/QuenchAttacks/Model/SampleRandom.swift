import QuenchTorch
import QuenchVision

/// Random numbers of which every sample has a stream of its own, computed for the whole batch at once.
///
/// A number follows from the sample's key and its place in the stream (SplitMix64 over int64 tensors), so it does not
/// depend on the batch that the sample is in, on the order or on the number of threads.
struct SampleRandom {
  private static let xorOperator = Operator("aten::bitwise_xor.Tensor")
  private static let andOperator = Operator("aten::bitwise_and.Scalar")
  private static let shiftOperator = Operator("aten::bitwise_right_shift.Tensor_Scalar")
  private static let multiplyOperator = Operator("aten::mul.Scalar")

  /// int64 `[N]`.
  private var keys: Tensor
  /// Numbers drawn so far, of each sample.
  private var position = 0

  /// - Parameters:
  ///   - keys: One a sample.
  ///   - device: Where the numbers are wanted.
  init(keys: [UInt64], device: Device) {
    self.keys = Tensor(keys.map { Int64(bitPattern: $0) }).to(device)
  }

  /// The streams of the samples at `rows`, from where these are.
  func selecting(_ rows: Tensor) -> SampleRandom {
    var copy = self
    copy.keys = keys.selecting(rows)
    return copy
  }

  /// Uniform numbers in [0, 1), `[N] + shape`, of 24 bits.
  mutating func uniform(_ shape: [Int]) -> Tensor {
    let count = shape.reduce(1, *)
    let places = Tensor.arange(Double(position + 1), to: Double(position + count + 1), device: keys.device)
    position += count
    let golden = Int(bitPattern: 0x9E37_79B9_7F4A_7C15)
    let start = keys.unsqueezed(1) + Self.multiplyOperator(places, golden).unsqueezed(0)
    let mixed = Self.shifted(Self.mixed(start), by: 40)
    return (mixed.to(.float32) * (1.0 / 16_777_216)).reshaped([-1] + shape)
  }

  /// Normal numbers, `[N] + shape` (Box and Muller).
  mutating func normal(_ shape: [Int]) -> Tensor {
    let radius = ((1 - uniform(shape)).log() * -2).sqrt()
    return radius * (uniform(shape) * (2 * Double.pi)).cos()
  }

  /// -1 or 1, `[N] + shape`.
  mutating func signs(_ shape: [Int]) -> Tensor { (uniform(shape) .>= 0.5).to(.float32) * 2 - 1 }

  /// Whole numbers in `0..<bound`, int64, `[N] + shape`.
  mutating func integers(below bound: Int, _ shape: [Int]) -> Tensor {
    (uniform(shape) * Double(bound)).floor().clamped(to: 0...Double(max(0, bound - 1))).to(.int64)
  }

  /// SplitMix64's finaliser; products wrap.
  private static func mixed(_ value: Tensor) -> Tensor {
    var z = value
    z = multiplyOperator(xorOperator(z, shifted(z, by: 30)), Int(bitPattern: 0xBF58_476D_1CE4_E5B9))
    z = multiplyOperator(xorOperator(z, shifted(z, by: 27)), Int(bitPattern: 0x94D0_49BB_1331_11EB))
    return xorOperator(z, shifted(z, by: 31))
  }

  /// Shifted to the right with zeros coming in.
  private static func shifted(_ value: Tensor, by bits: Int) -> Tensor {
    andOperator(shiftOperator(value, bits), (1 << (64 - bits)) - 1)
  }
}
