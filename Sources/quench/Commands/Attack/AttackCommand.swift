import ArgumentParser

struct AttackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attack",
    abstract: "Measure the accuracy of a network under attack.",
    discussion: """
      Examples:
        quench attack pgd --weights runs/train/model.safetensors --epsilon 8/255 \\
          --limit 1000
        quench attack autoattack --weights runs/train/model.safetensors \\
          --data cifar10
        quench attack sweep pgd --weights runs/train/model.safetensors \\
          --epsilons 1/255,2/255,4/255
        quench attack cw --weights runs/train/model.safetensors --smallest \\
          --limit 200

      Pixels are in [0, 1], and so are budgets: 8/255, not 8. Writes rows.csv, one
      line an image, flushed as it goes, and summary.json with clean_accuracy,
      robust_accuracy and the ends of its interval (_low, _high), n, seconds, a figure
      for each attack, how many broken images still deceive once rounded to 8 bits,
      and findings: what makes the figures doubtful. Attacks with gradients end with
      a short apgd-dlr on what they left, whose figure stands beside their own. A run
      that was interrupted goes on with --resume to the same rows. By --precision auto
      gradients and answers are each computed in bfloat16 where that is faster on this
      machine; an image counts as broken only if it is in float32 too.
      """,
    subcommands: [AttackRunCommand.self, AttackSweepCommand.self, AutoAttackCommand.self],
    defaultSubcommand: AttackRunCommand.self)
}
