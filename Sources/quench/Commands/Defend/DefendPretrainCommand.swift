import ArgumentParser
import QuenchSmoothing

struct DefendPretrainCommand: LearningCommand {
  typealias Work = PretrainDefense

  static let configuration = CommandConfiguration(
    commandName: "pretrain",
    abstract: "Train a defense's autoencoder or denoiser without the model, or train a reconstructor.",
    discussion: """
      Examples:
        quench defend pretrain autoencoder --out runs/autoencoder
        quench defend pretrain denoiser --sigma 0.25 --out runs/denoiser
        quench defend pretrain reconstructor --data mnist --out runs/reconstructor
        quench defend pretrain autoencoder --data mnist --task reconstruction \\
          --out runs/autoencoder

      The autoencoder learns to reproduce clean images (stage 1), the denoiser to
      recover them from noisy ones, both by mean squared error and without queries.
      The reconstructor is a model to defend: it recovers 28x28 gray images from
      linear measurements of them. Writes encoder.safetensors and
      decoder.safetensors, denoiser.safetensors or reconstructor.safetensors.
      """)

  @ArgumentParser.Argument(help: "autoencoder, denoiser or reconstructor.")
  var part: PretrainDefense.Part

  @Option(help: "The autoencoder (default: the usual one for images of this size).")
  var architecture: AutoencoderName?

  @OptionGroup(title: "Task") var task: TaskOptions
  @OptionGroup(title: "Denoiser") var denoiser: DenoiserOptions
  @OptionGroup(title: "Recipe") var recipe: DefenseRecipeOptions
  @OptionGroup(title: "Run") var options: LearningOptions

  func run() throws { try runOptions.perform(Work.self, settings, named: part.rawValue, in: lab) }
}
