import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

struct DataPreviewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preview", abstract: "Draw some images of every class.",
    discussion: """
      A page (.html) names the classes; a picture (.png) has a row for each class, in
      label order.

      Examples:
        quench data preview fashion-mnist --out preview.html
        quench data preview cifar10 --data-dir ~/cifar --split train \\
          --per-class 20 --out preview.png
      """)

  @OptionGroup var data: DataArguments

  @Option(help: "train or test.")
  var split = DataSplit.test

  @Option(help: "Images of each class, the first ones of the split.")
  var perClass = 10

  @Option(help: ArgumentHelp("What to write: a .html or a .png file.", valueName: "file"), completion: .file())
  var out: String

  @OptionGroup var output: OutputOptions

  private var url: URL { URL(filePath: out) }

  func validate() throws {
    guard ["html", "png"].contains(url.pathExtension) else { throw ValidationError("--out must be .html or .png.") }
    guard (1...1000).contains(perClass) else { throw ValidationError("--per-class must be 1 to 1000.") }
  }

  func run() throws {
    let dataset = try data.load(split)
    var positions = [[Int]](repeating: [], count: dataset.classNames.count)
    for (position, label) in dataset.labels.array(Int.self).enumerated() where positions[label].count < perClass {
      positions[label].append(position)
    }
    if url.pathExtension == "png" {
      try AtomicFile.write(try Self.sheet(of: dataset, positions), to: url)
    } else {
      try page(of: dataset, positions).write(to: url)
    }
    output.printResult(
      ["file": .string(url.path), "images": .int(positions.reduce(0) { $0 + $1.count })], "Written: \(url.path)")
  }

  private func page(of dataset: ImageDataset, _ positions: [[Int]]) throws(InputError) -> Report {
    var sections: [Report.Section] = []
    for (name, positions) in zip(dataset.classNames, positions) {
      var items: [ImageGrid.Item] = []
      for position in positions {
        let png = try PNG.encode(
          pixels: dataset.pixels(at: [position]), width: dataset.width, height: dataset.height,
          channels: dataset.channels)
        items.append(ImageGrid.Item(png: png, caption: "#\(position)"))
      }
      let grid = ImageGrid("The first \(items.count)", items, side: 64)
      sections.append(Report.Section(name, [items.isEmpty ? .prose("No images.") : .figure(grid)]))
    }
    return Report(
      title: "\(data.name.rawValue), \(split.rawValue) images",
      summary: "\(data.name.summary). \(NumberText.fixed(Double(dataset.count), decimals: 0)) images of "
        + "\(dataset.channels) x \(dataset.height) x \(dataset.width); fingerprint `\(dataset.fingerprint)`.",
      sections: sections)
  }

  /// All images in one, a row for each class, with white gaps.
  private static func sheet(of dataset: ImageDataset, _ positions: [[Int]]) throws(InputError) -> Data {
    let (gap, channels) = (2, dataset.channels)
    let columns = positions.map(\.count).max() ?? 0
    let width = columns * (dataset.width + gap) + gap
    let height = positions.count * (dataset.height + gap) + gap
    var sheet = [UInt8](repeating: 255, count: width * height * channels)
    for (row, positions) in positions.enumerated() {
      for (column, position) in positions.enumerated() {
        let image = dataset.pixels(at: [position])
        for line in 0..<dataset.height {
          let y = gap + row * (dataset.height + gap) + line
          let start = (y * width + gap + column * (dataset.width + gap)) * channels
          let length = dataset.width * channels
          sheet.replaceSubrange(start..<start + length, with: image[line * length..<(line + 1) * length])
        }
      }
    }
    return try PNG.encode(pixels: sheet, width: width, height: height, channels: channels)
  }
}

extension DataSplit: ExpressibleByArgument {}

extension ImageDataset {
  /// The pixels of some images, image after image, `[height, width, channels]` row by row.
  fileprivate func pixels(at positions: [Int]) -> [UInt8] {
    subset(positions).images.permuted([0, 2, 3, 1]).array()
  }
}
