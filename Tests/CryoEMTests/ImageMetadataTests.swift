import Foundation
import QuenchSupport
import Testing

@testable import QuenchCryoEM

@Suite("A metadata file") struct ImageMetadataTests {
  static let text = """
    PixelSpacing = 1.35
    Voltage = 300
    ImageFile = X:\\Krios\\grid1.mrc
    ImageSize = 5760 4092

    [T = SerialEM: Digitized on Titan]

    [T = Tilt axis angle = 85.3]

    [ZValue = 0]
    TiltAngle = 0.01
    StagePosition = 12.5 -300.25
    StageZ = 44.1
    Magnification = 105000
    PixelSpacing = 0.83
    Defocus = -1.2
    ExposureDose = 50.2
    SubFramePath = \\\\server\\frames\\Mar25_17.00.46.tif
    DateTime = 25-Mar-21 17:00:46  
    NavigatorLabel = 101
    UnknownKey = 7 8

    [ZValue = 1]
    DateTime = 14-Apr-2024  17:54:24
    Defocus = NaN

    """

  @Test("gives frames with what is known of them") func frames() throws {
    let file = try ImageMetadata(Data(Self.text.utf8), name: "a.mdoc")
    #expect(file.imageFile == "grid1.mrc")
    let frame = file.frames[0]
    #expect(frame.navigatorLabel == "101" && frame.movie == "Mar25_17.00.46.tif")
    #expect(frame.stage == StagePosition(x: 12.5, y: -300.25, z: 44.1))
    #expect(frame.pixelSize == 0.83 && frame.defocus == -1.2 && frame.exposureDose == 50.2)
    #expect(frame.date == Date(timeIntervalSince1970: 1_616_691_646))
    #expect(file.frames[1].date == Date(timeIntervalSince1970: 1_713_117_264))
    #expect(file.frames[1].defocus == nil)
    #expect(
      file.warnings == [
        "a.mdoc, line 25: Defocus has a wrong value (expected 1 finite number, found NaN); left out"
      ])
    #expect(file.data == Data(Self.text.utf8))
  }

  @Test("passes over a bracket that vendors lose, and takes frame sets and montages") func variants() throws {
    for header in ["ZValue = 0]", "[FrameSet = 0]", "[MontSection = 0]"] {
      let file = try ImageMetadata(Data("Voltage = 300\n\(header)\nTiltAngle = 1\n".utf8), name: "a.mdoc")
      #expect(file.frames.map(\.index) == [0])
    }
  }

  @Test("refuses what has no images, and an image without a number") func errors() {
    func error(_ text: String) -> String {
      do { _ = try ImageMetadata(Data(text.utf8), name: "a.mdoc") } catch { return "\(error)" }
      return "no error"
    }
    #expect(error("Voltage = 300\n").hasPrefix("a.mdoc: the metadata file has no image in it"))
    #expect(
      error("[ZValue = x]\n")
        == "a.mdoc, line 1: an image's section has no number (expected [ZValue = 0], found [ZValue = x])")
  }

  @Test(
    "reads dates as SerialEM writes them",
    arguments: [
      ("1-Jan-70 0:00:00", nil), ("01-Jan-1970 00:00:00", 0), ("29-FEB-2024 23:59:59", 1_709_251_199),
      ("32-Mar-21 17:00:46", nil), ("25-Mrz-21 17:00:46", nil), ("25-Mar-21", nil), ("", nil)
    ] as [(String, Double?)]) func dates(_ text: String, _ seconds: Double?)
  {
    if text.hasPrefix("1-Jan-70") {
      #expect(Date(serialEM: text) == Date(timeIntervalSince1970: 3_155_760_000))
    } else {
      #expect(Date(serialEM: text)?.timeIntervalSince1970 == seconds)
    }
  }
}
