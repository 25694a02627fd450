import Foundation
import QuenchSupport
import Testing

@testable import QuenchVision

/// What `body` throws, which must be an ``InputError``.
func inputError<Result>(_ body: () throws -> Result) -> InputError? {
  do {
    _ = try body()
    Issue.record("nothing was thrown")
    return nil
  } catch {
    return error as? InputError
  }
}

/// Small files, written by Pillow 13.0 and Python's gzip. The pictures of 8 x 6 pixels show one gradient: red grows
/// to the right, green downwards, blue both ways.
enum Sample {
  static let pngRGB = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAIAAABxZ0isAAAAOUlEQVR4nGNkYGBQYRBVYRBVZRBVYRBThbFZGIxFGRggSAzGEGVgEINLoIgywHSg
    i0IksIgy4LEDAPJyBfoDtSZbAAAAAElFTkSuQmCC
    """)
  static let pngGrey = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAAAAADbboAnAAAAKElEQVR4nFXJoRHAMAwAsebOVD+Du/+SISUV1XlInBVpXkKzX83mXxdMXQLlzbnu
    XAAAAABJRU5ErkJggg==
    """)
  static let pngPalette = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGAgMAAACDazdoAAAADFBMVEW2zL8kzGp/ZnV/GlXjwCp3AAAAGklEQVR4nGP8z8DE8Jsxy47pzQ2GUAam
    /wwANf0Fw07DME0AAAAASUVORK5CYII=
    """)
  static let pngAlpha = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAYAAAD+Bd/7AAAAPUlEQVR4nGNkYGD4r8IgyqDCIMqgyiDKoMIgBqUhfBYGY1EGBgYYFkNiQ/hICjAl
    GRAmYJeEKsAtyUCMGwBXRQb5QnC1dwAAAABJRU5ErkJggg==
    """)
  static let png1Bit = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGAQAAAADWfuJWAAAAFElEQVR4nGNgZBJhMmUSZFjP8B8ABc8CEHFIhbMAAAAASUVORK5CYII=
    """)
  /// Values 0, 1300, 2600, ...
  static let png16Bit = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGEAAAAACL/lxkAAAALklEQVR4nGNkYGAVQYaMGgtgTDaIQKADqgoWjQUwOaiA5gJWEVYkbYynFVC1AACT
    iQiLaKI7zgAAAABJRU5ErkJggg==
    """)
  static let jpegRGB = data(
    """
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYU
    GBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAGAAgD
    ASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAX/xAAVAQEBAAAAAAAAAAAAAAAAAAAAAf/aAAwDAQACEAMQAAABtBP/xAAXEAADAQAAAAAA
    AAAAAAAAAAAABAUG/9oACAEBAAEFAoOGXP/EABsRAAAHAQAAAAAAAAAAAAAAAAABAgQFBhQj/9oACAEDAQE/Aa7LvsKepj//xAAYEQACAwAAAAAA
    AAAAAAAAAAAAAwQTMf/aAAgBAgEBPwGM5len/8QAFhAAAwAAAAAAAAAAAAAAAAAAAAIy/9oACAEBAAY/Alk//8QAFhAAAwAAAAAAAAAAAAAAAAAA
    AEGR/9oACAEBAAE/IW0H/9oADAMBAAIAAwAAABAH/8QAFhEBAQEAAAAAAAAAAAAAAAAAYQDR/9oACAEDAQE/EMPBf//EABYRAAMAAAAAAAAAAAAA
    AAAAAAARIf/aAAgBAgEBPxBBZ//EABcQAAMBAAAAAAAAAAAAAAAAAABBgdH/2gAIAQEAAT8QmDYf/9k=
    """)
  static let jpegGrey = data(
    """
    /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYU
    GBIUFRT/wAALCAAGAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEG
    E1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJ
    ipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AO0+A37DHh3/
    AEf5rft/Cf8ACv/Z
    """)
  static let jpegCMYK = data(
    """
    /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgS
    FBUU/8AAFAgABgAIBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAE
    EQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6
    g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkA
    SwAAPwBv/BLPrpH/AAD+leqf8Ok/BP8Afsv+/Z/wrof2Pf2Z9J/0LmL+H+H/AOtX6p1//9k=
    """)
  /// 5 x 5 pixels, all (10, 20, 30).
  static let pngPlain = data(
    """
    iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAIAAAACDbGyAAAAFElEQVR4nGPkEpFjQAJMDKiAVD4AFBQARiQtXbUAAAAASUVORK5CYII=
    """)
  /// A header of 9000 x 9000 pixels before some 50 bytes.
  static let pngLiar = data(
    "iVBORw0KGgoAAAANSUhEUgAAIygAACMoCAIAAADit+XtAAAADElEQVR4nGNgoD0AAABkAAGGZDw1AAAAAElFTkSuQmCC")
  /// "hello " and "world" as two members.
  static let gzipTwoMembers = data(
    "H4sIAAAAAAACA8tIzcnJVwAA9vmB7QYAAAAfiwgAAAAAAAIDK88vykkBAEMRdzoFAAAA")
  /// 200 000 zeros in 229 bytes.
  static let gzipBomb = data(
    """
    H4sIAAAAAAACA+3BMQEAAADCoPVPbQZ/oAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACA1wB7WOBcQA0DAA==
    """)
  /// IDX of shape [2, 2, 3] with the elements 0, 1, ...
  /// That of ``gzipIDX`` with one byte more than its header says.
  static let gzipLongIDX = data("H4sIAAAAAAACA2Ng4GBmYGBggmJmBkYmZhZWNnYOTi5uBgCdNViMHQAAAA==")
  static let gzipIDX = data("H4sIAAAAAAACA2Ng4GBmYGBggmJmBkYmZhZWNnYOTi5uAHgeI4QcAAAA")
  /// CIFAR-10's archive in little: batch 1 is three zeros, batch 2 is 603 ones, the others have three bytes.
  static let cifarArchive = data(
    """
    H4sIAG/CBGsC/+3YSw6CMBhGUeS1DjcA9qnLIQVqIFEHUPdvgyMQBhpoE/nupKSTDv6cpqFqr6rLKMlKZapG91nZPk7BuhHbWYhhtU3Xz29KBaPB
    UQYOevZGdfb4YJ9Vc/OvlVHFsFHQ3G5sPn8+mb8QxM6fYP4IefXPtvdPKZ/xf4F/Fx0Q2iZcrn9w/3Nf7z+O+99FYRgCAfwv+he+/Av4d1EURUAA
    /4v+pS//Ev5dFMcxEMD/2L/RvXn7X0H/T/4Zw/8fJyVJAgTwP/bfaVXfdd6Y+22NM773z6Ug8O+iNE2BACGEEEJoR70AguOI2QAoAAA=
    """)

  private static func data(_ base64: String) -> Data {
    guard let data = Data(base64Encoded: base64, options: .ignoreUnknownCharacters) else {
      preconditionFailure("a sample is no base64: \(base64.prefix(40))")
    }
    return data
  }
}
