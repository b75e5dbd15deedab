"""The line of a key is the line that it stands on, whatever the text around it looks like."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from influence.config.lines import line_of

SCALARS = [  # values that look like something else
    "1",
    "true",
    "1979-05-27 07:32:00",
    '"k0 = 1 # no comment"',
    "'[table]'",
    r'"\"[x]\" = \\"',
    '"""one line \'\'\' """',
    '"""\nk1 = 2\n[k2]\n"""',
    '"""\\\n  k1 = \\""" still inside\n"""',
    "'''\n[[k3]]\nk4 = \"\"\"\n'''",
    '""""quoted""""',
    '"next\u2028line\x85s"',
]
COMMENTS = ["", "  # k5 = 1", ' # """', " # [k6]", " # 'it''s"]


class Writer:
    """A TOML text as it grows, with the line on which each key was written."""

    def __init__(self, draw) -> None:
        self.draw, self.text, self.lines, self.names = draw, "", {}, 0

    def place(self, path) -> None:
        line = self.text.count("\n") + 1
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def name(self) -> tuple[str, str]:
        """A new name: as it is written, and as it is meant."""
        self.names += 1
        name = f"n{self.names}"
        return self.draw(
            st.sampled_from(
                [
                    (name, name),
                    (f'"{name}.]= #"', f"{name}.]= #"),
                    (f"'{name} [x]'", f"{name} [x]"),
                    (f'"{name}\\t"', f"{name}\t"),
                ]
            )
        )

    def key(self, table) -> tuple:
        parts = [self.name() for _ in range(self.draw(st.integers(1, 2)))]
        path = (*table, *(meant for _, meant in parts))
        self.place(path)
        self.text += self.draw(st.sampled_from([".", " . "])).join(written for written, _ in parts)
        return path

    def pair(self, table, depth: int) -> None:
        path = self.key(table)
        self.text += self.draw(st.sampled_from(["=", " = "]))
        self.value(path, depth)

    def value(self, path, depth: int) -> None:
        shape = self.draw(st.sampled_from(["scalar", "list", "table"])) if depth else "scalar"
        if shape == "scalar":
            self.text += self.draw(st.sampled_from(SCALARS))
            return
        self.text += "[" if shape == "list" else "{ "
        for number in range(self.draw(st.integers(0, 3))):
            if shape == "list":
                self.text += self.draw(st.sampled_from(["", "\n  ", " # ]\n"]))
                self.place((*path, number))
                self.value((*path, number), depth - 1)
                self.text += ","
            else:
                self.text += ", " if number else ""
                self.pair(path, depth - 1)
        self.text += "\n]" if shape == "list" else " }"

    def pairs(self, table) -> None:
        for _ in range(self.draw(st.integers(0, 3))):
            self.text += self.draw(st.sampled_from(["", "\n", "# k7 = [\n", "  "]))
            self.pair(table, depth=2)
            self.text += self.draw(st.sampled_from(COMMENTS)) + "\n"

    def table(self) -> None:
        written, meant = self.name()
        inner, inner_meant = self.name()
        several = self.draw(st.booleans())
        for number in range(self.draw(st.integers(1, 3)) if several else 1):
            path = (meant, number) if several else (meant,)
            self.place(path)
            self.text += f"[[ {written} ]]" if several else f"[{written}]"
            self.text += self.draw(st.sampled_from(COMMENTS)) + "\n"
            self.pairs(path)
            if self.draw(st.booleans()):
                self.place((*path, inner_meant))
                self.text += f"[{written}.{inner}]\n"
                self.pairs((*path, inner_meant))


@st.composite
def documents(draw):
    writer = Writer(draw)
    writer.pairs(())
    for _ in range(draw(st.integers(0, 3))):
        writer.table()
    return writer


@given(documents())
@settings(max_examples=200, deadline=None)
def test_every_key_is_found_on_its_line(document):
    tomllib.loads(document.text)
    found = {path: line_of(document.text, path) for path in document.lines}
    assert found == document.lines


@given(documents())
@settings(max_examples=50, deadline=None)
def test_a_key_that_is_missing_stands_where_its_table_does(document):
    for path, line in document.lines.items():
        assert line_of(document.text, (*path, "missing")) == line
    assert line_of(document.text, ("missing",)) is None


def test_a_table_without_a_header_stands_where_its_first_key_does():
    assert line_of("a = 1\n[b.c]\nd = 1\n[b]\ne = 1\n", ("b", "c", "d")) == 3
    assert line_of("a = 1\n[b.c]\nd = 1\n[b]\ne = 1\n", ("b",)) == 4
    assert line_of("a = 1\n[b.c]\nd = 1\n", ("b",)) == 2
