import CTorch
import Foundation

#if os(Linux)
  import Runtime
#endif

/// A mistake in the program itself, not in its input: one line on standard error and exit code 70.
enum ProgrammingError {
  static func stop(_ message: String) -> Never {
    let place = callSite.map { "; at \($0)" } ?? ""
    FileHandle.standardError.write(Data("quench: internal error: \(message)\(place)\n".utf8))
    exit(70)
  }

  /// Calls a function of the door that reports errors, and stops if it fails.
  static func check(_ name: String, _ call: (inout ct_error) -> Int32) {
    var error = ct_error()
    guard call(&error) == CT_OK else { stop("\(name): \(TorchFailure(taking: error).advised)") }
  }

  /// The line outside this module that called into it, `BiP.swift:120 (step(_:))`, where the platform can tell.
  private static var callSite: String? {
    #if os(Linux)
      let module = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/"
      let frames = (try? Backtrace.capture())?.symbolicated()?.frames
      for symbol in frames?.compactMap(\.symbol) ?? [] {
        guard let source = symbol.sourceLocation, source.line > 0, !source.path.hasPrefix(module) else { continue }
        let file = URL(filePath: source.path).lastPathComponent
        // Neither the compiler's own code nor a macro's has lines that can be looked up.
        guard file.hasSuffix(".swift"), !file.hasPrefix("@__swiftmacro") else { continue }
        return "\(file):\(source.line) (\(symbol.name))"
      }
    #endif
    return nil
  }
}
