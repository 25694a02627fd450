import Foundation
import QuenchCryoEM
import QuenchSupport

extension FuzzTarget {
  /// Read, taken for a survey, put in another order and read again; what is not touched must come out as it went in.
  static let navigator = FuzzTarget(name: "navigator", seeds: [MicroscopySeeds.navigator]) { data in
    let navigator = try Navigator(data, name: "navigator")
    guard navigator.data == data else { throw Changed() }
    let targets = try navigator.targets()
    let stops = targets.items.reversed().map { Navigator.Stop(item: $0, remark: "p=0.5") }
    let ordered = try navigator.ordered(by: Array(stops))
    guard ordered.items.count == navigator.items.count else { throw Changed() }
  }

  static let imageMetadata = FuzzTarget(name: "mdoc", seeds: [MicroscopySeeds.metadata]) { data in
    guard try ImageMetadata(data, name: "mdoc").data == data else { throw Changed() }
  }

  static let mrc = FuzzTarget(name: "mrc", seeds: MicroscopySeeds.mrc) { data in
    _ = try MRCImage(ByteSource(data, name: "mrc")).pixels.max()
  }

  static let ctfResults = FuzzTarget(
    name: "ctf-results", seeds: [MicroscopySeeds.ctffind, MicroscopySeeds.star]
  ) { data in
    _ = try? CTFResults(data, name: "fits", isGrowing: true)
    _ = try CTFResults(data, name: "fits").measurements.count
  }

  static let plan = FuzzTarget(name: "plan", seeds: [MicroscopySeeds.plan]) { data in
    _ = try PlanFile(parsing: data, name: "plan")
  }

  /// A file was not written as it was read: a finding.
  private struct Changed: Error {}
}

/// Small valid files to begin with.
enum MicroscopySeeds {
  static let navigator = Data(
    """
    AdocVersion = 2.00
    LastSavedAs = D:\\grid1.nav

    [Item = 1-A]
    Color = 2
    StageXYZ = 0 0 44
    NumPts = 5
    Regis = 1
    Type = 2
    MapID = 100
    MapScaleMat = 2 0 0 -2
    MapWidthHeight = 400 400
    PtsX = -100 100 100 -100 -100
    PtsY = -100 -100 100 100 -100

    [Item = 2]
    Color = 0
    StageXYZ = 12.5 12.25 44
    NumPts = 1
    Regis = 1
    Type = 0
    Note = rank=3 p=0.5 | edge
    GroupID = 7
    DrawnID = 100
    Acquire = 1
    HoleArray = 3 3
    SkipHoles = 1 1
    PtsX = 12.5
    PtsY = 12.25

    [Item = 3]
    StageXYZ = 14 12 44
    NumPts = 1
    Regis = 1
    Type = 0
    PtsX = 14
    PtsY = 12

    """.replacingOccurrences(of: "\n", with: "\r\n").utf8)

  static let metadata = Data(
    """
    PixelSpacing = 1.35
    ImageFile = grid1.mrc

    [T = SerialEM: Digitized on Titan]

    [ZValue = 0]
    StagePosition = 12.5 -300.25
    StageZ = 44.1
    Defocus = -1.2
    SubFramePath = \\\\server\\frames\\a.tif
    DateTime = 25-Mar-21 17:00:46
    NavigatorLabel = 101

    """.utf8)

  static let ctffind = Data(
    """
    # Input file: /data/a_00017en-a.mrc ; Number of micrographs: 1
    1.000000 12345.67 12001.23 45.20 0.000000 0.153 3.612494

    """.utf8)

  static let star = Data(
    """
    data_optics

    loop_
    _rlnOpticsGroupName #1
    'optics group 1'

    data_micrographs

    loop_
    _rlnMicrographName #1
    _rlnCtfMaxResolution #2
    Micrographs/a_00001en-a.mrc 3.61
    Micrographs/a_00002en-a.mrc inf # comment

    """.utf8)

  static let plan = Data("order,name,predicted_ctf,p_good\n1,a_00001en-a,4.2,0.91\n2,b,,\n".utf8)

  /// A float image of 3 x 2 pixels, and one of unsigned bytes in big-endian order with an extended header.
  static let mrc: [Data] = [
    MRCImage(width: 3, height: 2, pixels: [1, -2, 3.5, 4, 5, 6], pixelSize: 1.25).encoded(label: "seed"),
    {
      var data = Data(count: 1024)
      for (word, value) in [(1, 3), (2, 2), (3, 1), (4, 0), (24, 4)] {
        data.replaceSubrange(4 * (word - 1)..<4 * word, with: Seeds.big(value, 4))
      }
      data.replaceSubrange(208..<216, with: Data("MAP ".utf8) + Data([0x11, 0x11, 0, 0]))
      return data + Data(count: 4) + Data([1, 2, 3, 4, 5, 250])
    }()
  ]
}
