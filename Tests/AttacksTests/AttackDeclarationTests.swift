import QuenchReporting
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchAttacks

@Suite("What attacks take") struct AttackDeclarationTests {
  /// Settings with one parameter away from every default.
  private static func settings(_ parameter: AttackParameter) -> AttackSettings {
    var settings = AttackSettings()
    switch parameter {
    case .norm: settings.norm = .l2
    case .epsilon, .smallest: break
    case .stepSize: settings.stepSize = PixelBudget(0.5 / 255)
    case .steps: settings.steps = 7
    case .restarts: settings.restarts = 3
    case .queries: settings.queries = 9
    case .targets: settings.targets = 2
    case .confidence: settings.confidence = 1.5
    case .aim: settings.aim = .next
    case .allSteps: settings.allSteps = true
    case .from: settings.from = "other.safetensors"
    }
    return settings
  }

  @Test(
    "every parameter that an attack declares has an effect, and every other one is an error",
    arguments: AttackName.allCases)
  func effect(_ name: AttackName) throws {
    let declaration = name.declaration
    let plain = try AttackSettings().make(name)
    for parameter in AttackParameter.allCases {
      let settings = Self.settings(parameter)
      func made() throws -> any Attack {
        try settings.make(
          name, epsilon: parameter == .epsilon ? PixelBudget(3.0 / 255) : nil, smallest: parameter == .smallest)
      }
      guard declaration.parameters.contains(parameter) else {
        let error = inputError { try made() }?.description ?? ""
        #expect(error.hasPrefix("\(parameter.rawValue): the attack \(name.rawValue) does not take this; it takes "))
        for taken in declaration.parameters { #expect(error.contains(taken.flag)) }
        continue
      }
      switch parameter {
      case .norm where !declaration.norms.contains(.l2):
        #expect(inputError { try made() }?.description.contains("does not know this norm") == true)
      case .norm: #expect(try made().norm == .l2)
      case .epsilon: #expect(try made().epsilon == 3.0 / 255)
      case .smallest: #expect(try made().epsilon == nil && plain.epsilon != nil)
      case .aim: #expect(plain.takesTargets)
      case .from: #expect(throws: Never.self) { try made() }
      default: #expect(try made().settings != plain.settings, "\(parameter.flag)")
      }
    }
  }

  @Test("help tells what an attack takes, with its defaults") func usage() {
    #expect(AttackName.square.usage == "linf|l2 --queries 5000 --all-steps --aim --from")
    #expect(AttackName.pgd.usage == "linf|l2 --step-size 2/255 --steps 10 --restarts 1 --all-steps --aim --from")
    #expect(AttackName.fabT.usage == "linf|l2|l1 --steps 100 --restarts 1 --targets 9 --from")
    #expect(AttackName.uniformNoise.usage == "linf|l2")
  }

  @Test("a step size in 255ths is refused as a budget is") func stepSize() {
    var settings = AttackSettings()
    settings.stepSize = PixelBudget(2)
    #expect(
      inputError { try settings.make(.pgd) }?.description.contains("step-size: budgets and steps are in units")
        == true)
  }
}
