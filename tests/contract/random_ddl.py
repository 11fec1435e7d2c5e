"""Random statements on one table, in all the spellings that MariaDB takes: many of them it refuses."""

from __future__ import annotations

import random
from collections.abc import Sequence

from connectors.mysql.schema.definitions import ColumnDefinition

DATABASE, TABLE = "d", "t"
_NAMES = (
    "a b c d e f g h A vector period system first after comment engine type date time timestamp year json "
    "status value role user charset at row rows sequence bit bool text data fixed ascii unicode byte hash "
    "uuid invisible stored virtual level wait online storage tablespace overlaps portion größe ünique 2024c "
    "c$d _x t id partitions next"
).split()
_QUOTED = (
    "a b",
    "a`b",
    "c.d",
    "2024",
    "key",
    "primary",
    "e'f",
    'g"h',
    "表",
    "first ",
    "--x",
    "/*y",
    "#z",
    "select",
)
_CHARSETS = (
    "utf8mb4",
    "latin1",
    "utf16",
    "ucs2",
    "utf8",
    "utf8mb3",
    "gbk",
    "cp1251",
    "ascii",
    "utf32",
    "binary",
)
_COLLATIONS = (
    "utf8mb4_bin", "latin1_german1_ci", "utf16_bin", "uca1400_as_ci", "UCA1400_AI_CI", "gbk_bin", "binary",
    "utf8_bin", "utf8mb3_general_ci", "DEFAULT", "utf8mb4_uca1400_as_cs", "cp1251_bin",
)  # fmt: skip
_LABELS = ("a", "b", "c d", "it''s", "é", "x,y", "Ж", "", "trail ", "q?", "表", "😀", "\\\\", "n\\nl", "%\\_")
_PLAIN = (
    "INT", "INTEGER(7)", "BIGINT", "INT8", "SMALLINT", "MIDDLEINT", "TINYINT(1)", "BOOL", "BOOLEAN",
    "DECIMAL",
    "DEC(8,3)", "NUMERIC(20)", "FIXED(5,5)", "FLOAT", "FLOAT(30)", "FLOAT(7,4)", "FLOAT4", "DOUBLE PRECISION",
    "REAL", "FLOAT8", "DOUBLE(9,2)", "BIT", "BIT(17)", "DATE", "YEAR", "TIME", "TIME(6)", "DATETIME(3)",
    "DATETIME", "TIMESTAMP(2) NULL", "BINARY", "BINARY(9)", "VARBINARY(90)", "BLOB", "BLOB(9)", "BLOB(70000)",
    "LONG VARBINARY", "TINYBLOB", "LONGBLOB", "CHAR BYTE", "JSON", "POINT", "GEOMETRY", "UUID", "INET6",
    "INET4",
    "VARBINARY(70000)", "MULTIPOLYGON", "INT1", "INT3(4)",
)  # fmt: skip
_UNSIGNABLE = ("INT", "INTEGER", "BIGINT", "MEDIUMINT", "DECIMAL(9,2)", "DOUBLE", "TINYINT")
_SIGNS = ("UNSIGNED", "ZEROFILL", "UNSIGNED ZEROFILL", "SIGNED")
_TEXTS = (
    "CHAR", "CHAR(7)", "CHARACTER(3)", "VARCHAR(20)", "CHARACTER VARYING(5)", "CHAR VARYING(9)",
    "VARCHARACTER(4)",
    "NATIONAL VARCHAR(5)", "NCHAR(3)", "NVARCHAR(6)", "NATIONAL CHAR VARYING(7)", "NCHAR VARCHAR(8)", "TEXT",
    "TEXT(90)", "TEXT(20000)", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "LONG", "LONG VARCHAR", "VARCHAR(20000)",
    "LONG CHAR VARYING",
)  # fmt: skip
_DEFAULTS = (
    "DEFAULT NULL", "DEFAULT 'FIRST'", "DEFAULT (1 + 2)", "DEFAULT -1", "DEFAULT +1.5e3", "DEFAULT b'1'",
    "DEFAULT x'41'", "DEFAULT 0x41", "DEFAULT _latin1'k'", "DEFAULT CURRENT_TIMESTAMP", "DEFAULT NOW(2)",
    "DEFAULT (CASE WHEN 1 THEN 'AFTER' END)", "DEFAULT DATE'2020-01-01'", "DEFAULT 'a' 'b'", "DEFAULT UUID()",
    "DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP()", "DEFAULT TRUE", "DEFAULT N'x'",
    "DEFAULT CASE 1 WHEN 2 THEN 3 END", "DEFAULT CONCAT('PRIMARY', ' KEY')",
)  # fmt: skip
_ATTRIBUTES = (
    "NULL", "NOT NULL", "COMMENT 'PRIMARY KEY, (FIRST)'", "UNIQUE", "UNIQUE KEY", "INVISIBLE",
    "CHECK (1 <> 2)", "CONSTRAINT CHECK (1 < 2)", "WITHOUT SYSTEM VERSIONING", "COMPRESSED",
    "REF_SYSTEM_ID=4326",
    "REFERENCES o (i) ON DELETE SET NULL ON UPDATE NO ACTION", "AUTO_INCREMENT", "SERIAL DEFAULT VALUE",
    "`eng`='FIRST'",
)  # fmt: skip
_OPTIONS = (
    "ENGINE=InnoDB", "ENGINE MyISAM", "COMMENT='CHARSET=gbk'", "COMMENT 'x, DROP a'", "ROW_FORMAT=DYNAMIC",
    "ROW_FORMAT DEFAULT", "AUTO_INCREMENT 70", "CHECKSUM=1", "DELAY_KEY_WRITE 0", "MAX_ROWS=9", "MIN_ROWS 3",
    "PACK_KEYS=DEFAULT", "STATS_PERSISTENT=0", "STATS_AUTO_RECALC DEFAULT", "AVG_ROW_LENGTH=100",
    "INSERT_METHOD=NO",
    "KEY_BLOCK_SIZE=8", "PAGE_CHECKSUM=1", "TRANSACTIONAL=0", "CONNECTION='x'",
)  # fmt: skip


class Statements:
    """Draws statements on `d.t`; the columns and key that it has now are told before each."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.ansi_quotes = False
        self.columns: Sequence[ColumnDefinition] = ()

    def draw(self) -> str:
        """Give one statement; the table may have another name afterwards."""
        draw = self._rng.random()
        if not self.columns or draw < 0.1:
            return self._create()
        if draw < 0.13:
            return self._sql("ALTER", self._any("DATABASE", "SCHEMA"), self._any("d", ""), self._charset())
        if draw < 0.16:
            return self._sql(
                self._any("CREATE", "CREATE UNIQUE"), "INDEX", "i", "ON", "t", f"({self._old()})"
            )
        if draw < 0.18:
            return self._sql("DROP INDEX", self._any("`PRIMARY`", "i", "IF EXISTS i"), "ON", "t")
        return self._alter()

    def _any(self, *of: str) -> str:
        return self._rng.choice(of)

    def _maybe(self, share: float, text: str) -> str:
        return text if self._rng.random() < share else ""

    def _sql(self, *words: str) -> str:
        """The words, with blanks and comments between them."""
        return "".join(word + self._blank() for word in words if word)

    def _blank(self) -> str:
        if self._rng.random() < 0.9:
            return self._any(" ", " ", " ", "\n", "\t ", "  ")
        return self._any(
            " /* , DROP a */ ", " -- , DROP a\n", " # ADD x INT,\n", "/**/", " /*!99999 , DROP a */ ",
            " /*!*/ ",
            " /*M!999999 FIRST */ ", "\v", " /*!50001 */ ", " --\n",
        )  # fmt: skip

    def _wrapped(self, text: str) -> str:
        """Now and then as an executable comment."""
        if not text or self._rng.random() > 0.08:
            return text
        return self._any(
            "/*! {} */", "/*!50100 {} */", "/*M! {} */", "/*M!100100 {} */", "/*!100203 {}*/"
        ).format(text)

    def _name(self, name: str) -> str:
        plain = name.replace("$", "").replace("_", "").isalnum() and name not in _QUOTED
        if plain and self._rng.random() < 0.7:
            return name
        if self.ansi_quotes and self._rng.random() < 0.5:
            return '"' + name.replace('"', '""') + '"'
        return "`" + name.replace("`", "``") + "`"

    def _column(self, name: str) -> str:
        """A column's name where it may be qualified."""
        prefix = "" if self._rng.random() < 0.88 else self._any("t.", "d.t.", "`t`.", "d . t . ", ".")
        return prefix + self._name(name)

    def _old(self) -> str:
        return self._name(self._rng.choice(self.columns).name if self._rng.random() < 0.95 else "nope")

    def _old_name(self) -> str:
        name = self._rng.choice(self.columns).name if self._rng.random() < 0.95 else "nope"
        return name.upper() if name.isascii() and self._rng.random() < 0.1 else name

    def _new_name(self) -> str:
        return self._rng.choice(_QUOTED if self._rng.random() < 0.12 else _NAMES)

    def _charset(self) -> str:
        default = self._maybe(0.4, "DEFAULT")
        word = self._any("CHARSET", "CHARACTER SET", "CHAR SET")
        equals = self._any("=", " = ", " ")
        collate = f"COLLATE{equals}{self._any(*_COLLATIONS)}"
        if self._rng.random() < 0.25:
            return f"{default} {collate}"
        named = self._any(*_CHARSETS, "DEFAULT", "'utf8mb4'", "LATIN1")
        return f"{default} {word}{equals}{named} {self._maybe(0.15, collate)}"

    def _type(self) -> str:
        draw = self._rng.random()
        if draw < 0.35:
            return self._any(*_PLAIN)
        if draw < 0.45:
            return f"{self._any(*_UNSIGNABLE)} {self._any(*_SIGNS)}"
        if draw < 0.6:
            labels = self._rng.sample(_LABELS, self._rng.randint(1, 4))
            quoted = self._any(", ", ",").join(f"'{label}'" for label in labels)
            text = f"{self._any('ENUM', 'SET', 'enum')}{self._any('', ' ')}({quoted})"
        else:
            text = self._any(*_TEXTS)
        charset = self._any("CHARACTER SET", "CHARSET", "CHAR SET") + " " + self._any(*_CHARSETS)
        other = self._any(
            "BINARY", "ASCII", "UNICODE", "BYTE", "ASCII BINARY", "BINARY UNICODE", charset + " BINARY"
        )
        collate = f"COLLATE {self._any(*_COLLATIONS)}"
        return " ".join(
            (text, self._maybe(0.35, charset) or self._maybe(0.1, other), self._maybe(0.15, collate))
        )

    def _definition(self, name: str, *, key: float = 0.03) -> str:
        attributes = [self._maybe(0.2, self._any(*_DEFAULTS))]
        attributes += [self._any(*_ATTRIBUTES) for _ in range(self._rng.choice((0, 0, 0, 1, 1, 2)))]
        attributes += [self._maybe(key, self._any("PRIMARY KEY", "KEY"))]
        self._rng.shuffle(attributes)
        if self._rng.random() < 0.05:
            attributes = [
                self._any("AS (1 + 1) VIRTUAL", "GENERATED ALWAYS AS (CONCAT('a', 'FIRST')) STORED")
            ]
        return self._sql(self._column(name), self._type(), *map(self._wrapped, attributes))

    def _key(self) -> str:
        columns = ", ".join(self._old() for _ in range(self._rng.randint(1, 2)))
        return self._any(
            f"PRIMARY KEY ({columns})", f"CONSTRAINT pk PRIMARY KEY USING BTREE ({columns})",
            f"PRIMARY KEY IF NOT EXISTS ({columns}) COMMENT 'x'", f"UNIQUE u ({columns})",
            f"INDEX ({columns})",
            f"KEY k USING HASH ({columns}) COMMENT 'PRIMARY KEY'",
            f"UNIQUE KEY IF NOT EXISTS ({self._old()}(3))",
            "CONSTRAINT c CHECK (1 < 2)", "CHECK (2 > 1)", f"CONSTRAINT UNIQUE ({columns})",
            f"FULLTEXT ft ({self._old()})", f"INDEX IF NOT EXISTS i ({self._old()} DESC) IGNORED",
        )  # fmt: skip

    def _place(self) -> str:
        draw = self._rng.random()
        if draw < 0.6:
            return ""
        return "FIRST" if draw < 0.75 else f"AFTER {self._old()}"

    def _options(self) -> str:
        options = [
            self._charset() if self._rng.random() < 0.35 else self._any(*_OPTIONS)
            for _ in range(self._rng.randint(0, 3))
        ]
        return self._any(" ", ", ", " ").join(options)

    def _partitions(self) -> str:
        name = self._old()
        return self._any(
            f"PARTITION BY KEY ({name}) PARTITIONS 2", f"PARTITION BY HASH ({name}) PARTITIONS 3",
            "PARTITION BY LINEAR KEY ALGORITHM=2 () PARTITIONS 2",
            f"PARTITION BY RANGE COLUMNS ({name}) (PARTITION p0 VALUES LESS THAN ('5'), "
            "PARTITION p1 VALUES LESS THAN (MAXVALUE))",
            f"PARTITION BY LIST ({name}) (PARTITION p0 VALUES IN (1, 2) COMMENT = 'x', PARTITION p1 DEFAULT)",
            f"PARTITION BY RANGE ({name}) SUBPARTITION BY HASH ({name}) SUBPARTITIONS 2 (PARTITION p VALUES "
            "LESS THAN MAXVALUE)",
            "REMOVE PARTITIONING",
        )  # fmt: skip

    def _create(self) -> str:
        names = self._rng.sample(_NAMES, self._rng.randint(1, 6))
        items = [self._definition(name, key=0.1) for name in names]
        if self._rng.random() < 0.5:
            first = self._name(names[0])
            items.append(
                self._any(f"PRIMARY KEY ({first})", f"CONSTRAINT PRIMARY KEY ({first})", f"KEY ({first})")
            )
        partitions = self._maybe(0.1, f"PARTITION BY KEY ({self._name(names[0])}) PARTITIONS 2")
        create = self._any("CREATE OR REPLACE TABLE", "CREATE OR REPLACE TABLE", "CREATE TABLE IF NOT EXISTS")
        table = self._any("t", "d.t", "`d`.`t`", ".t")
        return self._sql(create, table, f"({', '.join(items)})", self._options(), partitions)

    def _alter(self) -> str:
        items = [self._item() for _ in range(self._rng.choice((1, 1, 1, 1, 2, 3)))]
        head = self._any(
            *["ALTER TABLE"] * 5, "ALTER TABLE IF EXISTS", "ALTER IGNORE TABLE", "ALTER ONLINE TABLE"
        )
        table = self._any("t", "t", "d.t", "`t`", ".`t`", "`d`.t")
        wait = self._maybe(0.05, self._any("WAIT 5", "NOWAIT"))
        joined = self._any(", ", " ,", ",").join(map(self._wrapped, items))
        return self._sql(head, table, wait, joined, self._maybe(0.08, self._partitions()))

    def _item(self) -> str:
        column = self._any("COLUMN", "")
        if_there, unless_there = self._maybe(0.3, "IF EXISTS"), self._maybe(0.3, "IF NOT EXISTS")
        new, old = self._new_name(), self._old_name()
        draw = self._rng.random()
        if draw < 0.22:
            return self._sql("ADD", column, unless_there, self._definition(new), self._place())
        if draw < 0.26:
            more = [self._definition(self._new_name()) for _ in range(2)] + [self._maybe(0.3, self._key())]
            return self._sql("ADD", column, unless_there, f"({', '.join(filter(None, more))})")
        if draw < 0.35:
            return self._sql("MODIFY", column, if_there, self._definition(old), self._place())
        if draw < 0.44:
            changed = old if self._rng.random() < 0.3 else new
            return self._sql(
                "CHANGE", column, if_there, self._column(old), self._definition(changed), self._place()
            )
        if draw < 0.54:
            return self._sql("DROP", column, if_there, self._column(old), self._maybe(0.1, "RESTRICT"))
        if draw < 0.6:
            return self._sql("RENAME COLUMN", if_there, self._name(old), "TO", self._name(new))
        if draw < 0.68:
            return self._sql("ADD", self._key())
        if draw < 0.72:
            return self._sql(
                "DROP",
                self._any("PRIMARY KEY", "INDEX IF EXISTS u", "KEY `PRIMARY`", "CONSTRAINT IF EXISTS c"),
            )
        if draw < 0.78:
            named = self._any(*_CHARSETS, "DEFAULT")
            collate = self._maybe(0.2, f"COLLATE {self._any(*_COLLATIONS)}")
            return self._sql("CONVERT TO", self._any("CHARACTER SET", "CHARSET"), named, collate)
        if draw < 0.88:
            return self._options() or "FORCE"
        return self._other(old)

    def _other(self, old: str) -> str:
        name = self._name(old)
        return self._any(
            f"ALTER COLUMN {name} SET DEFAULT 'FIRST'", f"ALTER {self._column(old)} DROP DEFAULT", "FORCE",
            f"ALTER IF EXISTS {name} SET DEFAULT (1 + 1)", "RENAME INDEX IF EXISTS i TO j",
            "RENAME KEY u TO u2",
            "ALGORITHM=COPY", "LOCK = DEFAULT", "ALGORITHM INPLACE", "DISABLE KEYS", "ENABLE KEYS",
            f"ORDER BY {name} DESC, {self._old()}", "ALTER INDEX IF EXISTS u IGNORED", "RENAME TO t",
            "RENAME AS d.t",
            f"ADD PERIOD FOR pp ({name}, {self._old()})", "DROP PERIOD IF EXISTS FOR pp",
            "REMOVE PARTITIONING",
            "DROP FOREIGN KEY IF EXISTS f", "CONVERT TO CHARACTER SET utf8mb4, ALGORITHM=COPY",
        )  # fmt: skip
