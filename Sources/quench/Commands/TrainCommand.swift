import ArgumentParser

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "train", abstract: "Train a classifier.")
  @OptionGroup var run: RunOptions
  @OptionGroup var data: DataOptions

  func run() throws {}
}
