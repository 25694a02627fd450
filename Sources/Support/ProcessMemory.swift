import Foundation

/// What this process takes of the machine's memory.
public enum ProcessMemory {
  /// The most bytes that the process ever had in memory at once.
  public static var peakBytes: Int {
    var usage = rusage()
    #if canImport(Glibc)
      let status = getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    #else
      let status = getrusage(RUSAGE_SELF, &usage)
    #endif
    guard status == 0 else { return 0 }
    #if canImport(Darwin)
      return usage.ru_maxrss
    #else
      return usage.ru_maxrss * 1024
    #endif
  }
}
