import ArgumentParser
import Foundation
import Logging
import QuenchServer
import Smoothing
import Support
import Torch
import Vision

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a classifier by the Open Inference Protocol (KServe V2).",
    discussion: """
      Examples:
        quench serve --weights model.safetensors --name box --port 8000
        quench serve --defend runs/defend --weights model.safetensors
        quench serve --defend runs/defend --endpoint http://host:8000/v2/models/box

      GET /v2/health/live, /v2/health/ready, /v2, /v2/models/NAME, /metrics;
      POST /v2/models/NAME/infer with tensors as JSON or as raw bytes. Pixels are
      FP32 in [0, 1], [N, C, H, W]. Requests that arrive while the model works are
      answered together. SIGTERM answers what is in flight and ends.

      With --defend every image is classified by the votes of noisy copies that go
      through the defence to the model. The answer holds their share at the label's
      place ('votes'), 'label' (-1: it abstains), 'radius' (the L2 radius within
      which the label is certain) and 'abstained'.
      """)

  // MARK: Model

  @Option(help: ArgumentHelp("Weights of a classifier.", valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: ArgumentHelp("Somebody's model, to defend: http://host:port/v2/models/NAME.", valueName: "url"))
  var endpoint: String?

  @Option(
    help: ArgumentHelp("A run of 'quench defend train' to put in front.", valueName: "dir"), completion: .directory)
  var defend: String?

  @Option(help: "What the endpoint answers: logits or probabilities.")
  var feedback = Feedback.logits

  @Option(help: "Requests at once to the endpoint.")
  var connections = 4

  @Option(help: ArgumentHelp("Holds the token that the endpoint asks for.", valueName: "file"), completion: .file())
  var endpointTokenFile: String?

  @Option(help: "Standard deviation of the noise of a defended model, pixels in [0, 1].")
  var sigma = 0.25

  @Option(help: ArgumentHelp("Noisy copies that vote on an image; a tenth more pick the label.", valueName: "n"))
  var votes = 200

  @Option(help: "Probability that an answer's radius is wrong.")
  var alpha = 0.001

  // MARK: Server

  @Option(help: "The model's name in URLs.")
  var name = "model"

  @Option(help: "Port to listen on; 0: any that is free.")
  var port = 8000

  @Option(help: "Address to listen on; 0.0.0.0 lets other machines in.")
  var host = "127.0.0.1"

  @Option(
    help: ArgumentHelp(
      "Holds a token that requests must carry ('Authorization: Bearer TOKEN'), but those for the server's health.",
      valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(help: ArgumentHelp("A certificate chain in PEM form, for TLS.", valueName: "file"), completion: .file())
  var tlsCertificate: String?

  @Option(help: ArgumentHelp("Its private key in PEM form.", valueName: "file"), completion: .file())
  var tlsKey: String?

  @Option(help: "The most images in a request, and in a batch.")
  var batchSize = 256

  @Option(help: ArgumentHelp("The largest request, in MiB.", valueName: "n"))
  var bodyLimit = 64

  @Option(help: "Seconds in which a request must arrive, and in which it must then be answered.")
  var timeout = 60.0

  @Option(
    help: ArgumentHelp("YAML file with the same keys as the flags; flags win.", valueName: "file"),
    completion: .file())
  var config: String?

  @Option(help: "CPU threads; all cores unless given.")
  var threads: Int?

  @Option(help: "The least important lines that are logged; info: every request.")
  var logLevel = LogLevel.info

  func validate() throws {
    guard (weights == nil) != (endpoint == nil) else {
      throw ValidationError("Name the model with either --weights or --endpoint.")
    }
    guard defend != nil || weights != nil else { throw ValidationError("--endpoint needs --defend.") }
    guard feedback != .labels else { throw ValidationError("--feedback must be logits or probabilities.") }
    guard (tlsCertificate == nil) == (tlsKey == nil) else {
      throw ValidationError("--tls-certificate and --tls-key belong together.")
    }
    guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
    guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) })
    else {
      throw ValidationError("--name may hold letters, digits, '-', '_' and '.'.")
    }
    guard batchSize > 0, bodyLimit > 0, timeout > 0, threads ?? 1 > 0, votes > 0, connections > 0 else {
      throw ValidationError(
        "--batch-size, --body-limit, --timeout, --threads, --votes and --connections must be above 0.")
    }
    do { _ = try shield() } catch { throw ValidationError("\(error)") }
  }

  func run() async throws {
    LibTorch.keepFreedMemory()
    if let threads { LibTorch.threads = threads }
    let source: ServedModel.Source =
      if let weights {
        .weights(weights)
      } else {
        .endpoint(
          try await RemoteModel(
            endpoint ?? "", timeout: timeout, token: try endpointTokenFile.map { try BearerToken(contentsOf: $0) }),
          feedback: feedback, concurrency: connections)
      }
    if let finding = defend.flatMap({ Defense.finding(onSigma: sigma, in: URL(filePath: $0)) }) {
      FileHandle.standardError.write(Data("note: \(finding)\n".utf8))
    }
    let served = ServedModel(name: name, source: source, shield: try shield(), batchSize: batchSize)
    let metrics = ServerMetrics()
    let model = try ModelThread(metrics: metrics) { try served.load() }
    var limits = InferenceServer.Limits()
    limits.body = bodyLimit << 20
    limits.seconds = timeout
    var logger = Logger(label: "quench-server")
    logger.logLevel = logLevel.level
    let certificate = tlsCertificate.map { InferenceServer.Certificate(chain: $0, key: tlsKey ?? "") }
    try await InferenceServer(
      model, metrics: metrics, limits: limits, token: try tokenFile.map { try BearerToken(contentsOf: $0) },
      logger: logger
    ).serve(
      host: host, port: port, certificate: certificate
    ) { url in FileHandle.standardError.write(Data("serving \(url)\n".utf8)) }
  }

  private func shield() throws(InputError) -> ServedModel.Shield? {
    guard let defend else { return nil }
    return ServedModel.Shield(
      folder: defend,
      certify: try Certify(
        fixed: votes, sigma: sigma, selection: max(1, votes / 10), failureProbability: alpha))
  }
}

extension ServeCommand {
  enum LogLevel: String, CaseIterable, ExpressibleByArgument {
    case debug, info, notice, warning, error

    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
  }
}
