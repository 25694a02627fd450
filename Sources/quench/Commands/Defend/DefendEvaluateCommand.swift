import ArgumentParser
import QuenchSmoothing

struct DefendEvaluateCommand: BlackBoxCommand {
  typealias Work = EvaluateDefense

  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Certify a defense together with its model.",
    discussion: """
      Examples:
        quench defend evaluate --weights box.safetensors --defense runs/defend \\
          --limit 500
        quench defend evaluate --program 'python3 model.py' --defense runs/defend
        quench defend evaluate --endpoint http://host:8000/v2/models/box \\
          --defense runs/defend --query-budget 100000

      Noisy pixels leave [0, 1]. If the model rejects such pixels, --clip clips them
      after the noise is added; the certificate then covers the clipped classifier,
      and the results say so. An answer of NaN or infinity counts as another class.

      Writes certified.tsv, summary.json and report.html, as 'quench certify' does.
      """)

  @Option(
    help: ArgumentHelp("A run of 'defend train'; without it, the model alone.", valueName: "dir"),
    completion: .directory)
  var defense: String?

  @OptionGroup(title: "Model") var box: BlackBoxOptions
  @OptionGroup(title: "Ledger") var book: LedgerOptions
  @OptionGroup(title: "Certification") var certification: CertificationOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }
}
