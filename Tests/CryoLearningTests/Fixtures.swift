import QuenchSupport
import Testing

/// What `body` throws, which must be an `InputError`.
func inputError<Result>(_ body: () throws -> Result) -> InputError? {
  do {
    _ = try body()
    Issue.record("nothing was thrown")
    return nil
  } catch {
    return error as? InputError
  }
}
