import ArgumentParser
import QuenchSmoothing
import QuenchVision

struct DefendPretrainCommand: LearningCommand {
  typealias Work = PretrainDefense

  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Train a defense's autoencoder or denoiser without the model, or train a reconstructor.",
    discussion: """
      Examples:
        quench defend pretrain autoencoder --out runs/autoencoder
        quench defend pretrain autoencoder --components 192 --epochs 8 \\
          --out runs/autoencoder
        quench defend pretrain denoiser --sigma 0.25 --out runs/denoiser
        quench defend pretrain autoencoder --denoised-by runs/denoiser \\
          --weights black-box.safetensors --out runs/autoencoder
        quench defend pretrain reconstructor --data mnist --out runs/reconstructor
        quench defend pretrain autoencoder --data mnist --task reconstruction \\
          --out runs/autoencoder

      The autoencoder learns to reproduce clean images (stage 1), the denoiser to
      recover them from noisy ones, both by mean squared error and without queries.
      With the model's weights it is also tested on what they give back, which a small
      error does not vouch for.
      The reconstructor is a model to defend: it recovers 28x28 gray images from
      linear measurements of them. Writes encoder.safetensors and
      decoder.safetensors, denoiser.safetensors or reconstructor.safetensors.
      """)

  @ArgumentParser.Argument(help: "autoencoder, denoiser or reconstructor.")
  var part: PretrainDefense.Part

  @Option(help: "The autoencoder (default: the usual one for images of this size).")
  var architecture: AutoencoderName?

  @Option(
    help:
      "In place of an architecture: so many principal components of the training images, the linear autoencoder of the smallest error; an epoch is one iteration."
  )
  var components: Int?

  @Option(
    help: ArgumentHelp(
      "The autoencoder learns from what the denoiser of this run makes of noisy images.", valueName: "dir"),
    completion: .directory)
  var denoisedBy: String?

  @Option(
    help: ArgumentHelp("Test the model of these weights on what the part gives back.", valueName: "file"),
    completion: .file())
  var weights: String?

  @Option(help: "The network that the weights belong to, if their file does not say.")
  var model: ClassifierName?

  @OptionGroup(title: "Task") var task: TaskOptions
  @OptionGroup(title: "Denoiser") var denoiser: DenoiserOptions
  @OptionGroup(title: "Recipe") var recipe: DefenseRecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func run() throws { try runOptions.perform(Work.self, settings, named: part.rawValue, in: lab) }
}
