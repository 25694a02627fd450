extension InputError {
  /// Checks that a method takes every parameter that is given for it.
  /// - Parameters:
  ///   - given: Keys of settings: `steps`.
  ///   - method: Who takes them: `the attack square`.
  ///   - taken: The keys that it takes.
  /// - Throws: `InputError` whose location is the first key that it does not take, and which names the flags that it does.
  public static func require(
    _ given: [String], takenBy method: String, which taken: [String]
  ) throws(InputError) {
    guard let key = given.first(where: { !taken.contains($0) }) else { return }
    throw InputError(
      "\(method) does not take this", at: key,
      remedy: taken.isEmpty ? "leave it out" : "it takes \(taken.map { "--\($0)" }.joined(separator: ", "))")
  }
}
