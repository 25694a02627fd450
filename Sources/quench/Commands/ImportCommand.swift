import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a network that PyTorch exported, or an ONNX model, computes.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Show what an exported network computes: input, classes, operators, size.",
    discussion: """
      The file is an ONNX model, or one that Python writes with
        program = torch.export.export(network.eval(), (images,),
                                      dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(program, "network.pt2")

      Channels that cannot be cut are those that an operator mixes, such as a layer norm
      over them: quench slim leaves these as they are.

      Multiply-adds are those of convolutions, linear layers, matrix products and
      attention for one image.

      Of ONNX, operator sets 9 to 21 are read, as PyTorch, tf2onnx and Paddle write
      them; a softmax at the end is left out, which is told. Batch norms that were
      folded into convolutions stay so.

      Every --weights takes such a file as it is. With --out the network is also
      written as a model file, with the normalization and the names of the classes that
      the program does not tell.

      Examples:
        quench import network.pt2
        quench import network.onnx --json
        quench import network.pt2 --mean imagenet --std imagenet \\
          --classes labels.txt --out model.safetensors
      """)

  @ArgumentParser.Argument(
    help: "The file, as torch.export.save writes it, or an ONNX model.",
    completion: .file(extensions: ["pt2", "onnx"]))
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
      return try tell(of: try ModelFile(contentsOf: source, normalization: Normalization.none))
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
    try tell(of: model)
  }

  private func tell(of model: ModelFile) throws {
    for text in model.notes { output.note("note: \(file): \(text)") }
    let network = model.network
    let multiplyAdds = network.architecture.multiplyAdds
    let frozen = try ChannelGroups(network.architecture).frozen
    output.printResult(
      record(of: network.graph, multiplyAdds, frozen), text(of: network.graph, multiplyAdds, frozen))
  }

  private func record(of graph: OperatorGraph, _ multiplyAdds: Int, _ frozen: [ChannelGroups.Frozen]) -> Record {
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
      "parameters": .int(graph.parameterCount), "multiply_adds": .int(multiplyAdds),
      "frozen": .array(
        frozen.map { held in
          .object([
            "operator": .string(held.operatorName), "node": .string(held.node), "channels": .int(held.channels),
            "parameters": .array(held.parameters.map { .string($0) })
          ])
        })
    ]
  }

  private func text(of graph: OperatorGraph, _ multiplyAdds: Int, _ frozen: [ChannelGroups.Frozen]) -> String {
    let reasons = Dictionary(grouping: frozen, by: \.operatorName).sorted { $0.key < $1.key }
      .map { name, held in "\(NumberText.count(held.reduce(0) { $0 + $1.channels }, "filter")) by \(name)" }
    let table = Table(
      "Operators", columns: [.text("operator"), .number("calls")],
      rows: graph.operatorCounts.map { [.init($0.target), .init(NetworkSize.text($0.count))] })
    return """
      input          \(graph.input.sizeText), \(graph.input.dtype)
      classes        \(graph.outputShape[0])
      parameters     \(NetworkSize.text(graph.parameterCount))
      multiply-adds  \(NetworkSize.text(multiplyAdds))
      cannot be cut  \(reasons.isEmpty ? "nothing but the answers" : reasons.joined(separator: ", "))

      """ + "\n" + table.text
  }
}
