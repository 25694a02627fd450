import Foundation
import QuenchPruning
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The images of the article "Your first pruned model".
func firstImages() throws -> (runs: URL, train: ImageDataset, test: ImageDataset) {
  let runs = URL(filePath: "runs")
  let train = try Datasets.load(.fashionMNIST, split: .train).prefix(2000)
  let test = try Datasets.load(.fashionMNIST, split: .test).prefix(1000)
  return (runs, train, test)
}

/// The program of the article "Your first pruned model"; only its folder and its images are named by the caller.
func firstPrunedModel(
  in runs: URL, train: ImageDataset, test: ImageDataset
) throws -> (dense: Accuracy, pruned: Accuracy, mask: Mask) {
  let file = try ModelFile(contentsOf: runs.appending(path: "dense/model.safetensors"))
  let dense = try test.accuracy(of: InferencePlan(file.network).callAsFunction)

  var method = BiP(keepRatio: try KeepRatio(0.1))
  method.epochs = 1
  method.batchSize = 32
  let training = try method.training(file.network, on: train, seed: 1)
  let outcome = try TrainingSession().run(training)
  training.finish()  // the network now holds the masked weights

  let mask = training.mask
  let pruned = try test.accuracy(of: InferencePlan(file.network).callAsFunction)
  print("kept \(mask.keptCount) of \(mask.layout.count) weights in \(Int(outcome.seconds)) s")
  print("accuracy \(dense.fraction) dense, \(pruned.fraction) pruned, 95 %: \(pruned.interval)")
  for layer in mask.table { print(layer.name, layer.kept, "of", layer.total) }

  try file.write(to: runs.appending(path: "pruned.safetensors"))
  try mask.write(to: runs.appending(path: "mask.safetensors"))
  return (dense, pruned, mask)
}
