import Foundation
import QuenchSupport
import TestSupport
import Testing

@testable import QuenchVision

@Suite("Pictures") struct DataPictureTests {
  private func decode(_ data: Data, channels: Int = 3, maxPixels: Int = 1_000_000) throws -> [UInt8] {
    try data.withUnsafeBytes { bytes in
      let picture = try Picture(decoding: bytes, name: "test", channels: channels, maxPixels: maxPixels)
      #expect((picture.width, picture.height, picture.channels) == (8, 6, channels))
      return Array(picture.data())
    }
  }

  /// First pixels and the sum of all, as Pillow 13.0's `convert` gives them.
  @Test(
    "decode to RGB as Pillow does",
    arguments: [
      (Sample.pngRGB, [0, 0, 0, 36, 0, 21, 72, 0, 42, 109, 0, 63], 18324),
      (Sample.pngGrey, [0, 0, 0, 13, 13, 13, 26, 26, 26, 40, 40, 40], 18339),
      (Sample.pngPalette, [127, 26, 85, 127, 26, 85, 127, 26, 85, 127, 26, 85], 18099),
      (Sample.pngAlpha, [0, 0, 0, 36, 0, 21, 72, 0, 42, 109, 0, 63], 18324),
      (Sample.png1Bit, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 19890),
      (Sample.jpegGrey, [1, 1, 1, 13, 13, 13, 27, 27, 27, 40, 40, 40], 18333)
    ] as [(Data, [UInt8], Int)])
  func rgb(_ file: Data, _ first: [UInt8], _ sum: Int) throws {
    let pixels = try decode(file)
    #expect(Array(pixels.prefix(12)) == first)
    #expect(pixels.reduce(0) { $0 + Int($1) } == sum)
  }

  /// Decoders may round the last bit of a JPEG differently.
  @Test(
    "decode lossy colour close to Pillow",
    arguments: [
      (Sample.jpegRGB, [0, 4, 3, 17, 10, 18, 52, 12, 38, 89, 11, 59], 18309),
      (Sample.jpegCMYK, [0, 0, 0, 38, 0, 20, 71, 0, 41, 109, 0, 61], 18319)
    ] as [(Data, [Int], Int)])
  func lossy(_ file: Data, _ first: [Int], _ sum: Int) throws {
    let pixels = try decode(file).map(Int.init)
    #expect(zip(pixels, first).allSatisfy { abs($0 - $1) <= 2 }, "\(pixels.prefix(12))")
    #expect(abs(pixels.reduce(0, +) - sum) < 144)
  }

  @Test("decode to one channel with ITU-R 601 luma")
  func luma() throws {
    let pixels = try decode(Sample.pngRGB, channels: 1)
    #expect(Array(pixels.prefix(8)) == [0, 13, 26, 40, 53, 67, 80, 93])
    #expect(pixels.reduce(0) { $0 + Int($1) } == 6113)
  }

  @Test("of 16 bits a sample are scaled to 8")
  func sixteenBits() throws {
    let expected = (0..<48).map { UInt8(($0 * 1300 * 255 + 32895) >> 16) }
    #expect(try decode(Sample.png16Bit, channels: 1) == expected)
  }

  @Test("tell their size without being decoded", arguments: [Sample.pngRGB, Sample.jpegRGB, Sample.jpegCMYK])
  func size(_ file: Data) throws {
    let size = try file.parse { (bytes) throws(InputError) in try Picture.size(of: bytes, name: "test") }
    #expect(size == (8, 6))
  }

  @Test(
    "cut short anywhere are an error and never a crash",
    arguments: [Sample.pngRGB, Sample.pngPalette, Sample.png16Bit, Sample.jpegRGB, Sample.jpegGrey, Sample.jpegCMYK]
  )
  func truncated(_ file: Data) {
    // Past the pixels a JPEG ends with a marker of two bytes that libjpeg supplies itself, with a warning.
    for length in 0..<file.count {
      #expect(throws: InputError.self, "\(length) of \(file.count) bytes") { try decode(file.prefix(length)) }
    }
  }

  @Test("with damaged bytes decode or are an error, and never crash")
  func mutated() {
    var random = SplitMix64(1)
    for file in [Sample.pngRGB, Sample.pngPalette, Sample.jpegRGB, Sample.jpegGrey, Sample.jpegCMYK] {
      for _ in 0..<300 {
        var damaged = file
        for _ in 0..<3 { damaged[Int.random(in: 0..<file.count, using: &random)] = UInt8(random.next() >> 56) }
        damaged.withUnsafeBytes { bytes in
          if let picture = try? Picture(decoding: bytes, name: "test", channels: 3, maxPixels: 1 << 20) {
            #expect(picture.data().count == 3 * picture.width * picture.height)
          }
        }
      }
    }
  }

  @Test("with more pixels than allowed are refused, and so are headers that promise more than the file can hold")
  func bombs() {
    let large = inputError { try decode(Sample.pngRGB, maxPixels: 47) }
    #expect(large?.problem.contains("8 x 6 pixels, more than the limit of 47") == true)
    let liar = inputError { try decode(Sample.pngLiar, maxPixels: 100_000_000) }
    #expect(liar?.problem.contains("more than the file's size can hold") == true)
  }

  @Test("are told from other files")
  func otherFormat() {
    #expect(
      inputError { try decode(Data("GIF89a......".utf8)) }?.problem == "not a JPEG, PNG, WebP, TIFF or BMP picture")
    #expect(inputError { try decode(Data()) }?.location == "test")
  }

  /// Windows and values of Pillow's antialiased bilinear filter, which rounds between its two passes.
  @Test(
    "are resized and cropped as Pillow does",
    arguments: [
      (
        4, 4,
        [
          15, 70, 127, 184, 15, 70, 127, 184, 15, 70, 127, 184, 15, 70, 127, 184, 19, 19, 19, 19, 91, 91, 91, 91,
          164,
          164, 164, 164, 236, 236, 236, 236, 17, 48, 82, 116, 46, 78, 112, 145, 77, 109, 143, 176, 107, 139, 172,
          206
        ]
      ),
      (
        3, 3,
        [
          26, 91, 164, 26, 91, 164, 26, 91, 164, 36, 36, 36, 128, 128, 128, 219, 219, 219, 30, 68, 111, 68, 106,
          149,
          106, 144, 186
        ]
      )
    ] as [(Int, Int, [Int])])
  func resize(_ shorterSide: Int, _ crop: Int, _ expected: [Int]) throws {
    try Sample.pngRGB.withUnsafeBytes { bytes in
      let picture = try Picture(decoding: bytes, name: "test", channels: 3)
      let planes = try picture.planes(.cropped(crop, shorterSide: shorterSide)).map(Int.init)
      #expect(planes.count == expected.count)
      #expect(zip(planes, expected).allSatisfy { abs($0 - $1) <= 1 }, "\(planes)")
    }
  }

  @Test("grow by interpolation, cropped to the centre")
  func enlarge() throws {
    try Sample.pngRGB.withUnsafeBytes { bytes in
      let picture = try Picture(decoding: bytes, name: "test", channels: 3)
      let planes = try picture.planes(.cropped(10, shorterSide: 12)).map(Int.init)
      #expect(Array(planes[..<10]) == [45, 63, 81, 100, 118, 136, 154, 173, 191, 209])
    }
  }

  @Test("cannot be cropped beyond their resized size")
  func badCrop() {
    #expect(throws: InputError.self) { try PictureSize.cropped(8, shorterSide: 7).validate() }
    #expect(throws: InputError.self) { try PictureSize.cropped(0, shorterSide: 7).validate() }
  }
}

@Suite("A picture's file") struct PictureFileTests {
  @Test("is refused before it is read if it is none, or far longer than its pixels")
  func bounds() throws {
    let folder = try TemporaryFolder()
    for (start, problem) in [
      (Data("GIF89a".utf8), "not a JPEG, PNG, WebP, TIFF or BMP picture"), (Sample.pngRGB, "the file is too long"),
      (Sample.jpegRGB, "the file is too long")
    ] {
      let url = folder / "picture"
      try start.write(to: url)
      #expect(truncate(url.path, 1 << 42) == 0)
      #expect(inputError { try Picture.content(of: url) }?.problem == problem)
    }
    try Sample.pngRGB.write(to: folder / "small.png")
    #expect(try Picture.content(of: folder / "small.png") == Sample.pngRGB)
  }
}

@Suite("gzip") struct DataGzipTests {
  @Test("unpacks all members")
  func members() throws {
    let data = try Gzip.unpack(Sample.gzipTwoMembers, name: "test", limit: 100)
    #expect(String(decoding: data, as: UTF8.self) == "hello world")
    #expect(try Gzip.unpack(Sample.gzipTwoMembers + Data(count: 7), name: "test", limit: 11).count == 11)
  }

  @Test("stops at its limit")
  func bomb() throws {
    #expect(try Gzip.unpack(Sample.gzipBomb, name: "test", limit: 200_000).allSatisfy { $0 == 0 })
    let error = inputError { try Gzip.unpack(Sample.gzipBomb, name: "bomb.gz", limit: 199_999) }
    #expect(error?.problem == "the data unpack to more than the limit of 199999 bytes")
    #expect(error?.location == "bomb.gz")
  }

  @Test("cut short, damaged or followed by other bytes is an error")
  func damaged() {
    let file = Sample.gzipTwoMembers
    for length in 0..<file.count where length != 26 {
      #expect(throws: InputError.self, "\(length) bytes") {
        try Gzip.unpack(file.prefix(length), name: "test", limit: 100)
      }
    }
    var wrongSum = file
    wrongSum[file.count - 6] ^= 1
    #expect(throws: InputError.self) { try Gzip.unpack(wrongSum, name: "test", limit: 100) }
    #expect(throws: InputError.self) { try Gzip.unpack(file + Data("x".utf8), name: "test", limit: 100) }
  }
}
