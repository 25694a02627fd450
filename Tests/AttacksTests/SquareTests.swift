import QuenchTorch
import Testing

@testable import QuenchAttacks

@Suite("Square") struct SquareTests {
  @Test(
    "the windows shrink as the reference's do",
    arguments: [
      (1, 0.8, 29, 29), (10, 0.8, 29, 29), (11, 0.4, 20, 21), (50, 0.4, 20, 21), (51, 0.2, 14, 15),
      (201, 0.1, 10, 11), (501, 0.05, 7, 7), (1001, 0.025, 5, 5), (2001, 0.0125, 4, 5), (4999, 0.00625, 3, 3)
    ])
  func windows(_ iteration: Int, _ share: Double, _ linf: Int, _ l2: Int) {
    #expect(abs(Square(norm: .linf, epsilon: 0.1).share(at: iteration) - share) < 1e-12)
    #expect(Square(norm: .linf, epsilon: 0.1).side(at: iteration, height: 32, width: 32) == linf)
    #expect(Square(norm: .l2, epsilon: 0.1).side(at: iteration, height: 32, width: 32) == l2)
  }

  @Test("the windows of an image of 8 x 8, and the schedule stretched to 5000 queries") func others() {
    #expect(Square(norm: .linf, epsilon: 0.1).side(at: 0, height: 8, width: 8) == 7)
    #expect(Square(norm: .l2, epsilon: 0.1).side(at: 0, height: 8, width: 8) == 7)
    var square = Square(norm: .linf, epsilon: 0.1)
    square.rescales = true
    #expect([5, 6, 25, 26].map { square.share(at: $0) } == [0.8, 0.4, 0.4, 0.2])
  }

  @Test("the bumps of the L2 form") func bumps() {
    let three = Square.bump(3, 5)
    let edge = [0.064474, 0.209541, 0.209541, 0.209541, 0.064474]
    expectClose(three[0], edge, 1e-6)
    expectClose(three[2], edge, 1e-6)
    expectClose([three[1][2]], [0.789809], 1e-6)
    expectClose(Square.bump(2, 5)[1], [0.069526, 0.225959, 0.851691, 0.225959, 0.069526], 1e-6)
    let pattern = Square.pattern(5)
    expectClose(pattern[0].values, [0.049162, 0.159777, 0.159777, 0.159777, 0.049162], 1e-6)
    expectClose([pattern[1, 2].item()], [0.602237], 1e-6)
    for row in [2, 4] {
      expectClose(pattern[row].values, [-0.045590, -0.148168, -0.148168, -0.148168, -0.045590], 1e-6)
    }
    expectClose([pattern[3, 2].item(), pattern.norm().item()], [-0.558479, 1], 1e-6)
  }
}
