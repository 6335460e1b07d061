"""Lay out four public data sets as folders that `grammask compare --task` reads: sst2, cola, trec, subj.

    python scripts/prepare_tasks.py DOWNLOADS data

DOWNLOADS holds the data sets as handed out: sst2/{train,dev}.tsv (GLUE), cola/in_domain_train.tsv, in_domain_dev.tsv
and out_of_domain_dev.tsv (CoLA 1.1), trec/TREC.{train,test}.all and subj/subj.all (as in Kim 2014, latin-1). CoLA's two
dev files are one, as in GLUE; TREC has its six coarse classes; every tenth sentence of SUBJ is dev.
"""

import csv
import sys
from pathlib import Path

import pandas as pd


def labelled(path: Path) -> pd.DataFrame:
    """Read lines of a label and a text."""
    lines = path.read_text(encoding="latin-1").split("\n")
    return pd.DataFrame([line.split(" ", 1) for line in lines if line], columns=["label", "sentence"])


def glue(path: Path) -> pd.DataFrame:
    """Read a table with header."""
    return pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE)[["label", "sentence"]]


def cola(*paths: Path) -> pd.DataFrame:
    """Read tables of source, label, mark and sentence."""
    tables = [pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, header=None) for path in paths]
    return pd.concat(tables)[[1, 3]].set_axis(["label", "sentence"], axis=1)


def main(downloads: Path, out: Path) -> None:
    """Write train.tsv and dev.tsv of each task."""
    trec = [labelled(downloads / "trec" / f"TREC.{name}.all") for name in ("train", "test")]
    for table in trec:
        table["label"] = table["label"].str.split(":").str[0]
    subj = labelled(downloads / "subj" / "subj.all")
    tenth = subj.index % 10 == 9
    in_domain, out_of_domain = (downloads / "cola" / f"{name}_domain_dev.tsv" for name in ("in", "out_of"))
    tasks = {
        "sst2": [glue(downloads / "sst2" / f"{name}.tsv") for name in ("train", "dev")],
        "cola": [cola(downloads / "cola" / "in_domain_train.tsv"), cola(in_domain, out_of_domain)],
        "trec": trec,
        "subj": [subj[~tenth], subj[tenth]],
    }
    for name, tables in tasks.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        for split, table in zip(("train", "dev"), tables, strict=True):
            rows = [f"{label}\t{sentence.strip()}" for label, sentence in table.itertuples(index=False)]
            (out / name / f"{split}.tsv").write_text("\n".join(["label\tsentence", *rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
