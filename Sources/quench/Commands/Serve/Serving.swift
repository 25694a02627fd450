#if HTTP
  import Foundation
  import Logging
  import QuenchServer
  import QuenchSmoothing
  import QuenchSupport
  import QuenchTorch
  import QuenchVision

  extension ServeCommand {
    func serve() async throws {
      if let threads { LibTorch.threads = threads }
      let source: ServedModel.Source =
        if let weights {
          .weights(weights)
        } else {
          .endpoint(
            try await RemoteModel(
              endpoint ?? "", timeout: timeout, feedback: feedback ?? .logits,
              token: try endpointTokenFile.map { try BearerToken(contentsOf: $0) },
              form: try endpointOptions.form),
            concurrency: connections ?? 4)
        }
      let shield = try shield()
      shield.flatMap { Defense.finding(onSigma: $0.certify.sigma, in: URL(filePath: $0.folder)) }.map(Self.note)
      var served = ServedModel(name: name, source: source, shield: shield, batchSize: batchSize)
      if let images = try calibration.images(for: precision) {
        served.calibration = ServedModel.Integers(images: images, note: Self.note)
      }
      served.patience.tries = tries ?? 3
      served.patience.longestPause = 2  // somebody waits
      served.patience.rate = queryRate
      let metrics = ServerMetrics()
      let model = try ModelThread(metrics: metrics) { [served] in try served.load() }
      var limits = InferenceServer.Limits()
      limits.body = bodyLimit.map { $0 << 20 }
      limits.seconds = timeout
      limits.connections = maxConnections
      limits.requestsAMinute = rateLimit
      var logger = Logger(label: "quench")
      logger.logLevel = Logger.Level(rawValue: logLevel.rawValue) ?? .info
      let certificate = tlsCertificate.map { ServerCertificate(chain: $0, key: tlsKey ?? "") }
      try certificate?.finding(onHost: host).map(Self.note)
      try await InferenceServer(
        model, metrics: metrics, limits: limits,
        tokens: try tokenFile.map { try BearerToken.all(contentsOf: $0) } ?? [],
        readiness: { [served] in await served.problem() }, logger: logger
      ).serve(
        host: host, port: port, certificate: certificate
      ) { url in FileHandle.standardError.write(Data("serving \(url)\n".utf8)) }
    }

    private static func note(_ finding: String) {
      FileHandle.standardError.write(Data("note: \(finding)\n".utf8))
    }

    private func shield() throws(InputError) -> ServedModel.Shield? {
      guard let defend else { return nil }
      var shield = ServedModel.Shield(folder: defend, certify: try certify, clips: clip)
      shield.ledger = ledger.map { URL(filePath: $0) }
      shield.budget = queryBudget
      if let keepAnswers { shield.keptAnswers = keepAnswers }
      return shield
    }
  }
#endif
