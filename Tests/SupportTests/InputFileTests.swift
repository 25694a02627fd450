import Foundation
import QuenchSupport
import TestSupport
import Testing

@Suite struct InputFileTests {
  @Test func aFolderALoopAndAMissingFileGetWords() throws {
    let folder = try TemporaryFolder()
    let inFolder = #expect(throws: InputError.self) { try InputFile.read(folder.url) }
    #expect(inFolder?.description == "\(folder.url.path): this is a folder (expected a file)")
    let loop = folder / "loop"
    try FileManager.default.createSymbolicLink(atPath: loop.path, withDestinationPath: loop.path)
    let inLoop = #expect(throws: InputError.self) { try InputFile.read(loop) }
    #expect(inLoop?.problem == "cannot read the file: Too many levels of symbolic links")
    let missing = #expect(throws: InputError.self) { try InputFile.read(folder / "absent") }
    #expect(missing?.problem == "cannot read the file: no such file")
  }

  @Test func aPipeIsReadToItsEndAndNotTwice() throws {
    let folder = try TemporaryFolder()
    let content = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })
    for limit in [1 << 20, 1000] {
      let pipe = try namedPipe(of: content, folder / "pipe-\(limit)")
      if limit > content.count {
        #expect(try InputFile.read(pipe, limit: limit) == content)
      } else {
        let error = #expect(throws: InputError.self) { try InputFile.read(pipe, limit: limit) }
        #expect(error?.problem == "the file is too long")
      }
    }
    #expect(try ByteSource(contentsOf: namedPipe(of: content, folder / "source")).read(5..<9) == content[5..<9])
    let error = #expect(throws: InputError.self) {
      try Fingerprint.sha256(ofFile: namedPipe(of: Data("x".utf8), folder / "print"))
    }
    #expect(error?.problem == "this is a pipe or a device")
  }

  @Test func aHugeFileIsRefusedBeforeItIsRead() throws {
    let folder = try TemporaryFolder()
    try sparse(folder / "huge", count: 1 << 42)
    let error = #expect(throws: InputError.self) { try InputFile.read(folder / "huge", limit: 1000) }
    #expect(error?.expected == "at most 1000 bytes" && error?.found == "\(1 << 42)")
    #expect(try ByteSource(contentsOf: folder / "huge").read(1 << 41..<(1 << 41) + 3) == Data(count: 3))
  }

  @Test func aFileThatShrinksIsAnErrorAndNoSignal() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data(repeating: 7, count: 1 << 20), "weights")
    let source = try ByteSource(contentsOf: folder / "weights")
    #expect(truncate((folder / "weights").path, 5000) == 0)
    let error = #expect(throws: InputError.self) { try source.read(4096..<1 << 20) }
    #expect(error?.problem == "the file became shorter while it was read")
    #expect(error?.found == "5000")
    let beyond = #expect(throws: InputError.self) { try source.read(1 << 20..<1 << 21) }
    #expect(beyond?.problem == "the data end too early")
  }

  @Test func aFileThatGrowsIsReadAsFarAsItHasCome() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data("one\n".utf8), "log")
    let file = try InputFile(folder / "log")
    let handle = try FileHandle(forWritingTo: folder / "log")
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("two\n".utf8))
    #expect(try file.read() == Data("one\ntwo\n".utf8))
  }

  /// A named pipe that a thread writes `content` to.
  private func namedPipe(of content: Data, _ url: URL) throws -> URL {
    try #require(mkfifo(url.path, 0o600) == 0)
    Thread.detachNewThread {
      signal(SIGPIPE, SIG_IGN)
      let handle = try? FileHandle(forWritingTo: url)
      try? handle?.write(contentsOf: content)
      try? handle?.close()
    }
    return url
  }

  private func sparse(_ url: URL, count: Int) throws {
    try Data().write(to: url)
    try #require(truncate(url.path, off_t(count)) == 0)
  }
}
