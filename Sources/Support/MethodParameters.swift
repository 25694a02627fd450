extension InputError {
  /// Checks that a method takes every parameter that is given for it.
  /// - Parameters:
  ///   - given: Flags: `--steps`.
  ///   - method: Who takes them: `the attack square`.
  ///   - taken: The flags that it takes.
  /// - Throws: `InputError` that names the first flag that it does not take, and those that it does.
  public static func require(
    _ given: [String], takenBy method: String, which taken: [String]
  ) throws(InputError) {
    guard let flag = given.first(where: { !taken.contains($0) }) else { return }
    throw InputError(
      "\(method) does not take this", at: flag,
      remedy: taken.isEmpty ? "leave it out" : "it takes \(taken.joined(separator: ", "))")
  }
}
