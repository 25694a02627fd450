import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// The batches that were attacked, one line each: what a run that was killed goes on from.
struct AttackJournal {
  /// What became of one sample in one batch.
  struct Outcome: Hashable {
    /// In the data.
    var place: Int
    /// The class that the model names; nil where its answer is no finite number.
    var after: Int?
    /// Whether the answer is another one (aimed: the target), at whatever distance.
    var isBroken: Bool
    var linf = 0.0
    var l2 = 0.0
    var l1 = 0.0
    var l0 = 0
    var queries = 0
    var gradients = 0
    var loss = 0.0
    /// Whether a gradient vanished on the way.
    var hasVanished = false
    /// Whether any answer was no finite number.
    var isUndefined = false
    /// What became of a broken sample as a picture of 8 bits.
    var picture: Picture?

    struct Picture: Hashable {
      var after: Int?
      var isBroken: Bool
      /// The norm of its perturbation, the attack's.
      var size: Double
    }
  }

  struct Entry {
    var attack: String
    var outcomes: [Outcome]
    var seconds: Double
  }

  private let stream: MetricStream
  private let known: [Record]

  /// Starts the file anew or reads what it holds, up to the first damaged line.
  /// - Throws: `InputError` if it cannot be read or written.
  init(at url: URL, resumes: Bool, warn: (String) -> Void) throws(InputError) {
    let isThere = resumes && FileManager.default.fileExists(atPath: url.path)
    let rows = isThere ? try MetricStream.read(url, warn: warn) : []
    known = Array(
      rows.indices.prefix { rows[$0]["unit"]?.integer == $0 && Entry(rows[$0]) != nil }.map { rows[$0] })
    if known.count < rows.count {
      warn("\(url.path): the batches from line \(known.count + 1) on are attacked again")
    }
    stream = try MetricStream(at: url, after: isThere ? known.count - 1 : nil, key: "unit")
  }

  /// The batch number `unit` of an earlier process; nil where that did not come so far.
  /// - Throws: `InputError` if it is about other samples.
  func entry(_ unit: Int, attack: String, places: [Int]) throws(InputError) -> Entry? {
    guard unit < known.count else { return nil }
    guard let entry = Entry(known[unit]), entry.attack == attack, entry.outcomes.map(\.place) == places else {
      throw InputError(
        "the journal does not belong to this run", at: "journal.jsonl, line \(unit + 1)",
        remedy: "start the run anew in another folder")
    }
    return entry
  }

  func append(_ entry: Entry, unit: Int) throws(InputError) {
    var record: Record = ["unit": .int(unit)]
    record.merge(entry.record)
    try stream.append(record)
  }
}

extension AttackJournal.Entry {
  /// Judges returned images by the model's answers to them.
  /// - Parameter judge: Logits `[n, classes]` of images `[n, C, H, W]`; asked about the pictures of broken ones.
  init(
    attack: any Attack, places: [Int], images: Tensor, samples: Samples, logits: Tensor, seconds: Double,
    judge: (Tensor) -> Tensor
  ) {
    let delta = images - samples.images
    func numbers(_ tensor: Tensor) -> [Double] { tensor.to(.float64).array(Double.self) }
    func counts(_ tensor: Tensor) -> [Int] { tensor.to(.int64).array(Int64.self).map { Int($0) } }
    let (after, broken) = (counts(logits.argmax(1)), counts(samples.broken(logits)))
    let isDefined = counts(logits.areDefined())
    let (linf, l2, l1) = (
      numbers(delta.perSample(.linf)), numbers(delta.perSample(.l2)), numbers(delta.perSample(.l1))
    )
    let l0 = counts((delta .!= 0).to(.float32).sumPerSample())
    let loss = numbers(logits.crossEntropy(samples.labels, reduction: .none))
    let (queries, gradients) = (counts(samples.ledger.forward), counts(samples.ledger.backward))
    let (vanished, undefined) = (counts(samples.ledger.vanished), counts(samples.ledger.undefined))
    self.attack = attack.name
    self.seconds = seconds
    outcomes = places.enumerated().map { row, place in
      AttackJournal.Outcome(
        place: place, after: isDefined[row] != 0 ? after[row] : nil, isBroken: broken[row] != 0, linf: linf[row],
        l2: l2[row], l1: l1[row], l0: l0[row], queries: queries[row], gradients: gradients[row], loss: loss[row],
        hasVanished: vanished[row] > 0, isUndefined: isDefined[row] == 0 || undefined[row] > 0)
    }
    let rows = broken.indices.filter { broken[$0] != 0 }
    guard !rows.isEmpty else { return }
    let chosen = Tensor(rows).to(samples.device)
    let (some, pictures) = (samples.selecting(chosen), GreyLevels.rounded(images.selecting(chosen)))
    let answers = judge(pictures)
    let (classes, deceives) = (counts(answers.argmax(1)), counts(some.broken(answers)))
    let (sizes, isAnswer) = (numbers((pictures - some.images).perSample(attack.norm)), counts(answers.areDefined()))
    for (position, row) in rows.enumerated() {
      outcomes[row].picture = .init(
        after: isAnswer[position] != 0 ? classes[position] : nil, isBroken: deceives[position] != 0,
        size: sizes[position])
    }
  }

  var record: Record {
    [
      "attack": .string(attack), "seconds": .double(seconds),
      "samples": .array(
        outcomes.map { outcome in
          var values: [Value] = [
            .int(outcome.place), outcome.after.map { .int($0) } ?? .null, .bool(outcome.isBroken),
            .double(outcome.linf), .double(outcome.l2), .double(outcome.l1), .int(outcome.l0),
            .int(outcome.queries),
            .int(outcome.gradients), .double(outcome.loss), .bool(outcome.hasVanished), .bool(outcome.isUndefined)
          ]
          if let picture = outcome.picture {
            values += [picture.after.map { .int($0) } ?? .null, .bool(picture.isBroken), .double(picture.size)]
          }
          return .array(values)
        })
    ]
  }

  /// Nil if the record is no entry.
  init?(_ record: Record) {
    guard let attack = record["attack"]?.string, let seconds = record["seconds"]?.number,
      let samples = record["samples"]?.array
    else { return nil }
    let outcomes = samples.compactMap { $0.array.flatMap(AttackJournal.Outcome.init) }
    guard outcomes.count == samples.count else { return nil }
    self.init(attack: attack, outcomes: outcomes, seconds: seconds)
  }
}

extension AttackJournal.Outcome {
  func size(_ norm: Norm) -> Double {
    switch norm {
    case .linf: linf
    case .l2: l2
    case .l1: l1
    }
  }

  fileprivate init?(_ values: [Value]) {
    guard [12, 15].contains(values.count), let place = values[0].integer, let isBroken = values[2].bool,
      let linf = values[3].number, let l2 = values[4].number, let l1 = values[5].number, let l0 = values[6].integer,
      let queries = values[7].integer, let gradients = values[8].integer, let hasVanished = values[10].bool,
      let isUndefined = values[11].bool
    else { return nil }
    self.init(
      place: place, after: values[1].integer, isBroken: isBroken, linf: linf, l2: l2, l1: l1, l0: l0,
      queries: queries, gradients: gradients, loss: values[9].number ?? .infinity, hasVanished: hasVanished,
      isUndefined: isUndefined)
    guard values.count == 15 else { return }
    guard let deceives = values[13].bool, let size = values[14].number else { return nil }
    picture = .init(after: values[12].integer, isBroken: deceives, size: size)
  }
}
