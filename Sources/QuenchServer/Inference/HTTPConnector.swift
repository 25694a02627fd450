import QuenchSmoothing
import QuenchVision

/// Reaches models over HTTP, by the Open Inference Protocol: a service of a lab in which defenses are trained and
/// evaluated.
public struct HTTPConnector: EndpointConnector {
  public init() {}

  public func connect(
    to endpoint: String, _ settings: BlackBoxSettings, for dataset: ImageDataset
  ) throws -> any BlackBox {
    let token = try settings.tokenFile.map { try BearerToken(contentsOf: $0) }
    let classes = dataset.classNames.count
    return try RemoteBlackBox(images: dataset.imageShape, concurrency: settings.connections) {
      try await RemoteModel(
        endpoint, timeout: settings.timeout, feedback: settings.feedback, token: token, form: settings.form,
        likelyClasses: classes)
    }
  }
}
