/// What is told of an endpoint where its metadata do not say it, or not truly.
public struct EndpointHints: Hashable, Sendable {
  /// The input's name, and that of the output that tells classes.
  public var input: String?
  public var output: String?
  public var classes: Int?
  /// How many classes it probably has: decides between outputs, and stands in where nothing says a number.
  public var likelyClasses: Int?
  public var layout: PixelForm.Layout?
  public var datatype: InferenceTensor.DataType?
  /// Nil: 255 where the endpoint takes whole numbers, 1 where not.
  public var scale: Double?
  public var mean: [Double] = [0]
  public var deviation: [Double] = [1]

  public init() {}
}
