import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision

struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve a classifier by the Open Inference Protocol (KServe V2).",
    discussion: """
      Examples:
        quench serve --weights model.safetensors --name box --port 8000
        quench serve --weights model.safetensors --precision int8 \\
          --calibration cifar10
        quench serve --defend runs/defend --weights model.safetensors
        quench serve --defend runs/defend --endpoint http://host:8000/v2/models/box

      GET /v2/health/live, /v2/health/ready, /v2, /v2/models/NAME (with /ready,
      /config or /stats) and /metrics; POST /v2/models/NAME/infer with tensors as
      JSON or as raw bytes, also coded by gzip or deflate. Images are [N, C, H, W]:
      FP32, FP16 or FP64 in [0, 1], or UINT8 from 0 to 255; or BYTES, one JPEG or
      PNG file an image, of the model's size (in JSON as base 64). Requests that
      arrive while the model works are answered together. SIGTERM answers what is
      in flight, for 10 s at most, and ends.

      With --defend every image is classified by the votes of noisy copies that go
      through the defense to the model. The answer holds their share at the label's
      place ('votes'), 'label' (-1: it abstains), 'radius' (the L2 radius within
      which the label is certain) and 'abstained'. The server is ready as long as
      the endpoint behind it says that it is.
      """)

  // MARK: Model

  @Option(help: ArgumentHelp("Weights of a classifier.", valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: ArgumentHelp("Somebody's model, to defend: http://host:port/v2/models/NAME.", valueName: "url"))
  var endpoint: String?

  @Option(
    help: ArgumentHelp("A run of 'quench defend train' to put in front.", valueName: "dir"), completion: .directory)
  var defend: String?

  @Option(help: "What the endpoint answers: logits, probabilities or labels (default: logits).")
  var feedback: Feedback?

  @Option(help: ArgumentHelp("Requests at once to the endpoint (default: 4).", valueName: "n"))
  var connections: Int?

  @Option(help: ArgumentHelp("Holds the token that the endpoint asks for.", valueName: "file"), completion: .file())
  var endpointTokenFile: String?

  @Option(
    help: ArgumentHelp("Tries of a request to the endpoint that fails for a while (default: 3).", valueName: "n"))
  var tries: Int?

  @Option(help: ArgumentHelp("The most images a second that a defended model is asked about.", valueName: "n"))
  var queryRate: Double?

  @Option(help: ArgumentHelp("Enter every query to a defended model here.", valueName: "file"), completion: .file())
  var ledger: String?

  @Option(help: ArgumentHelp("The most images that it may be asked about in all, by the ledger.", valueName: "n"))
  var queryBudget: Int?

  @Option(
    help: ArgumentHelp(
      "Answers of a defended model that are kept for images that come again; 0: none (default: 1000).",
      valueName: "n"))
  var keepAnswers: Int?

  @OptionGroup var endpointOptions: EndpointOptions

  @Flag(help: "Cut pixels off at 0 and 1 before the model sees them: a part of the classifier that is certified.")
  var clip = false

  @Option(help: "Standard deviation of the noise of a defended model, pixels in [0, 1] (default: 0.25).")
  var sigma: Double?

  @Option(
    help: ArgumentHelp(
      "Noisy copies that vote on an image; a tenth more pick the label (default: 200).", valueName: "n"))
  var votes: Int?

  @Option(help: "Probability that an answer's radius is wrong (default: 0.001).")
  var alpha: Double?

  @Option(help: "What --weights compute in; int8 wants --calibration.")
  var precision = Bits.float32

  @OptionGroup var calibration: CalibrationOptions

  // MARK: Server

  @Option(help: "The model's name in URLs.")
  var name = "model"

  @Option(help: "Port to listen on; 0: any that is free.")
  var port = 8000

  @Option(help: "Address to listen on; 0.0.0.0 lets other machines in.")
  var host = "127.0.0.1"

  @Option(
    help: ArgumentHelp(
      "Holds tokens, one a line: requests must carry one ('Authorization: Bearer TOKEN'), but those for the server's "
        + "health.", valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(
    help: ArgumentHelp(
      "Requests a minute for each token, or without tokens for each client's address (default: any number).",
      valueName: "n"))
  var rateLimit: Int?

  @Option(help: ArgumentHelp("Connections of clients at a time; more wait.", valueName: "n"))
  var maxConnections = 1024

  @Option(help: ArgumentHelp("A certificate chain in PEM form, for TLS.", valueName: "file"), completion: .file())
  var tlsCertificate: String?

  @Option(help: ArgumentHelp("Its private key in PEM form.", valueName: "file"), completion: .file())
  var tlsKey: String?

  @Option(help: "The most images in a request, and in a batch.")
  var batchSize = 256

  @Option(
    help: ArgumentHelp(
      "The largest request, in MiB (default: what --batch-size images take as raw numbers, or as JSON up to 64).",
      valueName: "n"))
  var bodyLimit: Int?

  @Option(help: "Seconds in which a request must arrive and be read, and in which it must then be answered.")
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
    guard try calibration.images(for: precision) == nil || weights != nil && defend == nil else {
      throw ValidationError("--precision int8 is for --weights without --defend.")
    }
    guard defend != nil || weights != nil else { throw ValidationError("--endpoint needs --defend.") }
    for (flag, isGiven) in [
      ("--feedback", feedback != nil), ("--connections", connections != nil), ("--tries", tries != nil),
      ("--endpoint-token-file", endpointTokenFile != nil)
    ] where isGiven && endpoint == nil {
      throw ValidationError("\(flag) needs --endpoint.")
    }
    try requireUsage { try endpointOptions.form.validate() }
    guard endpoint != nil || Flags.settings(of: endpointOptions).isEmpty else {
      throw ValidationError("What is told of an endpoint (--input to --ca-file) needs --endpoint.")
    }
    guard (tlsCertificate == nil) == (tlsKey == nil) else {
      throw ValidationError("--tls-certificate and --tls-key belong together.")
    }
    guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535.") }
    guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) })
    else {
      throw ValidationError("--name may hold letters, digits, '-', '_' and '.'.")
    }
    guard batchSize > 0, bodyLimit ?? 1 > 0, timeout > 0, threads ?? 1 > 0, votes ?? 1 > 0, connections ?? 1 > 0,
      tries ?? 1 > 0, rateLimit ?? 1 > 0, maxConnections > 0, queryRate ?? 1 > 0, queryBudget ?? 1 > 0
    else {
      throw ValidationError(
        "--batch-size, --body-limit, --timeout, --threads, --votes, --connections, --tries, --rate-limit, "
          + "--max-connections, --query-rate and --query-budget must be above 0.")
    }
    guard keepAnswers ?? 0 >= 0 else { throw ValidationError("--keep-answers must be 0 or more.") }
    guard queryBudget == nil || ledger != nil else { throw ValidationError("--query-budget needs --ledger.") }
    for (flag, isGiven) in [
      ("--ledger", ledger != nil), ("--query-rate", queryRate != nil), ("--keep-answers", keepAnswers != nil),
      ("--clip", clip), ("--sigma", sigma != nil), ("--votes", votes != nil), ("--alpha", alpha != nil)
    ] where isGiven && defend == nil {
      throw ValidationError("\(flag) needs --defend.")
    }
    try requireUsage { _ = try certify }
  }

  /// How votes are counted; one tenth more pick the label.
  var certify: Certify {
    get throws(InputError) {
      let votes = votes ?? 200
      return try Certify(
        fixed: votes, sigma: sigma ?? 0.25, selection: max(1, votes / 10), failureProbability: alpha ?? 0.001)
    }
  }

  func run() throws {
    #if HTTP
      try Blocking.run { try await serve() }
    #else
      throw MissingHTTP.error(for: "quench serve")
    #endif
  }
}

extension ServeCommand {
  enum LogLevel: String, CaseIterable, ExpressibleByArgument {
    case debug, info, notice, warning, error
  }
}
