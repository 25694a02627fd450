import Foundation
import QuenchSupport

/// Libraries name settings; the tool adds the dashes by which its users know them.
extension String {
  /// The text with settings in backquotes spelled as flags: "name it with `model`" says --model.
  var spellingFlags: String { replacing(/`([a-z][a-z-]*)`/) { "--\($0.1)" } }
}

extension InputError {
  /// The error with settings in its text spelled as flags, and its location too where that is one that was typed.
  func spellingFlags(typed arguments: [String]) -> InputError {
    var error = self
    error.problem = problem.spellingFlags
    error.expected = expected?.spellingFlags
    error.remedy = remedy?.spellingFlags
    if let flag = location.map({ "--\($0)" }), arguments.contains(where: { $0 == flag || $0.hasPrefix("\(flag)=") })
    {
      error.location = flag
    }
    return error
  }

  /// The error with the flag as its location, where that is a setting.
  var namingFlags: InputError {
    var error = spellingFlags(typed: [])
    if let flag = location?.wholeMatch(of: /(?:flags, key ')?([a-z][a-z-]*)(?:'.*)?/)?.1 {
      error.location = "--\(flag)"
    }
    return error
  }
}
