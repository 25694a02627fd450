/// Whether a server could answer now: whoever stands behind it is asked, at most once a second.
actor Readiness {
  private let ask: @Sendable () async -> String?
  private var latest: (asked: ContinuousClock.Instant, problem: Task<String?, Never>)?

  /// - Parameter ask: Tells why it could not answer; nil: it could.
  init(_ ask: @escaping @Sendable () async -> String?) { self.ask = ask }

  /// Why the server could not answer; nil: it could.
  func problem() async -> String? {
    if let latest, latest.asked + .seconds(1) > .now { return await latest.problem.value }
    let problem = Task { [ask] in await ask() }
    latest = (.now, problem)
    return await problem.value
  }
}
