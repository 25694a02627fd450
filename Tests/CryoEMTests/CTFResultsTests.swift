import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A file of CTF fits") struct CTFResultsTests {
  static let ctffind = """
    # Output from CTFFind version 4.1.14, run on 2021-03-25 17:01:02
    # Input file: /data/job/21mar25a_00017en-a.mrc ; Number of micrographs: 1
    # Pixel size: 0.830 Angstroms ; acceleration voltage: 300.0 keV
    # Columns: #1 - micrograph number; #2 - defocus 1 [Angstroms]; ...
    1.000000 12345.67 12001.23 45.20 0.000000 0.153 3.612494

    """

  static let star = """
    # version 30001

    data_optics

    loop_
    _rlnOpticsGroupName #1
    _rlnVoltage #2
    'optics group 1' 300.0

    # version 30001

    data_micrographs

    loop_
    _rlnCtfMaxResolution #1
    _rlnMicrographName #2
    _rlnCtfFigureOfMerit #3
     3.61 MotionCorr/job002/Micrographs/a_00001en-a.mrc 0.15
      inf MotionCorr/job002/Micrographs/a_00002en-a.mrc 0.01

    """

  private func read(_ text: String, isGrowing: Bool = false) throws -> [CTFMeasurement] {
    try CTFResults(Data(text.utf8), name: "fits", isGrowing: isGrowing).measurements
  }

  private func error(_ text: String) -> String {
    do { _ = try read(text) } catch { return "\(error)" }
    return "no error"
  }

  @Test("of CTFFIND gives the micrograph's name and resolution") func ctffind() throws {
    #expect(
      try read(Self.ctffind) == [
        CTFMeasurement(name: "21mar25a_00017en-a", fit: .resolution(3.612494), figureOfMerit: 0.153, line: 5)
      ])
    let failed = Self.ctffind.replacingOccurrences(of: "3.612494", with: "inf")
    #expect(try read(failed).map(\.fit) == [.failed])
    let stack = Self.ctffind.replacingOccurrences(of: "micrographs: 1", with: "micrographs: 2")
    #expect(try read(stack).map(\.name) == ["21mar25a_00017en-a#1"])
    #expect(error(Self.ctffind + "2.0 1 2 3\n").hasPrefix("fits, line 6: not a row of CTFFIND's output"))
    #expect(try read(Self.ctffind + "2.0 1 2 3", isGrowing: true).count == 1)
  }

  @Test("of RELION goes by labels, not by places") func star() throws {
    #expect(
      try read(Self.star) == [
        CTFMeasurement(name: "a_00001en-a", fit: .resolution(3.61), figureOfMerit: 0.15, line: 18),
        CTFMeasurement(name: "a_00002en-a", fit: .failed, figureOfMerit: 0.01, line: 19)
      ])
    let tables = try STARFile(Data(Self.star.utf8), name: "s").tables
    #expect(tables.map(\.name) == ["optics", "micrographs"])
    #expect(tables[0].rows.map(\.values) == [["optics group 1", "300.0"]])
  }

  @Test("that is being written is read up to its last whole line") func growing() throws {
    for count in 0...Self.star.utf8.count {
      let part = String(decoding: Self.star.utf8.prefix(count), as: UTF8.self)
      #expect(try read(part, isGrowing: true).count <= 2)
    }
  }

  @Test("that is being written gives what can be read beside rows that cannot") func odd() throws {
    let star = "data_micrographs\nloop_\n_rlnMicrographName #1\n_rlnCtfMaxResolution #2\n"
    let results = try CTFResults(
      Data((star + "a/mic_1.mrc 4.1 extra\na/mic_2.mrc <NA>\na/mic_3.mrc 4.3\n").utf8), name: "fits",
      isGrowing: true)
    #expect(results.measurements.map(\.name) == ["mic_3"])
    #expect(
      results.warnings == [
        "fits, line 5: a row of data_micrographs has another number of values than labels (expected 2, found 3); left out",
        "fits, line 6: _rlnCtfMaxResolution is no number (expected Å, found '<NA>'); left out"
      ])
    let text = try CTFResults(
      Data("# Input file: b/mic_9.mrc ; Number of micrographs: 2\n1 2 3\n2 9 9 4 0 0.1 5.5\n".utf8), name: "fits",
      isGrowing: true)
    #expect(text.measurements.map(\.name) == ["mic_9#2"] && text.warnings.count == 1)
  }

  @Test("of movies goes by the movies' names, and a table without resolutions says so") func movies() throws {
    #expect(
      try read("data_movies\nloop_\n_rlnMicrographMovieName\n_rlnCtfMaxResolution\nm/a_EER.eer 3.5\n").map(\.name)
        == ["a_EER"])
    let none = try CTFResults(
      Data("data_micrographs\nloop_\n_rlnMicrographName\n_rlnCtfFigureOfMerit\na.mrc 0.1\n".utf8), name: "fits",
      isGrowing: true)
    #expect(
      none.measurements.isEmpty
        && none.warnings == [
          "fits: data_micrographs has no _rlnCtfMaxResolution: there is nothing to take from it"
        ])
  }

  @Test("may be a table of one row without loop_") func pairs() throws {
    let text = "data_\n_rlnMicrographName a.mrc\n_rlnCtfMaxResolution 4.5 # comment\n"
    #expect(try read(text) == [CTFMeasurement(name: "a", fit: .resolution(4.5), line: 3)])
  }

  @Test("names the line of what is wrong") func errors() {
    #expect(
      error(Self.star + " 3.0 b.mrc\n")
        == "fits, line 20: a row of data_micrographs has another number of values than labels (expected 3, found 2)"
    )
    #expect(
      error(Self.star + " x b.mrc 1\n")
        == "fits, line 20: _rlnCtfMaxResolution is no number (expected Å, found 'x')")
    #expect(error("data_a\nloop_\n_x #1\n1\n").hasPrefix("fits: no table has CTF fits"))
    #expect(error("data_a\nvalue\n").hasPrefix("fits, line 2: a line of data_a has no label"))
    #expect(error("data_a\nloop_\n_x\n_x\n").hasPrefix("fits, line 4: a label occurs twice in data_a"))
    #expect(error("data_a\nloop_\n_x\n'1\n").hasPrefix("fits, line 4: a quotation has no end"))
    #expect(error("hello\n").hasPrefix("fits, line 1: not a row of CTFFIND's output"))
  }

  @Test(
    "names a micrograph without folders and extensions",
    arguments: [
      ("a/b/c_00001en-a.mrc", "c_00001en-a"), ("C:\\x\\y.frames.tif", "y.frames"), ("y_ctf.mrc.txt", "y_ctf"),
      (".mrc", ".mrc")
    ]) func names(_ path: String, _ name: String)
  { #expect(path.lastPathPart.withoutExtension == name) }
}
