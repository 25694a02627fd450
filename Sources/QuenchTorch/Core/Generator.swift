import CTorch
import QuenchSupport

/// A random number generator with a state of its own.
///
/// One seed a run; each consumer derives its own generator from it by name, so that adding one consumer leaves the
/// others' numbers as they are.
public final class Generator {
  let raw: OpaquePointer
  public let device: Device

  public init(seed: UInt64, device: Device = .cpu) {
    var out: OpaquePointer?
    ProgrammingError.check("generator") { error in
      ct_generator_make(device.type, Int32(device.index), seed, &out, &error)
    }
    guard let out else { ProgrammingError.stop("generator: none on \(device)") }
    raw = out
    self.device = device
  }

  /// The generator of the consumer `name` (`"data-order"`, `"noise"`, `"init"`) in the run of seed `seed`.
  public convenience init(seed: UInt64, for name: String, device: Device = .cpu) {
    self.init(seed: Generator.derive(seed, name), device: device)
  }

  deinit { ct_generator_release(raw) }

  /// The whole state, a `uint8` tensor. Setting it makes the generator continue exactly from there.
  public var state: Tensor {
    get {
      var out: OpaquePointer?
      ProgrammingError.check("generator state") { error in ct_generator_state(raw, &out, &error) }
      guard let out else { ProgrammingError.stop("generator state: none") }
      return Tensor(adopting: out)
    }
    set { ProgrammingError.check("generator state") { error in ct_generator_set_state(raw, newValue.raw, &error) } }
  }

  /// Restores a state that was read from a file.
  /// - Throws: `InputError` if the tensor is no generator state.
  public func restore(_ state: Tensor, from location: String) throws(InputError) {
    var error = ct_error()
    guard ct_generator_set_state(raw, state.raw, &error) == CT_OK else {
      throw InputError("not a generator state: \(TorchFailure(taking: error).message)", at: location)
    }
  }

  /// Seeds what operators draw from that take no generator: the dropout of imported networks.
  public static func seedOperators(_ seed: UInt64) {
    ProgrammingError.check("seed") { error in ct_seed_defaults(seed, &error) }
  }

  /// A seed for the consumer `name`: FNV-1a over the seed's bytes and the name, mixed by SplitMix64's finaliser.
  public static func derive(_ seed: UInt64, _ name: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    let seedBytes = (0..<8).map { UInt8(truncatingIfNeeded: seed >> ($0 * 8)) }
    for byte in seedBytes + Array(name.utf8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    hash = (hash ^ (hash >> 30)) &* 0xbf58_476d_1ce4_e5b9
    hash = (hash ^ (hash >> 27)) &* 0x94d0_49bb_1331_11eb
    return hash ^ (hash >> 31)
  }
}
