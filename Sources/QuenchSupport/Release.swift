/// What all programs of this package say of themselves.
public enum Release {
  public static let version = "0.1.0"
}
