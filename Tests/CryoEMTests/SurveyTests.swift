import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A survey") struct SurveyTests {
  @Test("finds a hole's parents in its name, with versions or without")
  func parents() throws {
    let name = try #require(HoleName("21mar02c_grid1c_00008gr_00011sq_v01_00002hl_v01_00017en-a"))
    #expect(name.grid == "21mar02c_grid1c")
    #expect(name.tile == "21mar02c_grid1c_00008gr")
    #expect(name.square == "21mar02c_grid1c_00008gr_00011sq")
    #expect(name.patch == "21mar02c_grid1c_00008gr_00011sq_v01_00002hl")
    #expect(name.isAligned)
    let bare = try #require(HoleName("a_1gr_2sq_3hl_4en"))
    #expect([bare.grid, bare.tile, bare.square, bare.patch] == ["a", "a_1gr", "a_1gr_2sq", "a_1gr_2sq_3hl"])
    #expect(!bare.isAligned)
  }

  @Test("takes the version after a square for the patch's name, and one after a patch for the hole's")
  func versions() throws {
    let survey = try Survey(
      leginon: "s_00001gr_00001sq_v01_00002hl_00001en-a", "s_00001gr_00001sq_v02_00002hl_00001en-a",
      "s_00001gr_00001sq_v02_00002hl_v01_00005en-a")
    #expect(survey.squares.count == 1)
    #expect(survey.patches.map(\.holes.count) == [1, 2])
  }

  @Test(
    "knows no parents of other conventions' names",
    arguments: [
      "", "FoilHole_12345_Data_678.mrc", "a_1gr_2sq_3hl_4en-b", "_1gr_2sq_3hl_4en-a", "a_1gr_2sq_3hl_v_4en-a",
      "a_1gr_2sq_xhl_4en", "a_1gr_2sq_3hl_4fa", "a_1gr_2sq_3hl", "1gr_2sq_3hl_4en"
    ])
  func otherConventions(_ name: String) { #expect(HoleName(name) == nil) }

  @Test("sorts tiles, squares and patches by name and keeps the order of a patch's holes")
  func order() throws {
    let survey = try Survey(
      leginon: "s_2gr_1sq_1hl_9en-a", "s_10gr_1sq_1hl_7en-a", "s_10gr_1sq_1hl_3en-a", "s_10gr_1sq_0hl_1en-a")
    #expect(
      survey.holes.map(\.name) == [
        "s_10gr_1sq_0hl_1en-a", "s_10gr_1sq_1hl_7en-a", "s_10gr_1sq_1hl_3en-a", "s_2gr_1sq_1hl_9en-a"
      ])
    #expect(survey.patches.map(\.holes) == [0..<1, 1..<3, 3..<4])
    #expect(survey.squares.map(\.parts) == [0..<2, 2..<3])
    #expect(survey.tiles.map(\.parts) == [0..<1, 1..<2])
    #expect((0..<4).map { survey.region(of: $0, .square) } == [0, 0, 0, 1])
  }

  @Test("has a level above tiles for several grids")
  func grids() throws {
    let survey = try Survey(leginon: "b_1gr_1sq_1hl_1en", "a_2gr_1sq_1hl_1en", "a_1gr_1sq_1hl_1en")
    #expect(survey.grids.map(\.name) == ["a", "b"])
    #expect(survey.grids.map(\.parts) == [0..<2, 2..<3])
    #expect((0..<3).map { survey.region(of: $0, .grid) } == [0, 0, 1])
  }

  @Test("hides measurements from planners")
  func hidden() throws {
    let survey = try Survey(leginon: "a_1gr_1sq_1hl_1en").measuring([.resolution(3)])
    #expect(survey.withoutMeasurements.holes[0].fit == .unmeasured)
    #expect(survey.goodCount(threshold: 6) == 1)
  }

  @Test("counts a fit at the threshold as good, and failed ones never")
  func good() {
    #expect(CTFFit.resolution(6).isGood(threshold: 6))
    #expect(!CTFFit.resolution(6.01).isGood(threshold: 6))
    #expect(!CTFFit.failed.isGood(threshold: 1e9))
    #expect(CTFFit.failed.clippedResolution == 20)
    #expect(CTFFit(fileValue: -1) == .unmeasured)
    #expect(CTFFit(fileValue: 100_000) == .failed)
    #expect([0, -2, .nan].allSatisfy { CTFFit(fileValue: $0) == nil })
  }
}

@Suite("A survey file") struct SurveyFileTests {
  static let hole = "s_1gr_1sq_1hl_1en-a"

  func parse(_ text: String) throws -> SurveyFile { try SurveyFile(parsing: Data(text.utf8), name: "s.csv") }

  @Test("is read with failed and missing fits, other images passed over and raw exposures once")
  func reads() throws {
    let file = try parse(
      """
      s_1gr,10,20,-1,-1
      s_1gr_1sq_v01,1,2,-1,-1
      s_1gr_1sq_1fa,1,2,-1,-1\r
      s_1gr_1sq_1hl_1en,1.5,-2,-1,-1
      s_1gr_1sq_1hl_1en-a,1.5,-2,3.25,0.9
      s_1gr_1sq_1hl_2en-a,1,2,100000,-0.016

      s_1gr_1sq_1hl_3en,1,2,-1,-1
      """)
    #expect(file.survey.holes.map(\.fit) == [.resolution(3.25), .failed, .unmeasured])
    #expect(file.survey.holes[0].offset == SIMD2<Double>(1.5, -2))
    #expect(file.survey.holes.map(\.confidence) == [0.9, -0.016, nil])
    #expect(file.passedOver == 3 && file.rawExposures == 1)
  }

  @Test("may have a header and free names")
  func headed() throws {
    let file = try parse("name,tile,square,patch,ctf,stage_x,stage_y\nA 1,T,S,P,4.5,1,2\nA 2,T,S,P,,,\n")
    #expect(file.survey.holes.map(\.fit) == [.resolution(4.5), .unmeasured])
    let stages: [SIMD2<Double>?] = [SIMD2(1, 2), nil]
    #expect(file.survey.holes.map(\.stage) == stages)
  }

  @Test(
    "may be separated by semicolons or tabs, with decimal commas, quoted names and columns of other programs",
    arguments: [
      "name;tile;square;patch;ctf;ice_thickness\nh1;T;S;P;4,5;20\n\"h, 2\";T;S;P;;21\n",
      "name\ttile\tsquare\tpatch\tctf\tdose\nh1\tT\tS\tP\t4.5\t20\n\"h, 2\"\tT\tS\tP\t\t21\n",
      "Name,Tile,Square,Patch,CTF,time\nh1,T,S,P,4.5,1\n\"h, 2\",T,S,P,-1,2\n"
    ])
  func separators(_ text: String) throws {
    let file = try parse(text)
    #expect(file.survey.holes.map(\.name) == ["h1", "h, 2"])
    #expect(file.survey.holes.map(\.fit) == [.resolution(4.5), .unmeasured])
    #expect(file.warnings.count == 1 && file.warnings[0].contains("is left out"))
    #expect(try parse(SurveyFile.table(of: file.survey)).survey == file.survey)
  }

  @Test("without a header may be separated by semicolons as well") func headerless() throws {
    #expect(try parse("\(Self.hole);1,5;2;3,41;0,9\n").survey.holes[0].fit == .resolution(3.41))
  }

  @Test("comes back from its own text")
  func roundTrip() throws {
    let survey = try parse("\(Self.hole),0.1,-2.25,3.0125,0.5\ns_1gr_1sq_1hl_2en-a,1,2,100000,-0.1\n").survey
    #expect(try parse(SurveyFile.text(of: survey)).survey == survey)
  }

  @Test(
    "names file, line and mistake",
    arguments: [
      ("", "s.csv: the survey is empty"),
      ("s_1gr,1,2,-1,-1\n", "s.csv: the survey is empty"),
      ("\(hole),1,2,4\n", "s.csv, line 1: a line has another number of columns"),
      ("\(hole),1,2,4,1\n\nFoil_1,1,2,4,1\n", "s.csv, line 3: the name follows another convention"),
      ("\(hole),1,2,nan,1\n", "s.csv, line 1: the CTF is no number"),
      ("\(hole),1,2,-3,1\n", "s.csv, line 1: the CTF is no resolution"),
      ("\(hole),1,2,0,1\n", "s.csv, line 1: the CTF is no resolution"),
      ("\(hole),x,2,4,1\n", "s.csv, line 1: the x offset is no number"),
      ("\(hole),1,2,4,inf\n", "s.csv, line 1: the confidence is no number"),
      ("\(hole),1,2,4,1\n\(hole),1,2,4,1\n", "s.csv, line 2: the hole '\(hole)' occurs twice"),
      ("name,tile,square\na,b,c\n", "s.csv, line 1: the column 'patch' is missing"),
      ("name,tile,square,patch,cft\n", "s.csv, line 1: unknown column 'cft'"),
      ("name,tiles,square,patch\n", "s.csv, line 1: unknown column 'tiles'"),
      ("name,tile,square,patch\n\"a,b,c,d\n", "s.csv, line 2: a quotation has no end"),
      ("name,tile,square,patch\na,b,c\n", "s.csv, line 2: a line has another number of columns than the header")
    ])
  func mistakes(_ text: String, _ message: String) {
    let error = inputError { try parse(text) }
    #expect(error?.description.hasPrefix(message) ?? false, "\(error?.description ?? "")")
  }

  @Test("that is no text is refused")
  func binary() {
    #expect(
      inputError { try SurveyFile(parsing: Data([0xFF, 0xFE]), name: "s") }?.problem == "this is not a text file")
  }
}

@Suite("A prediction file") struct PredictionFileTests {
  func parse(_ text: String) throws -> PredictionFile {
    try PredictionFile(parsing: Data(text.utf8), name: "p.txt")
  }

  @Test("holds resolutions or probabilities of classes")
  func reads() throws {
    #expect(try parse("a 4.17\nb 11.67\n").entries.map(\.prediction) == [.resolution(4.17), .resolution(11.67)])
    let scores = try parse("a 0.50 0.50\nb 0.2 0.8").entries.map(\.prediction)
    #expect(scores == [.classes([0.5, 0.5]), .classes([0.2, 0.8])])
    #expect(scores.map { $0.isGood(threshold: 6) } == [true, false])
    #expect(scores[1].probabilityOfGood == 0.2)
  }

  @Test(
    "names holes with blanks in quotes or between other separators, and may have a header",
    arguments: [
      "\"Sq 12 (good)\" 4.5\nb 6\n", "Sq 12 (good)\t4.5\nb\t6\n", "name;predicted\nSq 12 (good);4,5\nb;6\n",
      "hole,ctf\nSq 12 (good), 4.5\nb, 6\n"
    ])
  func blanks(_ text: String) throws {
    let file = try parse(text)
    #expect(file.entries.map(\.hole) == ["Sq 12 (good)", "b"])
    #expect(file.entries.map(\.prediction) == [.resolution(4.5), .resolution(6)])
    let again = try parse(PredictionFile.text(file.entries.map(\.hole), file.entries.map(\.prediction)))
    #expect(again.entries.map(\.hole) == file.entries.map(\.hole))
  }

  @Test(
    "names file, line and mistake",
    arguments: [
      ("", "p.txt: the file holds no predictions"),
      ("a\n", "p.txt, line 1: a line has another number of values"),
      ("a 1\nb 0.5 0.5\n", "p.txt, line 2: a line has another number of values"),
      ("a nan\n", "p.txt, line 1: the prediction is no number"),
      ("a -1\n", "p.txt, line 1: the prediction is no resolution"),
      ("a 0.5 0.9\n", "p.txt, line 1: these are not the probabilities of classes"),
      ("a 1\nb 2\na 3\n", "p.txt, line 3: the hole 'a' is predicted twice")
    ])
  func mistakes(_ text: String, _ message: String) {
    let error = inputError { try parse(text) }
    #expect(error?.description.hasPrefix(message) ?? false, "\(error?.description ?? "")")
  }

  @Test("must speak of every hole, and of no other unless that is allowed")
  func coverage() throws {
    let survey = try Survey(leginon: "a_1gr_1sq_1hl_1en", "a_1gr_1sq_1hl_2en")
    let missing = inputError { try survey.predicting(try parse("a_1gr_1sq_1hl_1en 4\nx 5\n")) }
    #expect(missing?.description.hasPrefix("p.txt: 1 of 2 holes have no prediction") ?? false)
    #expect(missing?.found == "none for 'a_1gr_1sq_1hl_2en'")
    let text = "x 1\na_1gr_1sq_1hl_2en 5\na_1gr_1sq_1hl_1en 4\n"
    let stranger = inputError { try survey.predicting(try parse(text)) }
    #expect(
      stranger?.description.hasPrefix(
        "p.txt, line 1: 1 of 3 predictions are for holes that the survey does not have")
        ?? false)
    let predicted = try survey.predicting(try parse(text), allowsStrangers: true)
    #expect(predicted.holes.map(\.prediction) == [.resolution(4), .resolution(5)])
    #expect(PredictionFile.text(of: predicted) == "a_1gr_1sq_1hl_1en 4.00\na_1gr_1sq_1hl_2en 5.00\n")
  }
}

@Suite("A file of time stamps") struct TimestampFileTests {
  func parse(_ text: String) throws -> TimestampFile { try TimestampFile(parsing: Data(text.utf8), name: "t.csv") }

  @Test("counts seconds across days and leap days")
  func seconds() throws {
    let entries = try parse("a,2024-02-28 23:59:59\nb,2024-03-01 00:00:01\n").entries
    #expect(entries[1].seconds - entries[0].seconds == 86_402)
    #expect(TimestampFile.text(of: entries) == "a,2024-02-28 23:59:59\nb,2024-03-01 00:00:01\n")
  }

  @Test(
    "names the line that is no time",
    arguments: [
      "a", "a,2021-02-30 10:00:00", "a,2021-13-01 10:00:00", "a,2021-01-01", "a,21-01-01 10:00:00",
      "a,2021-01-01 10:61:00", ",2021-01-01 10:00:00"
    ])
  func mistakes(_ line: String) {
    let error = inputError { try parse("a,2021-01-01 10:00:00\n\(line)\n") }
    #expect(error?.description.hasPrefix("t.csv, line 2: this is no time stamp") ?? false)
  }
}

@Suite("The real survey", .enabled(if: RealData.isPresent, RealData.absence)) struct RealSurveyTests {
  @Test("has the published counts and reference order")
  func counts() throws {
    let (train, val) = (try RealData.survey("train"), try RealData.survey("val"))
    func sizes(_ survey: Survey) -> [Int] {
      [survey.count, survey.tiles.count, survey.squares.count, survey.patches.count]
    }
    #expect(sizes(train) == [1197, 6, 9, 60])
    #expect(sizes(val) == [2341, 10, 16, 112])
    #expect([4, 5, 6].map { train.goodCount(threshold: $0) } == [256, 440, 540])
    #expect([4, 5, 6].map { val.goodCount(threshold: $0) } == [329, 631, 795])
    #expect(val.holes[0].name == "21mar02c_grid1c_00024gr_00016sq_v01_00002hl_v01_00005en-a")
    #expect(val.holes[1000].name == "21mar02c_grid1c_00029gr_00013sq_v01_00002hl_v01_00007en-a")
    #expect(val.holes[2340].name == "21mar02c_grid1c_00036gr_00014sq_v01_00005hl_v01_00004en-a")
    #expect(val.holes[0].fit == .resolution(3.612494))
    #expect([train, val].map { $0.holes.count { $0.fit == .failed } } == [16, 36])
  }

  @Test("is a list of all the session's images from which holes are told apart")
  func wholeList() throws {
    let file = try SurveyFile(contentsOf: RealData.folder.appending(path: "target_CTF_Y1.csv"))
    #expect(file.survey.holes.count { $0.fit.isMeasured } == 3546)
    #expect(file.passedOver == 64 + 37 + 242 + 236 + 197)
    #expect(file.passedOver + file.rawExposures + file.survey.count == 8340)
    #expect(file.survey.grids.map(\.name) == ["21mar02c_grid1", "21mar02c_grid1c"])
  }
}
