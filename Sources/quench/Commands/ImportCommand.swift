import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a program that PyTorch exported computes.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Show what a network exported by torch.export computes: input, classes, operators, size.",
    discussion: """
      The file is one that Python writes with
        program = torch.export.export(network.eval(), (images,),
                                      dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, "network.pt2")

      Multiply-adds are those of convolutions, linear layers, matrix products and
      attention for one image.

      Every --weights takes such a file as it is. With --out the network is also
      written as a model file, with the normalization and the names of the classes that
      the program does not tell.

      Examples:
        quench import network.pt2
        quench import network.pt2 --json
        quench import network.pt2 --mean imagenet --std imagenet \\
          --classes labels.txt --out model.safetensors
      """)

  @ArgumentParser.Argument(
    help: "The file, as torch.export.save writes it.", completion: .file(extensions: ["pt2"]))
  var file: String

  @Option(
    help: ArgumentHelp("Also write the network as a model file.", valueName: "file"),
    completion: .file(extensions: ["safetensors"]))
  var out: String?

  @OptionGroup var normalization: NormalizationOptions
  @OptionGroup var pictures: PictureOptions

  @Flag(help: "Overwrite the file of --out.")
  var force = false

  @OptionGroup var output: OutputOptions

  func validate() throws {
    let isPlain = normalization.settings == PixelNormalization() && pictures.settings == PictureSettings() && !force
    guard out != nil || isPlain else {
      throw ValidationError(
        "--mean, --std, --classes, --image-size, --resize, --crop, --channels and --force are for --out.")
    }
  }

  func run() throws {
    let source = URL(filePath: file)
    guard let out else {
      let network = try ExportedProgram.load(source)
      try network.measure()
      return tell(of: network)
    }
    let target = URL(filePath: out)
    guard force || !FileManager.default.fileExists(atPath: target.path) else {
      throw InputError("the file exists", at: out, remedy: "choose another name, or overwrite it with --force")
    }
    var model = try ModelFile(contentsOf: source, normalization: normalization.value ?? Normalization.none)
    let classes = model.network.architecture.outputShape[0]
    model.classNames = try normalization.settings.labels(for: classes) ?? []
    try model.fit(to: pictures.settings, at: file)
    try model.write(to: target)
    output.note("wrote \(out)")
    tell(of: model.network)
  }

  private func tell(of network: Network) {
    guard let graph = network.architecture.importedGraph else { return }
    let multiplyAdds = network.architecture.multiplyAdds
    output.printResult(record(of: graph, multiplyAdds), text(of: graph, multiplyAdds))
  }

  private func record(of graph: OperatorGraph, _ multiplyAdds: Int) -> Record {
    let sizes = graph.input.sizes.map { $0.count == 1 ? Value.int($0.lowerBound) : .null }
    let input: Record = [
      "name": .string(graph.valueNames[graph.input.value.index]), "shape": .array(sizes),
      "dtype": .string("\(graph.input.dtype)")
    ]
    let output: Record = [
      "name": .string(graph.valueNames[graph.output.index]),
      "shape": [sizes.first ?? .null, .int(graph.outputShape[0])]
    ]
    var operators = Record()
    for (target, count) in graph.operatorCounts { operators[target] = .int(count) }
    return [
      "inputs": [.object(input)], "outputs": [.object(output)], "operators": .object(operators),
      "parameters": .int(graph.parameterCount), "multiply_adds": .int(multiplyAdds)
    ]
  }

  private func text(of graph: OperatorGraph, _ multiplyAdds: Int) -> String {
    let table = Table(
      "Operators", columns: [.text("operator"), .number("calls")],
      rows: graph.operatorCounts.map { [.init($0.target), .init(NetworkSize.text($0.count))] })
    return """
      input          \(graph.input.sizeText), \(graph.input.dtype)
      classes        \(graph.outputShape[0])
      parameters     \(NetworkSize.text(graph.parameterCount))
      multiply-adds  \(NetworkSize.text(multiplyAdds))

      """ + "\n" + table.text
  }
}
