import Foundation
import QuenchTorch
import QuenchVision

/// Small valid files to begin with.
enum Seeds {
  /// An IDX file of the shape and the elements 0, 1, ...
  static func idx(_ shape: [Int]) -> Data {
    Data([0, 0, 8, UInt8(shape.count)]) + shape.reduce(Data()) { $0 + big($1, 4) }
      + Data((0..<shape.reduce(1, *)).map { UInt8($0 % 10) })
  }

  /// Two records of label bytes and 3 x 32 x 32 pixels.
  static func cifar(labelBytes: Int) -> Data {
    (0..<2).reduce(Data()) { data, record in
      data + Data(repeating: UInt8(record), count: labelBytes) + Data(repeating: 128, count: 3 * 32 * 32)
    }
  }

  static let safetensors: Data = {
    let header = #"""
      {"__metadata__":{"note":"a \"b\" \u00e9"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
      "h":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]},"n":{"dtype":"I64","shape":[],"data_offsets":[28,36]},
      "m":{"dtype":"BOOL","shape":[3],"data_offsets":[36,39]},"e":{"dtype":"U8","shape":[0,4],"data_offsets":[39,39]}}
      """#
    return little(header.utf8.count, 8) + Data(header.utf8) + Data(repeating: 1, count: 39)
  }()

  /// `w`, float32 `[3, 5]`, with three values that are not zero; `n`, all zeros; and a plain `b`.
  static let packedSafetensors: Data = {
    let header = #"""
      {"__metadata__":{"quench.sparse":"{\"w\":[3,5],\"n\":[2,2,2]}"},
      "b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w.values":{"dtype":"F32","shape":[3],"data_offsets":[8,20]},
      "w.bitmask":{"dtype":"U8","shape":[2],"data_offsets":[20,22]},
      "n.bitmask":{"dtype":"U8","shape":[1],"data_offsets":[22,23]},
      "n.values":{"dtype":"F64","shape":[0],"data_offsets":[23,23]}}
      """#
    let bits: [UInt8] = [0b1000_0001, 0b0100_0000, 0]
    return little(header.utf8.count, 8) + Data(header.utf8) + Data(repeating: 1, count: 20) + Data(bits)
  }()

  static let yaml = Data(
    """
    # how to train
    data: fashion-mnist
    epochs: 10
    learning-rate: 1.0e-1
    flags: [true, null, .nan, -.inf, "10", 'it''s']
    nested: {a: 1, b: {c: ~}}
    text: |
      two
      lines
    folded: >-
      one
      line

    """.utf8)

  /// JSON is YAML, but for the halves of surrogate pairs.
  static let flowYAML = Data(#"{"a": [1, -2.5e-3, true, false, null], "b": {"c": "x\n\u00e9"}, "d": []}"#.utf8)

  static let json = Data(
    #"{"a": [1, -2.5e-3, true, false, null], "b": {"c": "x\n\u00e9\ud83d\ude00"}, "": [], "d": {}}"#.utf8)

  static let wordNetIDs = ["n01443537", "n01629819"]

  static let annotations = Data(
    "val_0.JPEG\tn01443537\t0\t32\t44\t62\nval_1.JPEG\tn01629819\t52\t55\t57\t59\r\n".utf8)

  /// Two files of a tar archive, one of them empty.
  static let tar: Data = {
    func member(_ name: String, _ content: Data) -> Data {
      let size = String(content.count, radix: 8)
      var header = Data(name.utf8) + Data(count: 100 - name.utf8.count)
      header += Data("0000644\u{0}0000000\u{0}0000000\u{0}".utf8)
      header += Data((String(repeating: "0", count: 11 - size.count) + size + "\u{0}").utf8)
      header += Data("00000000000\u{0}        0".utf8)
      header += Data(count: 100) + Data("ustar\u{0}00".utf8)
      header += Data(count: 512 - header.count)
      return header + content + Data(count: (512 - content.count % 512) % 512)
    }
    return Checksums.tar(
      member("folder/a.bin", Data("0123456789".utf8)) + member("b.bin", Data()) + Data(count: 1024))
  }()

  /// A cache of two grey pictures of 2 x 3 pixels.
  static let pixelCache: Data = {
    let header = Data(
      """
      {"key":"k","shape":[2,1,2,3],"classNames":["a","b"],"statistics":{"mean":[0.5],"standardDeviation":[0.25]},
      "skipped":["x.jpg"],"fingerprint":"f"}
      """.utf8)
    let body = little(header.count, 8) + header + little(0, 8) + little(1, 8) + Data(0..<12)
    return Checksums.pixelCache(Data("QUENCHP1".utf8) + Data(count: 64) + body)
  }()

  static let architectures: [Data] = [
    ModelName.smallCNN.architecture(input: [1, 8, 8], classes: 2),
    ModelName.dncnn.architecture(input: [1, 4, 4], classes: 2),
    ModelName.resnet20.architecture(input: [3, 8, 8], classes: 2).normalizing(
      mean: [0.5, 0.5, 0.5], standardDeviation: [0.2, 0.2, 0.2])
  ].compactMap { try? JSONEncoder().encode($0) }

  /// Written by `torch.save` of PyTorch 2.13 and packed again with less beside it: `w`, float32 `[2, 3]`, and
  /// `steps`, an int64 scalar.
  static let torchZip = base64(
    """
    UEsDBBQAAAAAAAAAIQDBWi/D7wAAAO8AAAAQAAAAYXJjaGl2ZS9kYXRhLnBrbIACfXEAKFgBAAAAd3EBY3RvcmNoLl91dGlscwpfcmVidWlsZF
    90ZW5zb3JfdjIKcQIoKFgHAAAAc3RvcmFnZXEDY3RvcmNoCkZsb2F0U3RvcmFnZQpxBFgBAAAAMHEFWAMAAABjcHVxBksGdHEHUUsASwJLA4Zx
    CEsDSwGGcQmJY2NvbGxlY3Rpb25zCk9yZGVyZWREaWN0CnEKKVJxC3RxDFJxDVgFAAAAc3RlcHNxDmgCKChoA2N0b3JjaApMb25nU3RvcmFnZQ
    pxD1gBAAAAMXEQaAZLAXRxEVFLACkpiWgKKVJxEnRxE1JxFHUuUEsDBBQAAAAAAAAAIQC379yDAQAAAAEAAAAXAAAAYXJjaGl2ZS8uZm9ybWF0
    X3ZlcnNpb24xUEsDBBQAAAAAAAAAIQCFPeMZBgAAAAYAAAARAAAAYXJjaGl2ZS9ieXRlb3JkZXJsaXR0bGVQSwMEFAAAAAAAAAAhABeQ55EYAA
    AAGAAAAA4AAABhcmNoaXZlL2RhdGEvMAAAAAAAAIA/AAAAQAAAQEAAAIBAAACgQFBLAwQUAAAAAAAAACEAcNbnbwgAAAAIAAAADgAAAGFyY2hp
    dmUvZGF0YS8xBwAAAAAAAABQSwMEFAAAAAAAAAAhANGeZ1UCAAAAAgAAAA8AAABhcmNoaXZlL3ZlcnNpb24zClBLAQIUAxQAAAAAAAAAIQDBWi
    /D7wAAAO8AAAAQAAAAAAAAAAAAAACAAQAAAABhcmNoaXZlL2RhdGEucGtsUEsBAhQDFAAAAAAAAAAhALfv3IMBAAAAAQAAABcAAAAAAAAAAAAA
    AIABHQEAAGFyY2hpdmUvLmZvcm1hdF92ZXJzaW9uUEsBAhQDFAAAAAAAAAAhAIU94xkGAAAABgAAABEAAAAAAAAAAAAAAIABUwEAAGFyY2hpdm
    UvYnl0ZW9yZGVyUEsBAhQDFAAAAAAAAAAhABeQ55EYAAAAGAAAAA4AAAAAAAAAAAAAAIABiAEAAGFyY2hpdmUvZGF0YS8wUEsBAhQDFAAAAAAA
    AAAhAHDW528IAAAACAAAAA4AAAAAAAAAAAAAAIABzAEAAGFyY2hpdmUvZGF0YS8xUEsBAhQDFAAAAAAAAAAhANGeZ1UCAAAAAgAAAA8AAAAAAA
    AAAAAAAIABAAIAAGFyY2hpdmUvdmVyc2lvblBLBQYAAAAABgAGAHcBAAAvAgAAAAA=
    """)

  /// Pictures of 8 x 6 pixels, written by Pillow 13.0: a progressive one in colour, a grey one.
  static let jpegs = [
    base64(
      """
      /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB
      YUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAG
      AAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAVAQEBAAAAAAAAAAAAAAAAAAAAAf/aAAwDAQACEAMQAAABtBP/xAAXEAADAQ
      AAAAAAAAAAAAAAAAAABAUG/9oACAEBAAEFAoOGXP/EABsRAAAHAQAAAAAAAAAAAAAAAAABAgQFBhQj/9oACAEDAQE/Aa7LvsKepj//xAAYEQAC
      AwAAAAAAAAAAAAAAAAAAAwQTMf/aAAgBAgEBPwGM5len/8QAFhAAAwAAAAAAAAAAAAAAAAAAAAIy/9oACAEBAAY/Alk//8QAFhAAAwAAAAAAAA
      AAAAAAAAAAAEGR/9oACAEBAAE/IW0H/9oADAMBAAIAAwAAABAH/8QAFhEBAQEAAAAAAAAAAAAAAAAAYQDR/9oACAEDAQE/EMPBf//EABYRAAMA
      AAAAAAAAAAAAAAAAAAARIf/aAAgBAgEBPxBBZ//EABcQAAMBAAAAAAAAAAAAAAAAAABBgdH/2gAIAQEAAT8QmDYf/9k=
      """),
    base64(
      """
      /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB
      YUGBIUFRT/wAALCAAGAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIh
      MUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhI
      WGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AO0+
      A37DHh3/AEf5rft/Cf8ACv/Z
      """)
  ]

  /// Pictures of 8 x 6 pixels, written by Pillow 13.0: in colour, with a palette, and grey with 16 bits.
  static let pngs = [
    base64(
      """
      iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAOUlEQVR4nGNkYGBQYRBVYRBVZRBVYRBThbFZGIxFGRggSAzGEGVgEINLoIgywH
      Sgi0IksIgy4LEDAPJyBfoDtSZbAAAAAElFTkSuQmCC
      """),
    base64(
      """
      iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGAgMAAACDazdoAAAADFBMVEW2zL8kzGp/ZnV/GlXjwCp3AAAAGklEQVR4nGP8z8DE8Jsxy47pzQ2GUA
      am/wwANf0Fw07DME0AAAAASUVORK5CYII=
      """),
    base64(
      """
      iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGEAAAAACL/lxkAAAALklEQVR4nGNkYGAVQYaMGgtgTDaIQKADqgoWjQUwOaiA5gJWEVYkbYynFVC1AA
      CTiQiLaKI7zgAAAABJRU5ErkJggg==
      """)
  ]

  /// "hello " and "world" as two members, written by Python's gzip.
  static let gzipText = base64(
    "H4sIAAAAAAACA8tIzcnJVwAA9vmB7QYAAAAfiwgAAAAAAAIDK88vykkBAEMRdzoFAAAA")
  /// An IDX file of shape `[2, 2, 3]`, written by Python's gzip.
  static let gzipIDX = base64("H4sIAAAAAAACA2Ng4GBmYGBggmJmBkYmZhZWNnYOTi5uAHgeI4QcAAAA")

  /// A cryo-EM survey of two holes among other images, and one with a header.
  static let cryoSurvey = Data(
    """
    s_00001gr,1830,0,-1,-1
    s_00001gr_00002sq_v01_00003hl,-12.5,40,-1,-1
    s_00001gr_00002sq_v01_00003hl_v01_00004en-a,-161.7,1.6,4.25,0.62
    s_00001gr_00002sq_v01_00003hl_v01_00005en-a,-1e2,353.6,100000,-0.016

    """.utf8)
  static let cryoHeadedSurvey = Data(
    "name,tile,square,patch,ctf,stage_x,stage_y\na,T,S,P,4.5,1,2\nb,T,S,P,,,\n".utf8)
  static let cryoPredictions = Data(
    """
    s_00001gr_00002sq_v01_00003hl_v01_00004en-a 4.17
    s_00001gr_00002sq_v01_00003hl_v01_00005en-a 11.67

    """.utf8)
  static let cryoScores = Data(
    """
    s_00001gr_00002sq_v01_00003hl_v01_00005en-a 0.25 0.75
    s_00001gr_00002sq_v01_00003hl_v01_00004en-a 1.00 0.00

    """.utf8)
  static let cryoTimestamps = Data(
    """
    s_1gr_1sq_1hl_1en,2021-03-02 23:58:50
    s_1gr_1sq_1hl_1en-a,2021-03-02 23:59:35
    s_1gr_1sq_1hl_2en,2021-03-03 00:00:21
    s_1gr_1sq_2hl_1en,2021-03-03 00:03:26

    """.utf8)

  static func little(_ value: Int, _ bytes: Int) -> Data {
    Data((0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
  }

  static func big(_ value: Int, _ bytes: Int) -> Data { Data(little(value, bytes).reversed()) }

  static func base64(_ text: String) -> Data {
    Data(base64Encoded: text, options: .ignoreUnknownCharacters) ?? Data()
  }
}
