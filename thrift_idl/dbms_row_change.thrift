/*
 * Row changes of a database on a message broker: the published contract.
 *
 * The payload of a broker message is one `Message` in Thrift's binary protocol, with nothing before or after it.
 * Its `body` is one `Body`, also in the binary protocol. The stock compiler reads both in any language.
 *
 * Compatibility: fields are only ever added, as optional ones; readers ignore fields they do not know. Numbers
 * of fields and enums are never changed or used again. A reader refuses an enum number it does not know, because
 * guessing would be silently wrong. A change that old readers would misread gets a new `Message.version`.
 *
 * Bounds that writers keep and readers enforce:
 *   - a payload has at most 16 MiB;
 *   - a list has at most 16,384 elements, a table at most 4,096 columns, a table's names and types 256 KiB of text;
 *   - a body of more than 64 KiB has at most 49,152 struct fields and list elements in total (for few, big rows);
 *   - structs and lists nest at most 60 deep.
 */

namespace py dbms_row_change
namespace java streamjobs.wire

/* The only format version so far. */
const i32 FORMAT_VERSION = 1

/*
 * A payload. The check covers `body`; readers verify it before they decode the body.
 *
 * crc32c: CRC-32C (Castagnoli, RFC 3720 appendix B.4) of the bytes of `body`, as a signed 32-bit number.
 */
struct Message {
  1: required i32 version
  2: required i32 crc32c
  3: required binary body
}

/*
 * A header and the changes, in the order in which the source made them.
 *
 * Consecutive changes of one table share one DBMSRowChange; a table may occur again later in the list.
 * A body with no changes is a heartbeat: it only advances the time of its partition.
 */
struct Body {
  1: required Header header
  2: required list<DBMSRowChange> changes
}

/*
 * source: the capture or generator of the changes, e.g. "shop-mysql"; `seq` is comparable within one source only.
 *
 * event_time_column: the column with the event time of a row. Every table of the body has it. It is a BIGINT (epoch
 * milliseconds) or a TIMESTAMP or DATETIME (read as UTC, cut to milliseconds). The event time of a row is that
 * column's value in the row after the change (for a DELETE: in its last state). Without the field, the event time
 * of a row is its committed_at_ms.
 *
 * time_ms: UTC epoch milliseconds, never negative, and also the timestamp of the broker message. The time rule:
 *
 *     low     = max(time_ms of all earlier messages of this partition) - the declared disorder bound; at least 0
 *     time_ms = max(smallest event time of the rows, low)
 *
 * So the times of a partition never go back by more than the bound, and a row whose event time is smaller than its
 * message's time_ms is late by definition: that is a property of the log, the same in every replay. A row whose event
 * time is NULL, absent, unreadable or outside the years 0001..9999 does not count for the minimum; a message with only
 * such rows has time_ms = low. A heartbeat has max(the time it announces, low).
 */
struct Header {
  1: required string source
  2: required i64 time_ms
  3: optional string event_time_column
}

/* One table, its columns once, and changes of its rows in source order. */
struct DBMSRowChange {
  1: required string database
  2: required string table
  3: required list<Column> columns
  4: required list<RowChange> rows
}

/*
 * A column as the source declares it. Names are unique within the table.
 *
 * native_type is the type as the source writes it, e.g. "varchar(32)". key: belongs to the primary key; a missing
 * field means false. nullable: a missing field means true.
 */
struct Column {
  1: required string name
  2: required SqlType type
  3: required string native_type
  4: optional bool key
  5: optional bool nullable
}

/*
 * Logical column types, and the only canonical form of a value of each on the wire. Numbers and times are ASCII
 * text. Equal values have equal bytes (except FLOAT, DOUBLE and JSON, where a reader accepts any legal form).
 */
enum SqlType {
  BOOLEAN = 1            /* 0 or 1 */
  TINYINT = 2            /* -12: no plus sign, no leading zeros, no -0; -128..127 */
  SMALLINT = 3           /* the same, -32768..32767; an unsigned TINYINT is sent as this */
  INT = 4                /* the same, 32 bits; an unsigned SMALLINT or MEDIUMINT is sent as this */
  BIGINT = 5             /* the same, 64 bits; an unsigned INT is sent as this */
  UNSIGNED_BIGINT = 6    /* the same, 0..18446744073709551615 */
  DECIMAL = 7            /* -12.50: plain, keeps the declared scale, at most 65 digits, no exponent, no -0 */
  FLOAT = 8              /* shortest decimal that reads back as the same binary32: 0.1, 1e+16, -0.0; NaN, Infinity, -Infinity */
  DOUBLE = 9             /* the same for binary64 */
  TEXT = 10              /* UTF-8, whatever the column's character set */
  BYTES = 11             /* the bytes; BINARY(n) with its padding */
  DATE = 12              /* 2024-02-29. Zero and partial dates are sent as they are: 0000-00-00, 2015-05-00 */
  TIME = 13              /* [-]HH:MM:SS[.ffffff], hours 00..838; the fraction has six digits and is left out when zero */
  DATETIME = 14          /* YYYY-MM-DD HH:MM:SS[.ffffff] as stored, without a zone; zero and partial dates as in DATE */
  TIMESTAMP = 15         /* the same form, in UTC */
  YEAR = 16              /* four digits: 0000 or 1901..2155 */
  BIT = 17               /* the bits as an unsigned number, 0..18446744073709551615 */
  ENUM = 18              /* the label, UTF-8; empty for MySQL's error value */
  SET = 19               /* the labels in the order of declaration, joined by commas, UTF-8; empty for the empty set */
  JSON = 20              /* a JSON document, UTF-8. JSON null is the text null, which is not SQL NULL */
  GEOMETRY = 21          /* SRID as 4 bytes little-endian, then WKB: MySQL's own form */
}

/*
 * What happened to the row, and which images it has:
 *
 *     kind      before    after
 *     INSERT    never     always
 *     UPDATE    optional  always    (the primary key is the same: a change of it is a DELETE and an INSERT)
 *     DELETE    always    never
 *     SNAPSHOT  never     always    (the row existed when the snapshot was taken)
 */
enum ChangeKind {
  INSERT = 1
  UPDATE = 2
  DELETE = 3
  SNAPSHOT = 4
}

/*
 * One change of one row.
 *
 * seq: 19 bytes that sort (unsigned, byte by byte) in the order of the source's changes; two captures of the same log
 * give the same bytes. Unsigned big-endian fields:
 *
 *     bytes  0..1   epoch    grows by one with every failover to another server, so all of the new server's changes
 *                            sort after all of the old one's
 *     bytes  2..5   file     number of the log file
 *     bytes  6..13  offset   byte offset of the row event in the file (for a generator: a running number)
 *     bytes 14..17  row      number of the row in the row event, from 0
 *     byte  18      half     0 snapshot row, 1 whole change, 2 the DELETE and 3 the INSERT of a changed primary key
 *
 * A snapshot row has the position from which the log is read after the snapshot, row 0 and half 0, and so sorts
 * before every change that was made after the snapshot. Snapshot rows of one snapshot share a seq. seq orders changes
 * for ingest only; it is not a version for sinks.
 *
 * committed_at_ms: commit time in the source, UTC epoch milliseconds (a source may only know whole seconds); of a
 * snapshot row, the time of the snapshot. transaction_id: that of the source, e.g. a GTID; missing if it has none.
 */
struct RowChange {
  1: required ChangeKind kind
  2: optional RowImage before
  3: optional RowImage after
  4: required binary seq
  5: required i64 committed_at_ms
  6: optional string transaction_id
}

/*
 * A row's values, one for each column, in column order.
 *
 * nulls: indexes (from 0) of the columns that are NULL. absents: indexes of the columns that this image does not
 * hold at all, so that their value is unknown (e.g. binlog_row_image=MINIMAL). Both ascend strictly, and no index is in
 * both; a missing field means none. At those indexes `values` has an empty placeholder, which readers ignore. An empty
 * value whose index is in neither list is an empty value.
 */
struct RowImage {
  1: required list<binary> values
  2: optional list<i32> nulls
  3: optional list<i32> absents
}

/*
 * The partition: a writer that routes by key, as ours do, uses CRC-32C modulo the number of partitions. The CRC is over
 * the values of the primary key's columns, in column order (of all columns if there is no key), in the row after the
 * change (for a DELETE: in its last state). Each value counts as its length in 4 bytes big-endian and its bytes; NULL
 * as the length FFFFFFFF, absent as FFFFFFFE. So all changes of one key are in one partition, in order.
 */
