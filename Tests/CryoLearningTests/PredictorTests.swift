import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchCryoLearning

@Suite("The CTF predictor") struct PredictorTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var grid: SyntheticGrid {
    var grid = SyntheticGrid()
    (grid.tiles, grid.squaresPerTile, grid.patchesPerSquare, grid.holesPerPatch) = (2, 1, 2, 8)
    return grid
  }

  @Test("learns y = ln((c - 2) / 23 + 1e-9) and answers 2 + 23 exp y") func code() {
    #expect(abs(ResolutionCode.encode(6) - log(4.0 / 23)) < 1e-8)
    #expect(ResolutionCode.encode(1) == log(1e-9) && ResolutionCode.encode(400) == log(1 + 1e-9))
    for value in [2.5, 4, 6, 13.7, 25] {
      #expect(abs(ResolutionCode.decode(ResolutionCode.encode(value)) - value) < 1e-6)
    }
    #expect(
      ResolutionCode.target(.failed) == ResolutionCode.encode(25) && ResolutionCode.target(.unmeasured) == nil)
  }

  @Test("has a class for each span of resolutions, up to and including its boundary") func classes() {
    let task = CTFPredictor.Task.classification([4, 8])
    let fits: [CTFFit] = [
      .resolution(3), .resolution(4), .resolution(4.01), .resolution(8), .resolution(9), .failed
    ]
    #expect(fits.map { task.label($0) } == [0, 0, 1, 1, 2, 2])
    #expect(task.label(.unmeasured) == nil)
    #expect(throws: InputError.self) {
      try CTFPredictor(.smallCNN, task: .classification([8, 4]), side: 32, seed: 1)
    }
  }

  @Test("reads PNG and MRC pictures of the same holes alike") func formats() throws {
    for format in SyntheticGrid.PictureFormat.allCases {
      try grid.write(to: folder / format.rawValue, format: format, side: 48)
    }
    let png = try HoleImages.read(folder / "png/images", side: 32)
    let mrc = try HoleImages.read(folder / "mrc/images", side: 32)
    #expect(png.names == mrc.names && png.count == 32 && png.pixels.shape == [32, 1, 32, 32])
    #expect(mrc.warnings.isEmpty)
    let a = png.pixels.to(.float32).reshaped([-1]) - png.pixels.to(.float32).mean()
    let b = mrc.pixels.to(.float32).reshaped([-1]) - mrc.pixels.to(.float32).mean()
    let correlation = ((a * b).sum() / (a.norm() * b.norm())).item()
    #expect(correlation > 0.98, "MRC grey values are stretched, and are else the same")
  }

  @Test("says which hole has no picture, or two") func missing() throws {
    try grid.write(to: folder.url, side: 32)
    let images = folder / "images"
    let error = inputError { try HoleImages.read(images, holes: ["nowhere"], side: 32) }
    #expect(error?.problem == "1 of 1 holes have no picture" && error?.found == "none for 'nowhere'")
    let name = try grid.holes()[0].name
    try Data().write(to: images.appending(path: "\(name).mrc"))
    #expect(inputError { try HoleImages.read(images, side: 32) }?.problem == "a hole has two pictures")
    let empty = inputError { try HoleImages.read(folder.url, side: 32) }
    #expect(empty?.problem == "there is no picture of a hole here")
  }

  @Test(
    "learns from pictures, to the same weights when it is interrupted",
    arguments: [
      CTFPredictor.Task.regression, .classification([6])
    ]) func training(_ task: CTFPredictor.Task) throws
  {
    var grid = grid
    grid.holesPerPatch = 40
    try grid.write(to: folder.url, side: 36)
    let survey = try SurveyFile(contentsOf: folder / "survey.csv").survey

    func make() throws -> (predictor: CTFPredictor, examples: HoleExamples, learner: PredictorTraining) {
      let predictor = try CTFPredictor(.smallCNN, task: task, side: 32, seed: 1)
      let images = try HoleImages.read(
        folder / "images", holes: survey.holes.map(\.name), side: predictor.pictureSide)
      let examples = try HoleExamples(images, fits: survey.holes.map(\.fit), task: task)
      var recipe = PredictorRecipe()
      (recipe.epochs, recipe.batchSize, recipe.learningRate) = (6, 32, 0.01)
      recipe.augmentation?.area = 0.6...1
      recipe.balancesClasses = true
      let learner = PredictorTraining(
        predictor, on: examples, recipe: recipe, threshold: 6, seed: 3, precision: .float32)
      return (predictor, examples, learner)
    }
    let first = try make()
    let before = first.examples.loss(of: first.predictor, recipe: first.learner.recipe)
    _ = try TrainingSession().run(first.learner)
    let after = first.examples.loss(of: first.predictor, recipe: first.learner.recipe)
    #expect(after < before)

    let second = try make()
    for step in 0..<second.learner.epochs * second.learner.stepsPerEpoch {
      let per = second.learner.stepsPerEpoch
      if step == 7 {
        let third = try make()
        try third.learner.restore(second.learner.state, from: "test")
        for rest in step..<second.learner.epochs * per {
          _ = third.learner.step(at: LoaderPosition(epoch: rest / per, batch: rest % per))
        }
        for (name, tensor) in third.predictor.network.state {
          #expect(try #require(first.predictor.network.state[name]).isEqual(to: tensor), "\(name)")
        }
        break
      }
      _ = second.learner.step(at: LoaderPosition(epoch: step / per, batch: step % per))
    }
  }

  @Test("is written with its task, and predicts the same when it is read again") func file() throws {
    try grid.write(to: folder.url, side: 36)
    for task in [CTFPredictor.Task.regression, .classification([4, 8])] {
      let predictor = try CTFPredictor(.smallCNN, task: task, side: 32, seed: 5)
      let url = folder / "model.safetensors"
      try predictor.write(to: url)
      let read = try CTFPredictor(contentsOf: url)
      #expect(read.task == task && read.side == 32 && read.pictureSide == 36)
      let images = try HoleImages.read(folder / "images", side: read.pictureSide)
      let predictions = read.predict(images, batchSize: 5, precision: .float32)
      #expect(predictions == predictor.predict(images, batchSize: 5, precision: .float32))
      let survey = try SurveyFile(contentsOf: folder / "survey.csv").survey
      let byName = Dictionary(uniqueKeysWithValues: zip(images.names, predictions))
      let text = PredictionFile.text(of: survey.predicting(survey.holes.map { byName[$0.name] }))
      #expect(try PredictionFile(parsing: Data(text.utf8), name: "p").entries.count == 32)
    }
    let url = folder / "other.safetensors"
    try ModelFile(
      Network(ModelName.smallCNN.architecture(input: [3, 32, 32], classes: 2), seed: 1), classNames: ["cat", "dog"]
    )
    .write(to: url)
    #expect(inputError { try CTFPredictor(contentsOf: url) }?.problem == "the network is no CTF predictor")
  }

  @Test("begins with weights learned elsewhere, but for the last layer") func pretrained() throws {
    let other = Network(ModelName.resnet18ImageNet.architecture(input: [3, 64, 64], classes: 10), seed: 9)
    let predictor = try CTFPredictor(.resnet18ImageNet, side: 64, seed: 1)
    let head = try #require(predictor.network.state["fc.weight"]).cloned()
    try predictor.begin(with: other.state, from: "test")
    #expect(
      try #require(predictor.network.state["conv1.weight"]).isEqual(to: try #require(other.state["conv1.weight"])))
    #expect(try #require(predictor.network.state["fc.weight"]).isEqual(to: head))
  }
}
