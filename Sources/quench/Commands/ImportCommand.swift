import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

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

      Examples:
        quench import network.pt2
        quench import network.pt2 --json
      """)

  @ArgumentParser.Argument(
    help: "The file, as torch.export.save writes it.", completion: .file(extensions: ["pt2"]))
  var file: String

  @OptionGroup var output: OutputOptions

  func run() throws {
    let network = try ExportedProgram.load(URL(filePath: file))
    let multiplyAdds = try network.multiplyAdds()
    output.printResult(record(of: network.graph, multiplyAdds), text(of: network.graph, multiplyAdds))
  }

  private func record(of graph: OperatorGraph, _ multiplyAdds: Int) -> Record {
    let sizes = graph.input.sizes.map { $0.count == 1 ? Value.int($0.lowerBound) : .null }
    let input: Record = [
      "name": .string(graph.valueNames[graph.input.value.index]), "shape": .array(sizes),
      "dtype": .string("\(graph.input.dtype)")
    ]
    let output: Record = [
      "name": .string(graph.valueNames[graph.output.index]), "shape": [sizes.first ?? .null, .int(graph.classes)]
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
      classes        \(graph.classes)
      parameters     \(NetworkSize.text(graph.parameterCount))
      multiply-adds  \(NetworkSize.text(multiplyAdds))

      """ + "\n" + table.text
  }
}
