import Foundation

/// What the system lets a process open.
enum OpenFiles {
  /// What a server opens beside its connections: event loops, a log, a ledger, connections to a model behind it.
  private static let others = 32 + 4 * ProcessInfo.processInfo.activeProcessorCount

  /// How many connections can be held at a time: as many as wanted, if the process may open so many files. A server
  /// that takes one more could neither accept it nor leave it waiting.
  static func connections(wanted: Int) -> Int {
    #if canImport(Glibc)
      let files = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
      let files = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    guard getrlimit(files, &limit) == 0 else { return wanted }
    if limit.rlim_cur < wanted + others {
      limit.rlim_cur = min(limit.rlim_max, rlim_t(wanted + others))
      setrlimit(files, &limit)
    }
    return max(1, min(wanted, Int(clamping: limit.rlim_cur) - others))
  }
}
