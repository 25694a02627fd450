import ArgumentParser
import QuenchDeception

extension RedPreset: ExpressibleByArgument {}
extension RedObjective.Filter: ExpressibleByArgument {}
extension RedObjective.Reconstruction: ExpressibleByArgument {}
extension Transformation: ExpressibleByArgument {}
extension TrainRed.Method: ExpressibleByArgument {}
extension NamedWeights: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
  public var defaultValueDescription: String { text }
}

/// Built data sets, taken as one.
struct PairsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("A run of 'quench red build-data'. Give several to join them.", valueName: "dir"),
    completion: .directory)
  var pairs: [String] = []

  func validate() throws { if pairs.isEmpty { throw ValidationError("--pairs is needed.") } }
}

/// The victims of a data set.
struct VictimOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A victim to train on and test: a name and its weights. Give several.", valueName: "name=file"))
  var victim: [NamedWeights] = []

  @Option(help: ArgumentHelp("A victim for tests only. Give several.", valueName: "name=file"))
  var unseen: [NamedWeights] = []

  func validate() throws {
    guard !victim.isEmpty else {
      throw ValidationError("--victim is missing: a name and weights, v1=model.safetensors.")
    }
  }
}
