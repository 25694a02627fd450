import ArgumentParser
import QuenchServer
import Smoothing

/// What is told of an endpoint where its metadata do not say it. `quench defend` has the same flags.
struct EndpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The endpoint's input for images (default: its only one).", valueName: "name"))
  var input: String?

  @Option(help: ArgumentHelp("The endpoint's output for classes (default: the one that fits).", valueName: "name"))
  var output: String?

  @Option(help: ArgumentHelp("Classes that it tells apart, where its metadata do not say so.", valueName: "n"))
  var classes: Int?

  @Option(help: "Order of its pixels: NCHW or NHWC (default: as its metadata say).")
  var layout: PixelForm.Layout?

  @Option(
    help: ArgumentHelp("Type of its pixels: UINT8, FP16, FP32 or FP64 (default: as they say).", valueName: "type"))
  var datatype: InferenceTensor.DataType?

  @Option(help: "What pixels in [0, 1] are multiplied by (default: 1; for UINT8: 255).")
  var scale: Double?

  @Option(help: ArgumentHelp("What is then subtracted: a number, or one a channel.", valueName: "list"))
  var mean = NumberList([0])

  @Option(help: ArgumentHelp("What is then divided by: a number, or one a channel.", valueName: "list"))
  var std = NumberList([1])

  @Option(
    help: ArgumentHelp(
      "Certificates in PEM form to trust beside the system's (SSL_CERT_FILE: in their place).", valueName: "file"),
    completion: .file())
  var caFile: String?

  /// Whether nothing is told.
  var isEmpty: Bool { hints == EndpointHints() && caFile == nil }

  func validate() throws {
    guard classes ?? 2 > 1 else { throw ValidationError("--classes must be at least 2.") }
    guard scale ?? 1 > 0, scale ?? 1 < .infinity, !std.values.contains(0) else {
      throw ValidationError("--scale must be above 0, and --std not 0.")
    }
  }

  var hints: EndpointHints {
    var hints = EndpointHints()
    (hints.input, hints.output, hints.classes) = (input, output, classes)
    (hints.layout, hints.datatype, hints.scale) = (layout, datatype, scale)
    (hints.mean, hints.deviation) = (mean.values, std.values)
    return hints
  }
}

/// Numbers: `0.485,0.456,0.406`.
struct NumberList: ExpressibleByArgument, CustomStringConvertible {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).compactMap { Double($0) }
    guard values.count == argument.count(where: { $0 == "," }) + 1, values.allSatisfy(\.isFinite) else {
      return nil
    }
    self.values = values
  }

  var description: String { values.map { "\($0)" }.joined(separator: ",") }
}

extension PixelForm.Layout: ExpressibleByArgument {
  public init?(argument: String) { self.init(rawValue: argument.uppercased()) }
}

extension InferenceTensor.DataType: ExpressibleByArgument {
  public init?(argument: String) {
    guard let type = PixelForm.datatypes.first(where: { $0.rawValue == argument.uppercased() }) else { return nil }
    self = type
  }

  public static var allValueStrings: [String] { PixelForm.datatypes.map(\.rawValue) }
}
