import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.StringJoiner;
import java.util.zip.CRC32C;
import org.apache.thrift.TDeserializer;
import org.apache.thrift.TException;
import org.apache.thrift.protocol.TBinaryProtocol;
import streamjobs.wire.Body;
import streamjobs.wire.Column;
import streamjobs.wire.DBMSRowChange;
import streamjobs.wire.Header;
import streamjobs.wire.Message;
import streamjobs.wire.RowChange;
import streamjobs.wire.RowImage;

/** Prints each message named on the command line as one line of JSON. */
public final class ReadMessages {
  public static void main(String[] paths) throws Exception {
    for (String path : paths) {
      System.out.println(message(Files.readAllBytes(Path.of(path))));
    }
  }

  private static String message(byte[] payload) throws TException {
    TDeserializer reader = new TDeserializer(new TBinaryProtocol.Factory());
    Message message = new Message();
    reader.deserialize(message, payload);
    CRC32C check = new CRC32C();
    check.update(message.getBody());
    if ((int) check.getValue() != message.getCrc32c()) {
      throw new IllegalStateException("crc32c");
    }
    Body body = new Body();
    reader.deserialize(body, message.getBody());
    Header header = body.getHeader();
    StringJoiner changes = list();
    body.getChanges().forEach(change -> changes.add(table(change)));
    return object()
        .add("\"version\":" + message.getVersion())
        .add("\"source\":" + text(header.getSource()))
        .add("\"time_ms\":" + header.getTime_ms())
        .add("\"event_time_column\":" + text(header.getEvent_time_column()))
        .add("\"changes\":" + changes)
        .toString();
  }

  private static String table(DBMSRowChange change) {
    StringJoiner columns = list();
    for (Column column : change.getColumns()) {
      columns.add(
          object()
              .add("\"name\":" + text(column.getName()))
              .add("\"type\":" + text(column.getType().name()))
              .add("\"native_type\":" + text(column.getNative_type()))
              .add("\"key\":" + (column.isSetKey() && column.isKey()))
              .add("\"nullable\":" + (!column.isSetNullable() || column.isNullable()))
              .toString());
    }
    StringJoiner rows = list();
    change.getRows().forEach(row -> rows.add(row(row)));
    return object()
        .add("\"database\":" + text(change.getDatabase()))
        .add("\"table\":" + text(change.getTable()))
        .add("\"columns\":" + columns)
        .add("\"rows\":" + rows)
        .toString();
  }

  private static String row(RowChange row) {
    return object()
        .add("\"kind\":" + text(row.getKind().name()))
        .add("\"before\":" + image(row.getBefore()))
        .add("\"after\":" + image(row.getAfter()))
        .add("\"seq\":" + text(HexFormat.of().formatHex(row.getSeq())))
        .add("\"committed_at_ms\":" + row.getCommitted_at_ms())
        .add("\"transaction_id\":" + text(row.getTransaction_id()))
        .toString();
  }

  /** An image as a list: hex of a value, null for NULL, "absent" for absent. */
  private static String image(RowImage image) {
    if (image == null) {
      return "null";
    }
    List<Integer> nulls = image.isSetNulls() ? image.getNulls() : List.of();
    List<Integer> absents = image.isSetAbsents() ? image.getAbsents() : List.of();
    StringJoiner values = list();
    for (int i = 0; i < image.getValues().size(); i++) {
      ByteBuffer value = image.getValues().get(i);
      byte[] bytes = new byte[value.remaining()];
      value.duplicate().get(bytes);
      if (nulls.contains(i)) {
        values.add("null");
      } else {
        values.add(text(absents.contains(i) ? "absent" : HexFormat.of().formatHex(bytes)));
      }
    }
    return values.toString();
  }

  private static StringJoiner object() {
    return new StringJoiner(",", "{", "}");
  }

  private static StringJoiner list() {
    return new StringJoiner(",", "[", "]");
  }

  private static String text(String value) {
    if (value == null) {
      return "null";
    }
    StringBuilder out = new StringBuilder("\"");
    for (char c : value.toCharArray()) {
      out.append(c >= ' ' && c < 127 && c != '"' && c != '\\' ? "" + c : String.format("\\u%04x", (int) c));
    }
    return out.append('"').toString();
  }
}
