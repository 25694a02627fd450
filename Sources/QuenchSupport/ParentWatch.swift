import Foundation

/// Ties a program to the one that started it: a child ends with its parent, even if that is killed.
///
/// The child's standard input is a pipe that the parent holds open and never writes to; its end tells the child that
/// the parent is gone.
public enum ParentWatch {
  private static let variable = "QUENCH_ENDS_WITH_STANDARD_INPUT"

  /// Has `process`, which is yet to be started and calls ``begin()``, end with this one. It gets no other input.
  /// - Returns: The pipe, to be held for as long as the process may run.
  public static func tie(_ process: Process) -> Pipe {
    let pipe = Pipe()
    process.standardInput = pipe
    process.environment = (process.environment ?? ProcessInfo.processInfo.environment).merging([variable: "1"]) {
      $1
    }
    return pipe
  }

  /// For a program's start: if it was tied, has it end, as by SIGKILL, as soon as its parent is gone.
  public static func begin() {
    guard ProcessInfo.processInfo.environment[variable] != nil else { return }
    unsetenv(variable)  // the children's own standard input is none of this
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while true {
        let count = read(STDIN_FILENO, &byte, 1)
        if count == 0 || (count < 0 && errno != EINTR) { kill(getpid(), SIGKILL) }
      }
    }
  }
}
