import Foundation
import QuenchSupport
import TestSupport
import Testing

@Suite struct FolderLockTests {
  @Test func aSecondWriterIsToldWhoWrites() throws {
    let folder = try TemporaryFolder()
    let lock = try FolderLock(folder: folder.url, for: ["/usr/bin/quench", "train", "--epochs", "3"])
    let error = #expect(throws: InputError.self) { try FolderLock(folder: folder.url) }
    #expect(error?.problem == "another process is writing here")
    #expect(error?.location == folder.url.path)
    #expect(error?.found?.hasPrefix("process \(getpid()) on ") == true)
    #expect(error?.found?.hasSuffix(": quench train --epochs 3") == true)
    withExtendedLifetime(lock) {}
  }

  @Test func theLockGoesWithItsHolderAndLeavesNothing() throws {
    let folder = try TemporaryFolder()
    for _ in 0..<3 { _ = try FolderLock(folder: folder.url) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test func theFileOfAKilledHolderKeepsNobodyOut() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data("process 1 on elsewhere since 2020-01-01T00:00:00Z: quench train".utf8), ".lock")
    _ = try FolderLock(folder: folder.url)
  }

  @Test func filesOfOneFolderAreLockedOneByOne() throws {
    let folder = try TemporaryFolder()
    let lock = try FolderLock(file: folder / "a.sqlite")
    _ = try FolderLock(file: folder / "b.sqlite")
    #expect(throws: InputError.self) { try FolderLock(file: folder / "a.sqlite") }
    withExtendedLifetime(lock) {}
  }

  @Test func aFolderThatIsNotThereIsNamed() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: InputError.self) { try FolderLock(folder: folder / "absent") }
    #expect(error?.problem == "cannot write the file: No such file or directory")
  }
}
