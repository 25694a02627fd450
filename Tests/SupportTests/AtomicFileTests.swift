import Foundation
import QuenchSupport
import TestSupport
import Testing

@Suite struct AtomicFileTests {
  /// Gives `body` a fresh folder and removes it afterwards.
  private func inFolder<T>(_ body: (URL) throws -> T) throws -> T {
    let folder = try TemporaryFolder()
    return try body(folder.url)
  }

  private func names(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  @Test func writesANewFileAndLeavesNothingElse() throws {
    try inFolder { folder throws in
      try AtomicFile.write(Data("weights".utf8), to: folder.appending(path: "model.bin"))
      #expect(try Data(contentsOf: folder.appending(path: "model.bin")) == Data("weights".utf8))
      #expect(try names(in: folder) == ["model.bin"])
    }
  }

  @Test func replacesAnOldFile() throws {
    try inFolder { folder throws in
      let url = folder.appending(path: "model.bin")
      try AtomicFile.write(Data("a longer first version".utf8), to: url)
      try AtomicFile.write(Data("second".utf8), to: url)
      #expect(try Data(contentsOf: url) == Data("second".utf8))
      #expect(try names(in: folder) == ["model.bin"])
    }
  }

  @Test func writesPieceByPiece() throws {
    try inFolder { folder throws in
      let url = folder.appending(path: "pieces")
      try AtomicFile.write(to: url) { handle in
        for piece in ["a", "b", "c"] { try handle.write(contentsOf: Data(piece.utf8)) }
        #expect(!FileManager.default.fileExists(atPath: url.path), "the name must not appear before the end")
      }
      #expect(try Data(contentsOf: url) == Data("abc".utf8))
    }
  }

  @Test func aFullDiskLeavesTheOldFileAndNoTemporaries() throws {
    try inFolder { folder throws in
      let url = folder.appending(path: "model.bin")
      try AtomicFile.write(Data("old".utf8), to: url)
      let error = #expect(throws: InputError.self) {
        try AtomicFile.write(to: url) { handle in
          try handle.write(contentsOf: Data("half of the new".utf8))
          throw POSIXError(.ENOSPC)
        }
      }
      #expect(error?.problem == "cannot write the file: No space left on device")
      #expect(error?.location == url.path)
      #expect(try Data(contentsOf: url) == Data("old".utf8))
      #expect(try names(in: folder) == ["model.bin"])
    }
  }

  @Test func anErrorOfTheBodyIsHandedOnAsItIs() throws {
    try inFolder { folder throws in
      let cause = InputError("the mask is empty", at: "layer1")
      let error = #expect(throws: InputError.self) {
        try AtomicFile.write(to: folder.appending(path: "mask")) { _ in throw cause }
      }
      #expect(error == cause)
      #expect(try names(in: folder).isEmpty)
    }
  }

  @Test func whatKilledWritesLeftIsSweptAndWhatIsBeingWrittenStays() throws {
    try inFolder { folder throws in
      let leftover = ".model.bin.0A1B2C3D-0000-4000-8000-0123456789AB.tmp"
      let own = [".hidden", "notes.tmp", ".model.bin.tmp"]
      for name in own + [leftover] { try Data("x".utf8).write(to: folder.appending(path: name)) }
      try AtomicFile.write(to: folder.appending(path: "model.bin")) { handle in
        AtomicFile.sweep(folder)
        #expect(try names(in: folder).count == own.count + 1)
        try handle.write(contentsOf: Data("whole".utf8))
      }
      #expect(try names(in: folder) == (own + ["model.bin"]).sorted())
      #expect(AtomicFile.isTemporary(leftover) && own.allSatisfy { !AtomicFile.isTemporary($0) })
    }
  }

  @Test func aMissingFolderIsNamed() throws {
    try inFolder { folder throws in
      let url = folder.appending(path: "absent/model.bin")
      let error = #expect(throws: InputError.self) { try AtomicFile.write(Data(), to: url) }
      #expect(error?.problem == "cannot write the file: No such file or directory")
      #expect(error?.location == url.path)
      #expect(error?.remedy != nil)
    }
  }

  @Test func aFolderInTheFilesPlaceStays() throws {
    try inFolder { folder throws in
      let url = folder.appending(path: "taken")
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
      let error = #expect(throws: InputError.self) { try AtomicFile.write(Data(), to: url) }
      #expect(error?.problem == "cannot write the file: Is a directory")
      #expect(try names(in: folder) == ["taken"])
    }
  }

  @Test(.disabled(if: geteuid() == 0, "root may write everywhere"))
  func anUnwritableFolderIsAnErrorThatNamesTheFile() throws {
    try inFolder { folder throws in
      try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: folder.path)
      let url = folder.appending(path: "model.bin")
      let error = #expect(throws: InputError.self) { try AtomicFile.write(Data(), to: url) }
      #expect(error?.problem == "cannot write the file: Permission denied")
      #expect(error?.location == url.path)
    }
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self"), "needs Linux's /proc"))
  func aFolderThatRefusesFilesIsAnErrorEvenForRoot() {
    let url = URL(filePath: "/proc/self/model.bin")
    let error = #expect(throws: InputError.self) { try AtomicFile.write(Data(), to: url) }
    #expect(error?.location == url.path)
  }

  #if os(Linux)
    @Test(.enabled(if: SmallDisk.isPossible, "mounting needs root"))
    func aReallyFullDiskLeavesTheOldFileAndNoTemporaries() throws {
      let disk = try SmallDisk(kilobytes: 64)
      let url = disk.url.appending(path: "model.bin")
      try AtomicFile.write(Data("old".utf8), to: url)
      let error = #expect(throws: InputError.self) {
        try AtomicFile.write(Data(repeating: 7, count: 1 << 20), to: url)
      }
      #expect(error?.problem == "cannot write the file: No space left on device")
      #expect(try Data(contentsOf: url) == Data("old".utf8))
      #expect(try names(in: disk.url) == ["model.bin"])
    }
  #endif
}
