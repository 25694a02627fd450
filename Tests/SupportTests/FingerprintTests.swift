import Foundation
import QuenchSupport
import TestSupport
import Testing

@Suite struct FingerprintTests {
  /// The test vectors of FIPS 180-4 (NIST's examples for SHA-256).
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    )
  ])
  func equalsThePublishedVectors(text: String, digest: String) {
    #expect(Fingerprint.sha256(Data(text.utf8)) == digest)
  }

  @Test func aFileOfManyBlocksHasTheFingerprintOfItsBytes() throws {
    let million = Data(repeating: UInt8(ascii: "a"), count: 1_000_000)
    let data = million + million + million
    let folder = try TemporaryFolder()
    let url = folder / "blocks"
    try data.write(to: url)
    #expect(try Fingerprint.sha256(ofFile: url) == Fingerprint.sha256(data))
    try million.write(to: url)
    #expect(
      try Fingerprint.sha256(ofFile: url) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func aMissingFileIsNamed() {
    let url = URL(filePath: "/nowhere/t10k-images")
    let error = #expect(throws: InputError.self) { try Fingerprint.sha256(ofFile: url) }
    #expect(error?.location == "/nowhere/t10k-images")
    #expect(error?.problem.hasPrefix("cannot read the file: ") == true)
  }

  @Test func aFolderIsNoFile() {
    let url = FileManager.default.temporaryDirectory
    let error = #expect(throws: InputError.self) { try Fingerprint.sha256(ofFile: url) }
    #expect(error?.location == url.path)
  }
}
