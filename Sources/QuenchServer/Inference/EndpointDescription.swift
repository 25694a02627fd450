import QuenchReporting
import QuenchSmoothing
import QuenchSupport

/// A classifier behind the Open Inference Protocol, as its metadata, its configuration and what the user knows of it
/// describe it.
struct EndpointDescription: Sendable {
  let input: String
  /// Nil: the one output of an answer that fits.
  let output: String?
  let classes: Int
  let largestBatch: Int?
  private let datatype: InferenceTensor.DataType
  /// Sides of an image, -1 for any; empty where nothing is said.
  private let sides: [Int]
  private let layout: PixelForm.Layout?
  private let isBatched: Bool
  private let form: EndpointForm

  /// - Parameters:
  ///   - metadata: The answer to `GET /v2/models/NAME`.
  ///   - configuration: Triton's answer to `GET /v2/models/NAME/config`; empty: none.
  ///   - form: What the user knows.
  ///   - likelyClasses: How many classes it probably has: decides between outputs, and stands in where nothing says a
  ///     number.
  ///   - location: The endpoint, for errors.
  /// - Throws: `InputError` that names the flag which says what is missing.
  init(
    _ metadata: Record, configuration: Record, _ form: EndpointForm, likelyClasses: Int?, at location: String
  ) throws(InputError) {
    (output, classes) = try Self.classes(Self.tensors(metadata["outputs"]), form, likelyClasses, at: location)
    let batch = configuration["max_batch_size"]?.integer
    let entry = try Self.choose(Self.tensors(metadata["inputs"]), form.input, kind: "input", at: location)
    input = entry.name
    let format = configuration["input"]?.array?.compactMap(\.record).first { $0["name"]?.string == entry.name }?[
      "format"]?.string
    layout = form.layout ?? PixelForm.Layout.allCases.first { format == "FORMAT_\($0.rawValue)" }
    isBatched = batch != 0 || entry.shape.count > 3
    let hasBatchSide = [2, 4].contains(entry.shape.count)
    sides = hasBatchSide ? Array(entry.shape.dropFirst()) : entry.shape
    let fixed = hasBatchSide ? entry.shape.first.flatMap { $0 > 0 ? $0 : nil } : nil
    let declared = metadata["parameters"]?.record?["max_batch_size"]?.integer ?? batch
    largestBatch = isBatched ? declared.flatMap { $0 > 0 ? $0 : nil } ?? fixed : 1
    let name = form.datatype?.rawValue ?? entry.datatype ?? InferenceTensor.DataType.float32.rawValue
    guard let datatype = PixelForm.datatypes.first(where: { $0.rawValue == name }) else {
      throw InputError(
        "the endpoint's input '\(entry.name.prefix(64))' is no image's", at: location,
        expected: PixelForm.datatypes.map(\.rawValue).joined(separator: ", "), found: "'\(name.prefix(32))'",
        remedy: "name another with `input`, or what it takes with `datatype`")
    }
    self.datatype = datatype
    self.form = form
  }

  /// How images `[C, H, W]` are sent.
  /// - Throws: `InputError` if the endpoint takes other images.
  func form(for shape: [Int], at location: String) throws(InputError) -> PixelForm {
    func admits(_ image: [Int]) -> Bool {
      sides.count == image.count && zip(sides, image).allSatisfy { $0 == -1 || $0 == $1 }
    }
    let isFlat = admits([shape.reduce(1, *)])
    let fitting = PixelForm.Layout.allCases.filter { layout in
      admits(layout == .nchw ? shape : [shape[1], shape[2], shape[0]])
    }
    guard sides.isEmpty || isFlat || !fitting.isEmpty else {
      throw InputError(
        "the endpoint takes images of another shape", at: location, expected: "\(sides)", found: "\(shape)",
        remedy: "name the data set that it was trained on")
    }
    var form = PixelForm(
      datatype: datatype, layout: layout ?? fitting.first ?? .nchw, scale: form.scale, mean: form.mean ?? [0],
      deviation: form.std ?? [1])
    (form.isBatched, form.isFlat) = (isBatched, isFlat)
    try form.check(channels: shape[0])
    return form
  }

  /// What of the form is known without images and changes the pixels' values.
  var units: String {
    PixelForm(datatype: datatype, scale: form.scale, mean: form.mean ?? [0], deviation: form.std ?? [1]).description
  }

  private struct Entry {
    var name: String
    var datatype: String?
    var shape: [Int] = []

    /// What is left of the shape besides the number of images: a number of classes, if it is one side.
    var classes: Int? {
      let sides = shape.dropFirst(shape.count > 1 ? 1 : 0).filter { $0 != 1 }
      return sides.count == 1 && sides[0] > 1 ? sides[0] : nil
    }
  }

  private static func tensors(_ list: Value?) -> [Entry] {
    (list?.array ?? []).compactMap { value in
      guard let record = value.record, let name = record["name"]?.string else { return nil }
      return Entry(
        name: name, datatype: record["datatype"]?.string,
        shape: (record["shape"]?.array ?? []).compactMap(\.integer))
    }
  }

  private static func choose(
    _ entries: [Entry], _ name: String?, kind: String, at location: String
  ) throws(InputError) -> Entry {
    if let name {
      guard !entries.isEmpty else { return Entry(name: name) }
      guard let entry = entries.first(where: { $0.name == name }) else {
        throw InputError(
          "the endpoint has no such \(kind)", at: location, expected: list(entries), found: "'\(name)'",
          remedy: "name one of them with `\(kind)`")
      }
      return entry
    }
    guard let entry = entries.first, entries.count == 1 else {
      throw InputError(
        entries.isEmpty ? "the endpoint names no \(kind)" : "the endpoint has several \(kind)s", at: location,
        found: entries.isEmpty ? nil : list(entries), remedy: "name the one for images with `\(kind)`")
    }
    return entry
  }

  private static func classes(
    _ outputs: [Entry], _ form: EndpointForm, _ likelyClasses: Int?, at location: String
  ) throws(InputError) -> (output: String?, classes: Int) {
    func told(_ entry: Entry?) throws(InputError) -> Int {
      guard let classes = form.classes ?? entry?.classes ?? likelyClasses else {
        throw InputError(
          "the endpoint does not describe a classifier", at: location, expected: "an output of shape [-1, classes]",
          found: outputs.isEmpty ? "no output" : list(outputs),
          remedy: "tell the number of classes with `classes`, and with `input` and `output` what is not named")
      }
      return classes
    }
    if outputs.isEmpty { return (form.output, try told(nil)) }
    if let name = form.output {
      let entry = try choose(outputs, name, kind: "output", at: location)
      return (name, try told(entry))
    }
    // An embedding may come before the classes.
    let wanted = form.classes ?? likelyClasses
    if let entry = outputs.first(where: { wanted != nil && $0.classes == wanted }) {
      return (entry.name, try told(entry))
    }
    let classifiers = outputs.filter { $0.classes != nil }
    guard Set(classifiers.map(\.classes)).count <= 1 || form.classes != nil else {
      throw InputError(
        "several outputs of the endpoint may be the classes", at: location, found: list(outputs),
        remedy: "name one with `output`, or tell how many classes there are with `classes`")
    }
    let entry = classifiers.first ?? (outputs.count == 1 ? outputs.first : nil)
    guard entry != nil || form.classes == nil else {
      throw InputError(
        "the endpoint has several outputs", at: location, found: list(outputs),
        remedy: "name the one for classes with `output`")
    }
    return (entry?.name, entry == nil ? try told(nil) : try told(entry))
  }

  private static func list(_ entries: [Entry]) -> String {
    entries.prefix(8).map { "'\($0.name.prefix(64))' \($0.shape)" }.joined(separator: ", ")
  }
}
