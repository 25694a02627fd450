import ArgumentParser
import Foundation
import QuenchPruning
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

struct MaskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mask",
    abstract: "Inspect and compare the masks of pruned networks, or apply one to other weights.",
    discussion: """
      Examples:
        quench mask show runs/bip/mask.safetensors \\
          --weights runs/bip/model.safetensors
        quench mask compare bip.safetensors omp.safetensors \\
          --weights model.safetensors
        quench mask apply mask.safetensors --weights other.safetensors \\
          --out masked.safetensors
      """,
    subcommands: [MaskShowCommand.self, MaskCompareCommand.self, MaskApplyCommand.self])
}

/// The network whose weights a mask is of.
struct MaskedNetworkOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("The network: safetensors, or what torch.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, where their file does not say.")
  var model: ModelName?

  @Option(help: "With --model: channels x height x width of its images, such as 3x32x32.")
  var input: ImageShape?

  @Option(help: "With --model: its number of classes.")
  var classes: Int?

  func load() throws -> ModelFile {
    let named = try model.map { try NamedNetwork($0, input: input?.sizes, classes: classes) }
    return try ModelFile(contentsOf: URL(filePath: weights), named: named)
  }
}

struct MaskShowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract: "Count, layer by layer, what a mask keeps, how much of it still has an effect, and dead units.",
    discussion: """
      Example:
        quench mask show runs/bip/mask.safetensors \\
          --weights runs/bip/model.safetensors

      A kept weight is effective if a path of kept weights leads from the input
      through it to the output; a unit on no such path is dead.
      """)

  @ArgumentParser.Argument(help: "The mask's file.", completion: .file()) var mask: String
  @OptionGroup var network: MaskedNetworkOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let network = try network.load().network
    let mask = try Mask(contentsOf: URL(filePath: mask), for: network)
    let statistics = try MaskStatistics(mask, in: network.architecture)
    let layers = statistics.layers.map { layer -> Value in
      .object([
        "name": .string(layer.name), "total": .int(layer.total), "kept": .int(layer.kept),
        "effective": .int(layer.effective), "units": .int(layer.units), "dead_units": .int(layer.deadUnits)
      ])
    }
    let summary: Record = [
      "kept": .int(statistics.kept), "prunable": .int(statistics.total), "keep_ratio": .double(mask.keepRatio),
      "sparsity": .double(statistics.sparsity), "effective_sparsity": .double(statistics.effectiveSparsity),
      "dead_units": .int(statistics.deadUnits), "multiply_adds": .int(network.architecture.multiplyAdds),
      "kept_multiply_adds": .int(network.architecture.multiplyAdds(under: mask)), "layers": .array(layers)
    ]
    func row(_ name: String, _ kept: Int, _ total: Int, _ effective: Int, _ dead: Int, _ units: Int) -> [Table.Cell]
    {
      [
        "\(name)", "\(Wording.count(Double(kept)))", "\(Wording.count(Double(total)))",
        "\(NumberText.percent(Double(kept) / Double(max(total, 1))))", "\(Wording.count(Double(effective)))",
        "\(dead) of \(units)"
      ]
    }
    let units = statistics.layers.reduce(0) { $0 + $1.units }
    let table = Table(
      "What the mask keeps",
      columns: [
        .text("layer"), .number("kept"), .number("weights"), .number("ratio"), .number("effective"),
        .number("dead units")
      ],
      rows: statistics.layers.map { row($0.name, $0.kept, $0.total, $0.effective, $0.deadUnits, $0.units) }
        + [row("all", statistics.kept, statistics.total, statistics.effective, statistics.deadUnits, units)])
    output.printResult(summary, table.text)
  }
}

struct MaskCompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Report how much two masks of a network have in common.",
    discussion: """
      Example:
        quench mask compare bip.safetensors omp.safetensors \\
          --weights model.safetensors

      Overlap: weights kept by both over weights kept by either; 1 for equal masks.
      """)

  @ArgumentParser.Argument(help: "A mask's file.", completion: .file()) var first: String
  @ArgumentParser.Argument(help: "Another mask's file.", completion: .file()) var second: String
  @OptionGroup var network: MaskedNetworkOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let network = try network.load().network
    let masks = try [first, second].map { try Mask(contentsOf: URL(filePath: $0), for: network) }
    guard masks[0].layout == masks[1].layout else {
      throw InputError(
        "the masks are of different layers", at: second,
        expected: "\(masks[0].layout.layers.count) layers, as in \(first)",
        found: "\(masks[1].layout.layers.count)")
    }
    let layers = zip(masks[0].layout.layers, zip(masks[0].layers, masks[1].layers)).map { layer, values in
      let pair = [values.0, values.1].map { Mask(layout: WeightLayout(of: layer), values: $0.reshaped([-1])) }
      return (layer.name, pair[0].keepRatio, pair[1].keepRatio, pair[0].intersectionOverUnion(with: pair[1]))
    }
    let overlap = masks[0].intersectionOverUnion(with: masks[1])
    let summary: Record = [
      "overlap": .double(overlap), "hamming_distance": .double(masks[0].hammingDistance(to: masks[1])),
      "keep_ratio_first": .double(masks[0].keepRatio), "keep_ratio_second": .double(masks[1].keepRatio),
      "layers": .array(layers.map { .object(["name": .string($0.0), "overlap": .double($0.3)]) })
    ]
    let rows = layers + [("all", masks[0].keepRatio, masks[1].keepRatio, overlap)]
    let table = Table(
      "Two masks",
      columns: [.text("layer"), .number("kept by the first"), .number("by the second"), .number("overlap")],
      rows: rows.map { name, first, second, overlap in
        [
          "\(name)", "\(NumberText.percent(first))", "\(NumberText.percent(second))",
          "\(NumberText.fixed(overlap, decimals: 3))"
        ]
      })
    output.printResult(summary, table.text)
  }
}

struct MaskApplyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Zero the weights that a mask prunes in a network of the same architecture.",
    discussion: """
      Example:
        quench mask apply mask.safetensors --weights other.safetensors \\
          --out masked.safetensors
      """)

  @ArgumentParser.Argument(help: "The mask's file.", completion: .file()) var mask: String
  @OptionGroup var network: MaskedNetworkOptions

  @Option(help: ArgumentHelp("The file to write.", valueName: "file"), completion: .file())
  var out: String

  @Flag(help: "Overwrite the file if it exists.")
  var force = false

  @OptionGroup var output: OutputOptions

  func run() throws {
    guard force || !FileManager.default.fileExists(atPath: out) else {
      throw InputError("the file exists", at: out, remedy: "choose another name, or overwrite it with --force")
    }
    let file = try network.load()
    let mask = try Mask(contentsOf: URL(filePath: mask), for: file.network)
    mask.apply(to: file.network)
    try file.write(to: URL(filePath: out))
    output.printResult(
      [
        "kept": .int(mask.keptCount), "prunable": .int(mask.layout.count), "keep_ratio": .double(mask.keepRatio),
        "out": .string(out)
      ],
      "kept     \(Wording.count(Double(mask.keptCount))) of \(Wording.count(Double(mask.layout.count))) weights\n"
        + "weights  \(out)")
  }
}
