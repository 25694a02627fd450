import ArgumentParser
import Reporting
import Smoothing

/// What is told of an endpoint where its metadata do not say it.
struct EndpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The endpoint's input for images (default: its only one).", valueName: "name"))
  var input: String?

  @Option(help: ArgumentHelp("The endpoint's output for classes (default: the one that fits).", valueName: "name"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Classes that it tells apart (default: as its metadata or the data set say).", valueName: "n"))
  var classes: Int?

  @Option(help: "Order of its pixels: NCHW or NHWC (default: as its metadata say).")
  var layout: PixelForm.Layout?

  @Option(
    help: ArgumentHelp("Type of its pixels: UINT8, FP16, FP32 or FP64 (default: as they say).", valueName: "type"))
  var datatype: InferenceTensor.DataType?

  @Option(help: "What pixels in [0, 1] are multiplied by (default: 1; for UINT8: 255).")
  var scale: Double?

  @Option(help: ArgumentHelp("What is then subtracted: a number, or one a channel.", valueName: "list"))
  var mean: NumberList?

  @Option(help: ArgumentHelp("What is then divided by: a number, or one a channel.", valueName: "list"))
  var std: NumberList?

  @Option(
    help: ArgumentHelp(
      "Certificates in PEM form to trust beside the system's (SSL_CERT_FILE: in their place).", valueName: "file"),
    completion: .file())
  var caFile: String?

  func validate() throws {
    guard classes ?? 2 > 1 else { throw ValidationError("--classes must be at least 2.") }
    guard scale ?? 1 > 0, scale ?? 1 < .infinity, std?.values.contains(0) != true else {
      throw ValidationError("--scale must be above 0, and --std not 0.")
    }
  }

  /// Whether nothing is told.
  var isEmpty: Bool { arguments.isEmpty }

  /// The flags as they were given.
  var arguments: [String] {
    flags.flatMap { ["--\($0.name)", $0.value] } + (caFile.map { ["--ca-file", $0] } ?? [])
  }

  var hints: EndpointHints {
    var hints = EndpointHints()
    (hints.input, hints.output, hints.classes) = (input, output, classes)
    (hints.layout, hints.datatype, hints.scale) = (layout, datatype, scale)
    hints.mean = mean?.values ?? hints.mean
    hints.deviation = std?.values ?? hints.deviation
    return hints
  }

  /// What the answers depend on.
  var settings: Record {
    flags.reduce(into: [:]) { settings, flag in settings[flag.name] = .string(flag.value) }
  }

  private var flags: [(name: String, value: String)] {
    [
      ("input", input), ("output", output), ("classes", classes.map { "\($0)" }), ("layout", layout?.rawValue),
      ("datatype", datatype?.rawValue), ("scale", scale.map { "\($0)" }), ("mean", mean?.description),
      ("std", std?.description)
    ].compactMap { name, value in value.map { (name, $0) } }
  }
}

/// Numbers: `0.485,0.456,0.406`.
struct NumberList: ExpressibleByArgument, CustomStringConvertible {
  let values: [Double]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    values = parts.compactMap { Double($0) }
    guard values.count == parts.count, values.allSatisfy(\.isFinite) else { return nil }
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
