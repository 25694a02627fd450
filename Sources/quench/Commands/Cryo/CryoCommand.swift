import ArgumentParser

struct CryoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cryo",
    abstract: "Plan the data collection of a cryo-EM grid: the most good micrographs in the time there is.",
    discussion: """
      First steps:
        quench cryo simulate --out demo-grid   a synthetic survey to try things on
        quench cryo inspect --survey demo-grid/survey.csv \\
          --predictions demo-grid/predictions.txt
        quench cryo plan --survey demo-grid/survey.csv \\
          --predictions demo-grid/predictions.txt \\
          --start 0 --minutes 480 --out plan.csv
        quench cryo evaluate --survey demo-grid/survey.csv \\
          --predictions demo-grid/predictions.txt \\
          --policy closed-loop --minutes 120,240,480 --starts 50

      A survey is a table 'name,x,y,CTF,confidence' of Leginon names without a
      header, or one with a header line and columns such as
      name,tile,square,patch,ctf. Predictions are lines 'name resolution' or 'name p0
      p1 ...'. Commas, semicolons or tabs separate columns.
      """,
    subcommands: [
      CryoSimulateCommand.self, CryoInspectCommand.self, CryoPlanCommand.self, CryoTrainCommand.self,
      CryoEvaluateCommand.self, CryoStudyCommand.self, CryoCalibrateCommand.self, CryoTimeModelCommand.self,
      CryoLiveCommand.self, CryoDashboardCommand.self, CryoRecordCommand.self, CryoUndoCommand.self,
      CryoExportCommand.self,
      CryoPredictorCommand.self,
      CryoBenchCommand.self
    ])
}
