extension RunRecord {
  /// What makes this process compute otherwise than the one that began the run: bytes then differ from those of a
  /// run that was never interrupted.
  public func changes(from earlier: RunRecord?) -> [String] {
    guard let earlier else { return [] }
    return versions.keys.filter { $0 != Self.changesKey }.compactMap { key in
      guard let before = earlier.versions[key], let now = versions[key], before != now else { return nil }
      return "the run began with \(key) \(before) and goes on with \(now): it will not end in the same bytes"
    }
  }

  /// This record, with what changed since the run began noted.
  public func continuing(_ earlier: RunRecord?) -> RunRecord {
    guard let earlier else { return self }
    var record = self
    let notes = (earlier.versions[Self.changesKey]?.array ?? []) + changes(from: earlier).map { .string($0) }
    if !notes.isEmpty { record.versions[Self.changesKey] = .array(notes) }
    return record
  }

  private static let changesKey = "changes"
}
