import Foundation

/// What this process takes of the machine's memory.
public enum ProcessMemory {
  /// Lets ``peakBytes`` begin anew, where the system can do that: under Linux.
  public static func forgetPeak() {
    #if os(Linux)
      try? Data("5".utf8).write(to: URL(filePath: "/proc/self/clear_refs"))
    #endif
  }

  /// The most bytes that the process had in memory at once, since it began or its peak was forgotten.
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
