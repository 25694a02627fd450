import ArgumentParser
import QuenchSmoothing

/// The model that is defended.
struct BlackBoxOptions: ParsableArguments {
  private static let standard = BlackBoxSettings()

  @Option(
    help: ArgumentHelp(
      "The model's weights: safetensors, or what torch.save or torch.export.save wrote. Only fo-ds and fo-ae-ds use its gradients.",
      valueName: "file"), completion: .file())
  var weights: String?

  @Option(help: "The network that the weights belong to, if their file does not say.")
  var model: ClassifierName?

  @Option(
    help: ArgumentHelp(
      "Instead of weights: a program that reads images and writes answers, such as 'python3 model.py'.",
      valueName: "command"))
  var program: String?

  @Option(
    help: ArgumentHelp(
      "Instead of weights: a model behind the Open Inference Protocol, http://host:port/v2/models/NAME.",
      valueName: "url"))
  var endpoint: String?

  @Option(
    help: ArgumentHelp("File with the endpoint's bearer token.", valueName: "file"), completion: .file())
  var tokenFile: String?

  @Option(help: "What the model returns: logits, probabilities or labels; a program declares this itself.")
  var feedback = standard.feedback

  @Option(help: ArgumentHelp("Images per request.", valueName: "n"))
  var queryBatch = standard.queryBatch

  @Option(help: ArgumentHelp("Concurrent requests to an endpoint.", valueName: "n"))
  var connections = standard.connections

  @Option(help: "Seconds that an endpoint or a program may take to answer a request.")
  var timeout = standard.timeout

  @Option(help: ArgumentHelp("Attempts at a request that fails temporarily.", valueName: "n"))
  var tries = standard.tries

  @Option(help: ArgumentHelp("Query the model with at most n images per second.", valueName: "n"))
  var queryRate: Double?

  @Flag(
    help: """
      If the model asks for a pause of more than a minute (Retry-After), wait that long; such an attempt does not \
      count.
      """)
  var waitQuota = false

  @Flag(help: "Clip pixels to [0, 1] before the model sees them; the certificate covers the clipped classifier.")
  var clip = false

  @OptionGroup var endpointOptions: EndpointOptions
}
