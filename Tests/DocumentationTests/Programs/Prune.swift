import Foundation
import QuenchExport
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Trains a network, prunes it, and writes it to `folder`.
func trainAndPrune(in folder: URL) throws -> (accuracy: Accuracy, mask: Mask) {
  let train = try Datasets.load(.synthetic, split: .train).prefix(512)
  let test = try Datasets.load(.synthetic, split: .test)
  let network = Network(ModelName.smallCNN.architecture(input: [3, 32, 32], classes: 10), seed: 1)

  var recipe = TrainingRecipe()
  recipe.epochs = 3
  recipe.augmentation = false
  let session = TrainingSession()
  _ = try session.run(ClassifierTraining(network, on: train, recipe: recipe, seed: 1))

  var method = BiP(keepRatio: try KeepRatio(0.1))
  method.epochs = 3
  method.augmentation = false
  let pruning = try method.training(network, on: train, seed: 1)
  _ = try session.run(pruning)
  pruning.finish()  // the network now holds the masked weights

  let accuracy = try test.accuracy(of: InferencePlan(network).callAsFunction)
  print("\(pruning.mask.keptCount) weights, accuracy \(accuracy.fraction), 95 %: \(accuracy.interval)")
  let file = ModelFile(network, classNames: train.classNames)
  try file.write(to: folder.appending(path: "model.safetensors"))
  return (accuracy, pruning.mask)
}

/// Prunes a network that a file holds.
func pruneFile(_ weights: URL, to pruned: URL) throws {
  let file = try ModelFile(contentsOf: weights)
  let images = try Datasets.load(.synthetic, split: .train)
  var method = BiP(keepRatio: try KeepRatio(0.1))
  method.epochs = 1
  let pruning = try method.training(file.network, on: images, seed: 1)
  _ = try TrainingSession().run(pruning)
  pruning.finish()
  try file.write(to: pruned)
}

/// Writes a network for onnxruntime and its kind.
func exportONNX(_ weights: URL, to model: URL) throws {
  let file = try ModelFile(contentsOf: weights)
  try ONNXExport().write(file.network, classNames: file.classNames, to: model)
}
