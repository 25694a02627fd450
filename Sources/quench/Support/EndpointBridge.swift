import Foundation
import Smoothing
import Support
import Vision

/// Asks endpoints through `quench-server bridge`, which speaks HTTP.
struct EndpointBridge: EndpointConnector {
  func connect(
    to endpoint: String, _ settings: BlackBoxSettings, for dataset: ImageDataset
  ) throws -> any BlackBox {
    let form = settings.form
    func list(_ numbers: [Double]) -> String { numbers.map { "\($0)" }.joined(separator: ",") }
    let flags: KeyValuePairs<String, String?> = [
      "feedback": settings.feedback.rawValue, "connections": "\(settings.connections)",
      "timeout": "\(settings.timeout)", "token-file": settings.tokenFile,
      "likely-classes": "\(dataset.classNames.count)",
      "images": dataset.imageShape.map { "\($0)" }.joined(separator: ","), "input": form.input,
      "output": form.output, "classes": form.classes.map { "\($0)" }, "layout": form.layout?.rawValue,
      "datatype": form.datatype?.rawValue, "scale": form.scale.map { "\($0)" }, "mean": form.mean.map(list),
      "std": form.std.map(list), "ca-file": form.caFile
    ]
    let program = try ServerProgram.required(for: "--endpoint").path
    // The bridge keeps the time itself, and is given a little more.
    return try ProgramBlackBox(
      [program, "bridge", endpoint] + flags.flatMap { name, value in value.map { ["--\(name)", $0] } ?? [] },
      timeout: 3 * settings.timeout + 30)
  }
}
