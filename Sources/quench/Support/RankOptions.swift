import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// Whether a process that a launcher started among others takes part with them.
struct RankOptions {
  static let standaloneHelp: ArgumentHelp = """
    Work alone, whatever torchrun, Slurm or Kubernetes say in the environment: without this the processes that they \
    start share one run.
    """
  static let deviceHelp: ArgumentHelp = "auto, cpu, cuda, cuda:N or mps; auto is cuda where there is one, else cpu."
  static let timeoutHelp = ArgumentHelp(
    "How long ranks wait for one of them that hangs before all end; one that died is noticed sooner.",
    valueName: "seconds")

  var standalone: Bool
  /// In seconds.
  var timeout: Double

  func validate() throws {
    guard timeout >= 1, timeout.isFinite else { throw ValidationError("--rank-timeout must be at least 1 second.") }
    try requireUsage { _ = try place }
  }

  /// This process among the others; nil: it is alone.
  private var place: RankPlace? {
    get throws(InputError) {
      standalone ? nil : try RankPlace(environment: ProcessInfo.processInfo.environment)
    }
  }

  /// The device of a name; processes of one machine that leave the choice to us take different ones.
  /// - Throws: `InputError` for another name or a device that is not there.
  func device(named name: String) throws(InputError) -> Device {
    guard name == "auto", let place = try place else { return try Device(parsing: name) }
    return .preferred(localRank: place.localRank)
  }

  /// - Throws: `InputError` where a launcher started several processes: the command does all by itself in each.
  func requireAlone() throws(InputError) {
    guard let place = try place else { return }
    throw InputError(
      "this command is not shared among several processes", at: "WORLD_SIZE", expected: "1", found: "\(place.size)",
      remedy: "start it once, or give --standalone so that each process does all of it by itself")
  }

  /// Does `body` with the other ranks: all agree on what `--precision auto` is, and if one can't go on, none does.
  /// - Parameters:
  ///   - lab: Of this process; `body` gets it with the ranks. Only rank 0 tells how the work goes.
  ///   - json: How a failure is told.
  func together(_ lab: Lab, json: Bool, _ body: (Lab) throws -> Void) throws {
    guard let place = try place else { return try body(lab) }
    let world = try World(joining: place, patience: timeout) { error in
      let failure = Failure(error, code: .failure)
      failure.tell()
      if json, place.rank == 0 { print(Value.object(failure.record).json()) }
      fflush(nil)
      _exit(failure.code)
    }
    var lab = lab
    lab.ranks = world
    if world.rank != 0 { lab.console = RunConsole() }
    do {
      try SettledPrecision.agree(in: world, on: Device(parsing: lab.device))
      try body(lab)
    } catch let error as Interrupted {
      world.leave()
      throw error
    } catch {
      world.leave(because: "\((error as? InputError)?.spellingFlags(typed: []).description ?? "\(error)")")
      throw error
    }
    world.leave()
  }
}
