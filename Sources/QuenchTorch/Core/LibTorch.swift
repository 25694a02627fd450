import CTorch
import Foundation

/// The LibTorch in this process and what it found on this machine.
public enum LibTorch {
  /// `2.13.0`
  public static var version: String { String(cString: ct_version()) }
  /// The vector instructions that LibTorch's own kernels use: `AVX2`, `AVX512`, `DEFAULT`, ...
  public static var cpuCapability: String { String(cString: ct_cpu_capability()) }

  /// Threads that one operator may use.
  public static var threads: Int {
    get { Int(ct_threads()) }
    set { ct_set_threads(Int32(newValue)) }
  }

  private static let bfloat16Operator = Operator("mkldnn::_is_mkldnn_bf16_supported")

  /// Whether oneDNN takes bfloat16 on this processor; where it does not, bfloat16 is imitated, many times slower.
  public static var offersBFloat16: Bool { bfloat16Operator.isAvailable && bfloat16Operator.boolean() }

  /// Asks for operators that give the same result every time, on devices where the fastest ones do not.
  public static func preferDeterministic(_ enabled: Bool = true) { ct_set_deterministic(enabled) }

  /// Keeps freed memory in the process. Training allocates and frees the same large blocks at every step; taking
  /// fresh pages from the kernel each time costs more than most elementwise operators. For a program's start,
  /// before any tensor.
  public static func keepFreedMemory() { ct_keep_freed_memory() }

  /// Gives freed memory back to the system, as a program that waits does after a peak. It takes milliseconds.
  public static func releaseFreedMemory() { ct_release_freed_memory() }

  /// Turns of the loop in which a thread waits for the others before it sleeps, unless the user set OMP_WAIT_POLICY or
  /// GOMP_SPINCOUNT.
  private static let spins = 10_000

  /// Lets threads that wait for one another sleep soon. As OpenMP has it they go on spinning for milliseconds, which
  /// takes the processor from the very thread that they wait for as soon as anything else runs on the machine. For a
  /// program's start, before any tensor; without effect where OpenMP is loaded with the program (macOS).
  public static func waitBriefly() {
    guard getenv("OMP_WAIT_POLICY") == nil else { return }
    setenv("GOMP_SPINCOUNT", "\(spins)", 0)
  }

  /// How threads wait for one another: what the environment says that OpenMP goes by.
  public static var waitPolicy: String {
    func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    let named = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"].compactMap { name in value(name).map { "\(name)=\($0)" } }
    return named.isEmpty ? "OpenMP's own" : named.joined(separator: " ")
  }
}
