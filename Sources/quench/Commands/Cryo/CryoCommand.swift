import ArgumentParser

struct CryoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cryo",
    abstract: "Plan the collection of cryo-EM data.",
    subcommands: [
      CryoCalibrateCommand.self, CryoExportCommand.self, CryoPredictorCommand.self, CryoLiveCommand.self,
      CryoRecordCommand.self
    ])
}
