import Foundation
import QuenchSupport
import Testing

@Suite struct InputErrorTests {
  @Test func theLineTellsPlaceProblemExpectationFindingAndRemedy() {
    let error = InputError(
      "a label is out of range", at: "train-labels, byte 12", expected: "0 to 9", found: "17",
      remedy: "fetch the file again")
    #expect(
      error.description
        == "train-labels, byte 12: a label is out of range (expected 0 to 9, found 17); fetch the file again")
  }

  @Test func whatIsUnknownIsLeftOut() {
    #expect(InputError("the class is empty").description == "the class is empty")
    #expect(InputError("odd size", expected: "a square").description == "odd size (expected a square)")
    #expect(InputError("odd size", at: "a.png", found: "3x4").description == "a.png: odd size (found 3x4)")
    #expect(InputError("no such set", remedy: "see 'data list'").description == "no such set; see 'data list'")
  }

  @Test func whateverTheInputHoldsTheErrorIsOneLineOfBoundedLength() {
    let long = String(repeating: "x", count: 100_000)
    let error = InputError(
      "the key \(long) occurs twice", at: "a\nb/\(long), key 'k'", expected: long, found: "\u{2028}\u{1B}[2J\(long)"
    )
    #expect(error.description.count < 2200)
    #expect(!error.description.contains(where: \.isNewline) && !error.description.contains("\u{1B}"))
    #expect(error.description.hasPrefix("a\\nb/xxx") && error.description.contains("x, key 'k': the key"))
    let accents = "e" + String(repeating: "\u{301}", count: 100_000)
    #expect(InputError("odd", found: accents).description.unicodeScalars.count < 300)
    #expect("\u{2028}é\t".excerpt(10) == "\\u{2028}é\\t")
    #expect("abcdef".excerpt(4) == "abcd…" && "abcdef".excerpt(4, keepingEnd: true) == "ab…ef")
    #expect("abcd".excerpt(4) == "abcd")
  }

  @Test func systemErrorsSpeakTheSystemsWords() {
    let url = URL(filePath: "/out/run")
    let full = InputError.writing(url, POSIXError(.ENOSPC))
    #expect(full.description.hasPrefix("/out/run: cannot write the file: No space left on device; "))
    let denied = InputError.reading(url, POSIXError(.EACCES))
    #expect(denied.description == "/out/run: cannot read the file: Permission denied")
  }

  @Test func foundationsErrorsAreReadInPlainWords() {
    let url = URL(filePath: "/nowhere/config.yaml")
    do {
      _ = try Data(contentsOf: url)
      Issue.record("reading a missing file must fail")
    } catch {
      let text = InputError.reading(url, error).description.lowercased()
      #expect(text.hasPrefix("/nowhere/config.yaml: cannot read the file: no such file"))
    }
  }

  @Test func anInputErrorIsNotWrappedAgain() {
    let cause = InputError("the header is truncated", at: "x.safetensors, byte 8")
    #expect(InputError.reading(URL(filePath: "/elsewhere"), cause) == cause)
    #expect(InputError.writing(URL(filePath: "/elsewhere"), cause) == cause)
  }
}
