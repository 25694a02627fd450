import ArgumentParser
import QuenchReporting
import QuenchSmoothing
import QuenchSupport

/// What an endpoint's metadata do not say of it.
struct EndpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Name of the endpoint's image input (default: its only input).", valueName: "name"))
  var input: String?

  @Option(help: ArgumentHelp("Name of its output for classes (default: the one that fits).", valueName: "name"))
  var output: String?

  @Option(
    help: ArgumentHelp("Its number of classes (default: from its metadata or the data set).", valueName: "n"))
  var classes: Int?

  @Option(help: "Its pixel layout: NCHW or NHWC (default: from its metadata).")
  var layout: PixelForm.Layout?

  @Option(
    help: ArgumentHelp(
      "Its pixel type: UINT8, FP16, FP32 or FP64 (default: from its metadata).", valueName: "type"))
  var datatype: InferenceTensor.DataType?

  @Option(help: "Factor for pixels in [0, 1] (default: 1; for UINT8: 255).")
  var scale: Double?

  @Option(help: ArgumentHelp("Then subtracted: one number, or one per channel.", valueName: "list"))
  var mean: NumberList?

  @Option(help: ArgumentHelp("Then divided by: one number, or one per channel.", valueName: "list"))
  var std: NumberList?

  @Option(
    help: ArgumentHelp(
      "PEM certificates to trust in addition to the system's (SSL_CERT_FILE: instead of them).", valueName: "file"),
    completion: .file())
  var caFile: String?

  /// What was told.
  var form: EndpointForm {
    get throws(InputError) { try Value.object(Flags.settings(of: self)).decode(name: "flags") }
  }
}

/// Numbers: `0.485,0.456,0.406`.
struct NumberList: ExpressibleByArgument, Encodable {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let values = parts.compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
    guard values.count == parts.count, values.allSatisfy(\.isFinite) else { return nil }
    self.values = values
  }

  func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }

  var defaultValueDescription: String { values.map { NumberText.plain($0) }.joined(separator: ",") }
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
