"""A spreadsheet that opens our CSV finds text where others wrote text, and numbers where there are numbers."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from grammask.files.csv_text import csv_text
from grammask.files.write import write_csv

FORMULAS = [
    "=1+2",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd()",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
    '=HYPERLINK("x","y")',
    "-",
    "==",
]


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_becomes_text_in_cells_and_headers(formula):
    rows = read(csv_text(pd.DataFrame({"text": [formula, "good"], f"{formula}": [0.5, -0.5]})))
    shown = "'" + formula.replace("\r", r"\r")
    assert rows == [["text", shown], [shown, "0.5"], ["good", "-0.5"]]


@pytest.mark.parametrize(
    "text", ["good", "", "a=b", "1-2", "'=1", "-1", "+1", "-0.5", "1e-5", "-1E+5", "été", 'a "b", c']
)
def test_other_text_and_text_that_is_a_number_stay(text):
    assert read(csv_text(pd.DataFrame({"text": [text, "x"]})))[1] == [text] or text == ""


def test_numbers_are_written_as_before():
    table = pd.DataFrame({
        "float": np.array([-0.5, 1e-17, np.nan]), "int": np.array([-1, 0, 2**53 + 1]), "mixed": [-1, None, -0.1],
        "flag": [True, False, True],
    })  # fmt: skip
    assert csv_text(table) == table.to_csv(index=False, lineterminator="\n")


def test_figures_write_such_csv(tmp_path):
    write_csv([{"rule": "=1+2", "change": -0.25}], tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == "rule,change\n'=1+2,-0.25\n"
    write_csv([], tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "\n"
