import ArgumentParser
import QuenchSmoothing

struct CertifyPredictCommand: ExperimentCommand {
  typealias Work = PredictUnderNoise

  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Predict by majority vote under noise, without certifying a radius.",
    discussion: """
      Examples:
        quench certify predict --weights runs/noisy/model.safetensors --sigma 0.25
        quench certify predict --weights runs/noisy/model.safetensors --n 100 \\
          --limit 500 --json

      PREDICT of Cohen et al. (2019): the class that most noisy copies get is the
      prediction, unless the runner-up is so close that it may differ from the
      smoothed classifier's with a probability above alpha; then the classifier
      abstains, which counts as wrong. Writes metrics.jsonl, one row per image,
      summary.json and report.html.
      """)

  @Option(
    help: ArgumentHelp("Weights: safetensors, or what torch.save or torch.export.save wrote.", valueName: "file"),
    completion: .file())
  var weights: String

  @Option(help: "The network that the weights belong to, if their file does not say.")
  var model: ClassifierName?

  @OptionGroup var pixels: NormalizationOptions

  @Option(help: "Standard deviation of the noise, for pixels in [0, 1].")
  var sigma = PredictUnderNoise().sigma

  @Option(help: "Noisy copies that vote.")
  var n = Predict().votes

  @Option(help: "Failure probability of a prediction.")
  var alpha = Predict().failureProbability

  @Option(help: "Noisy copies per forward pass; predictions do not depend on it.")
  var batchSize = PredictUnderNoise().batchSize

  @Option(
    help: ArgumentHelp(
      "Predict part i of k of the images, such as 1/4; run the other parts in folders of their own.",
      valueName: "i/k"))
  var shard = Shard.whole

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Run") var options: RunOptions

  var runOptions: RunOptions { options }
}
