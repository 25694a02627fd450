import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchSmoothing

private func images(_ count: Int) throws -> ImageDataset {
  var synthetic = Synthetic()
  (synthetic.testCount, synthetic.side, synthetic.channels) = (count, 8, 1)
  let block = try synthetic.make(.test)
  return ImageDataset(
    name: "made", block: block, classNames: (0..<10).map { "\($0)" }, statistics: block.statistics(),
    fingerprint: "none")
}

/// Brightness decides: images near the threshold are classified now so, now so.
private func byBrightness(_ images: Tensor) -> Tensor {
  let bright = images.mean([1, 2, 3])
  return Tensor.stacked([(bright - 0.5) * 10, (0.5 - bright) * 10], 1)
}

@Suite("A certification") struct CertificationRunTests {
  private func rows(
    _ certify: Certify, batchSize: Int, _ indices: [Int], _ dataset: ImageDataset
  ) throws -> [CertifiedRow] {
    var run = CertificationRun(certify, seed: 5)
    run.batchSize = batchSize
    var rows: [CertifiedRow] = []
    try run(indices, of: dataset, classify: byBrightness) { result in
      var row = CertifiedRow(result, label: 0, seed: 5, version: "v")
      row.seconds = 0
      // How many copies were asked for beyond those that decided is the one thing that batches change.
      row.details[CertifiedRow.detailColumns.firstIndex(of: "queries") ?? 0] = ""
      rows.append(row)
    }
    return rows
  }

  @Test(
    "Certificates and counts do not depend on the batch size, nor on who does which image", arguments: [1, 7, 400])
  func batchSizes(batchSize: Int) throws {
    let dataset = try images(6)
    for certify in [
      try Certify(fixed: 60, sigma: 1, selection: 10, failureProbability: 0.01),
      try Certify(radii: [0, 0.2, 0.5], atMost: 300, sigma: 1, selection: 10, failureProbability: 0.01)
    ] {
      let whole = try rows(certify, batchSize: 64, Array(0..<6), dataset)
      #expect(whole.map(\.index) == Array(0..<6))
      #expect(try rows(certify, batchSize: batchSize, Array(0..<6), dataset) == whole)
      let odd = try rows(certify, batchSize: batchSize, [1, 3, 5], dataset)
      #expect(odd == [whole[1], whole[3], whole[5]])
    }
  }

  @Test("Every copy that is classified is counted")
  func counts() throws {
    let certify = try Certify(radii: [0.2], atMost: 300, sigma: 1, selection: 10, failureProbability: 0.01)
    var classified = 0
    var counted = 0
    let run = CertificationRun(certify, seed: 5)
    func classify(_ images: Tensor) -> Tensor {
      classified += images.size(0)
      return byBrightness(images)
    }
    try run(0..<6, of: try images(6), classify: classify) { counted += $0.attempt.queries }
    #expect(counted == classified && counted >= 60)
  }

  @Test("Copies that pick a class and those that bound its probability are asked for together")
  func together() throws {
    let certify = try Certify(fixed: 60, sigma: 1, selection: 10, failureProbability: 0.01)
    var sizes: [Int] = []
    func classify(_ images: Tensor) -> Tensor {
      sizes.append(images.size(0))
      return byBrightness(images)
    }
    for (batchSize, expected) in [(100, [70]), (40, [40, 30])] {
      var run = CertificationRun(certify, seed: 5)
      (run.batchSize, sizes) = (batchSize, [])
      try run(0..<1, of: try images(1), classify: classify) { #expect($0.attempt.trials == 60) }
      #expect(sizes == expected)
    }
  }

  @Test("No copy is asked for in vain while there are images to fill the batch with, and every batch is full")
  func nothingInVain() throws {
    let certify = try Certify(radii: [0, 0.2], atMost: 300, sigma: 1, selection: 10, failureProbability: 0.01)
    var run = CertificationRun(certify, seed: 5)
    run.batchSize = 16
    var (sizes, attempts): ([Int], [Certify.Attempt]) = ([], [])
    func classify(_ images: Tensor) -> Tensor {
      sizes.append(images.size(0))
      return byBrightness(images)
    }
    try run(0..<40, of: try images(40), classify: classify) { attempts.append($0.attempt) }
    #expect(attempts.count == 40 && Set(attempts.map(\.trials)).count > 3)
    // The last 16 may be the ones that fill a batch which no other image fills.
    #expect(attempts.prefix(24).allSatisfy { $0.queries == 10 + $0.trials })
    #expect(sizes.dropLast().allSatisfy { $0 == 16 })
  }

  @Test("Equal scores go to the lowest class, rows with NaN to none")
  func labels() {
    let scores = Tensor([1, 1, 0, 0, .nan, 1, 0, 2, 2] as [Float], shape: [3, 3])
    #expect(CertificationRun.labels(scores) == [0, -1, 1])
  }
}

@Suite("The table of certified images") struct CertifiedTableTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func row(_ label: Int, _ predicted: Int?, _ radius: Double, index: Int = 0) -> CertifiedRow {
    CertifiedRow(index: index, label: label, predicted: predicted, radius: radius, seconds: 61.5)
  }

  @Test(
    "A radius is rounded down, never up, and keeps what six decimals can say",
    arguments: [
      (0.2499081699, "0.249908"), (0.7996443787, "0.799644"), (0.25, "0.250000"), (0.29, "0.290000"),
      (0.1 + 0.2, "0.300000"), (0.3, "0.300000"), (0, "0.000000"), (1.5992887574, "1.599288"),
      (0.999999999, "0.999999")
    ]) func rounding(radius: Double, text: String)
  {
    #expect(CertifiedRow.text(radius) == text)
    #expect(Double(text).map { $0 <= radius } == true)
  }

  @Test("A line holds the six columns of the public code first")
  func line() {
    #expect(row(4, 4, 0.25, index: 7).line == "7\t4\t4\t0.250000\t1\t0:01:01.500000")
    #expect(row(7, nil, 0).line == "0\t7\t-1\t0.000000\t0\t0:01:01.500000")
  }

  @Test("Certified accuracy counts a radius that is met, wrong classes and abstentions as wrong")
  func accuracy() {
    let rows = [row(3, 3, 0.378), row(7, nil, 0), row(4, 4, 0.25), row(7, 2, 0.6), row(1, 1, 0.751)]
    #expect(
      [0, 0.25, 0.2500001, 0.5, 0.75].map { rows.certifiedAccuracy(at: $0).fraction } == [0.6, 0.6, 0.4, 0.2, 0.2])
    #expect(abs(rows.averageCertifiedRadius - (0.378 + 0.25 + 0.751) / 5) < 1e-12)
    #expect(
      agrees(
        Accuracy(correct: 300, count: 500).certifiedLowerBound(
          certificateFailure: 0.001, failureProbability: 0.001),
        0.5906797666))
  }

  @Test("A table that is continued loses the line torn by a kill and nothing else")
  func resuming() throws {
    let url = folder / "certified.tsv"
    let table = try CertifiedTable(at: url, resumes: false)
    try table.append(row(1, 1, 0.5, index: 0))
    try table.append(row(2, nil, 0, index: 1))
    let whole = try Data(contentsOf: url)
    try (whole + Data("2\t3\t".utf8)).write(to: url)
    let continued = try CertifiedTable(at: url, resumes: true)
    #expect(continued.rows.map(\.index) == [0, 1])
    #expect(try Data(contentsOf: url) == whole)
    try continued.append(row(3, 3, 0.1, index: 2))
    #expect(try CertifiedTable.read(url).map(\.predicted) == [1, nil, 3])
  }

  @Test("Lines that end as in DOS are rows, and none is lost when the table is continued")
  func carriageReturns() throws {
    let url = folder / "certified.tsv"
    let table = try CertifiedTable(at: url, resumes: false)
    for index in 0..<3 { try table.append(row(1, 1, 0.5, index: index)) }
    let text = String(decoding: try Data(contentsOf: url), as: UTF8.self)
    try Data(text.replacing("\n", with: "\r\n").utf8).write(to: url)
    #expect(try CertifiedTable.read(url) == table.rows)
    let continued = try CertifiedTable(at: url, resumes: true)
    #expect(continued.rows == table.rows)
    try continued.append(row(2, 2, 0.5, index: 3))
    #expect(try CertifiedTable.read(url).map(\.index) == [0, 1, 2, 3])
  }

  @Test("What is no table is not begun anew over, and a torn header is")
  func tornHeader() throws {
    let url = folder / "certified.tsv"
    _ = try CertifiedTable(at: url, resumes: false)
    let header = try Data(contentsOf: url)
    try header.prefix(20).write(to: url)
    #expect(try CertifiedTable(at: url, resumes: true).rows.isEmpty)
    #expect(try Data(contentsOf: url) == header)
    try Data("my notes".utf8).write(to: url)
    #expect(throws: InputError.self) { try CertifiedTable(at: url, resumes: true) }
    #expect(try Data(contentsOf: url) == Data("my notes".utf8))
  }

  @Test("The public code's tables are read, with either form of time")
  func publicTables() throws {
    let url = folder / "cohen.tsv"
    try Data(
      "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.378\t1\t0:00:14.6\n20\t7\t-1\t0.0\t0\t15.2\n".utf8
    )
    .write(to: url)
    let rows = try CertifiedTable.read(url)
    #expect(
      rows.map(\.seconds) == [14.6, 15.2] && rows.map(\.predicted) == [3, nil] && rows.map(\.index) == [0, 20])
  }

  @Test("A line that is no row is refused by its number, another file by what is missing")
  func damaged() throws {
    let url = folder / "damaged.tsv"
    try Data("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\tx\t0.3\t1\t0:00:14\n".utf8).write(to: url)
    #expect {
      try CertifiedTable.read(url)
    } throws: { error in
      "\(error)" == "\(url.path), line 2: column predict cannot be read (expected a whole number, found 'x')"
    }
    try Data("a,b\n1,2\n".utf8).write(to: url)
    #expect(throws: InputError.self) { try CertifiedTable.read(url) }
  }
}
