import CTorch

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

  /// Whether bfloat16 is faster than float32 on this processor. An x86 processor needs AMX tiles for that: its
  /// AVX-512 products of bfloat16 alone do not make up for the conversions (see RESULTS.md).
  public static var hasFastBFloat16: Bool {
    #if arch(x86_64)
      offersBFloat16 && ct_cpu_has("amx_bf16")
    #else
      offersBFloat16
    #endif
  }

  /// Asks for operators that give the same result every time, on devices where the fastest ones do not.
  public static func preferDeterministic(_ enabled: Bool = true) { ct_set_deterministic(enabled) }

  /// Keeps freed memory in the process. Training allocates and frees the same large blocks at every step; taking
  /// fresh pages from the kernel each time costs more than most elementwise operators. For a program's start,
  /// before any tensor.
  public static func keepFreedMemory() { ct_keep_freed_memory() }
}
