"""A catalogue of wrong inputs to every command: each is one line and exit code 2, and nothing is written or changed."""

import subprocess
import sys

import pytest

from grammask.printing import printable

RULE = '[[rule]]\nquery = ["X"]\nkey = ["X"]\n'
NAMED = 'name = "g"\n'
DEEP = "[" * 10_000 + "]" * 10_000
# Files by what is wrong with them: texts, grammars, grids, corpora and tables, none of which can be read.
TEXTS = {
    "empty.txt": b"",
    "blank.txt": b"\n \n\t\n",
    "latin1.txt": "café\n".encode("latin1"),
    "utf16.txt": "a text\n".encode("utf-16"),
    "binary.txt": bytes(range(256)),
}
GRAMMARS = {
    "empty.toml": b"",
    "binary.toml": bytes(range(256)),
    "utf16.toml": NAMED.encode("utf-16"),
    "latin1.toml": 'name = "é"'.encode("latin1"),
    "cut.toml": b'name = "g',
    "deep.toml": f"name = {DEEP}".encode(),
    "inline.toml": b"name = " + b"{a = " * 10_000 + b"1" + b"}" * 10_000,
    "dots.toml": b"name" + b".a" * 100_000 + b" = 1",
    "digits.toml": b"name = " + b"9" * 5_000,
    "nameless.toml": b"sinks = []",
    "number.toml": b"name = 1",
    "date.toml": b"name = 2020-01-01",
    "up.toml": b'name = "../../x"',
    "root.toml": b'name = "/abs/x"',
    "long.toml": b'name = "' + b"x" * 300 + b'"',
    "markup.toml": b'name = "[red]x[/blue]"',
    "escape.toml": b'name = "a\\u001b[2Jb"',
    "turned.toml": 'name = "\u202egpj.exe"'.encode(),
    "key.toml": NAMED.encode() + b'"[/x] \\u001b[31m" = 1',
    "sinks.toml": NAMED.encode() + b'sinks = "[CLS]"',
    "noun.toml": NAMED.encode() + b'sinks = ["NOUN"]',
    "yes.toml": NAMED.encode() + b'same_tag = "yes"',
    "described.toml": NAMED.encode() + b"description = 1",
    "words.toml": NAMED.encode() + b'description = "' + b"x" * 10_001 + b'"',
    "table.toml": NAMED.encode() + b"rule = {}",
    "list.toml": NAMED.encode() + b"rule = [1, 2]",
    "query.toml": NAMED.encode() + b'[[rule]]\nquery = 1\nkey = ["X"]',
    "tag.toml": NAMED.encode() + b'[[rule]]\nquery = ["[/etc]"]\nkey = ["X"]',
    "keyless.toml": NAMED.encode() + b'[[rule]]\nquery = ["X"]',
    "layers.toml": (NAMED + RULE + 'layers = "0"').encode(),
    "layer.toml": (NAMED + RULE + "layers = [100000000000000000000]").encode(),
    "heads.toml": (NAMED + RULE + "heads = [[0]]").encode(),
    "three.toml": (NAMED + RULE + "reach = [1, 2, 3]").encode(),
    "half.toml": (NAMED + RULE + "reach = [1.5, 2]").encode(),
    "far.toml": (NAMED + RULE + "reach = [0, 1000000]").encode(),
    "hex.toml": (NAMED + RULE + f"reach = [0, 0x{'f' * 5_000}]").encode(),
    "nan.toml": (NAMED + RULE + "strength = nan").encode(),
    "inf.toml": (NAMED + RULE + "strength = -inf").encode(),
    "text.toml": (NAMED + RULE + 'strength = "big"').encode(),
    "named.toml": (NAMED + RULE + f'name = "{"x" * 1_001}"').encode(),
    "reaches.toml": (NAMED + "".join(f"{RULE}reach = [0, {far}]\n" for far in range(2_501))).encode(),
    "large.toml": b"#" * (4 << 20) + b"\n",
}
GRIDS = {
    name: GRAMMARS[name]
    for name in ("empty.toml", "binary.toml", "utf16.toml", "cut.toml", "deep.toml", "digits.toml", "dots.toml")
} | {
    "rowless.toml": b'[tasks.a]\ntask = "film-reviews"',
    "taskless.toml": b'[[rows]]\ngrammars = ["paper"]',
    "up.toml": b'[tasks."../x"]\ntask = "film-reviews"\n[[rows]]\ngrammars = ["paper"]',
    "unknown.toml": b'[tasks.a]\ntask = "film-reviews"\n[[rows]]\ngrammar = ["paper"]',
    "grammar.toml": b'[tasks.a]\ntask = "film-reviews"\n[[rows]]\ngrammars = ["papr"]',
    "setting.toml": b'[settings]\nepoch = 1\n[tasks.a]\n[[rows]]\ngrammars = ["paper"]',
    "type.toml": b'[settings]\nepochs = "many"\n[tasks.a]\n[[rows]]\ngrammars = ["paper"]',
    "rows.toml": b"rows = 1\n[tasks.a]",
}
CORPORA = {
    "empty.conllu": b"",
    "binary.conllu": bytes(range(256)),
    "latin1.conllu": "1\tcaf\xe9\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n".encode("latin1"),
    "short.conllu": b"1\tdog\n\n",
    "head.conllu": b"1\tdog\t_\tNOUN\t_\t_\t9\troot\t_\t_\n\n",
    "tag.conllu": b"1\tdog\t_\tNOON\t_\t_\t0\troot\t_\t_\n\n",
    "notgz.conllu.gz": b"1\tdog\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n",
}
TASKS = {
    "empty.tsv": b"",
    "header.tsv": b"text\tlabel\n",
    "binary.tsv": bytes(range(256)),
    "latin1.tsv": "text\tlabel\ncaf\xe9\t1\nno\t0\n".encode("latin1"),
    "columns.tsv": b"a\tb\nx\t1\ny\t0\n",
    "one.tsv": b"text\tlabel\ngood\t1\nbetter\t1\n",
    "cut.jsonl": b'{"text": "a", "label": 1}\n{"text": "b"',
    "digits.jsonl": b'{"text": "a", "label": ' + b"9" * 5_000 + b"}\n",
    "list.jsonl": b"[1, 2]\n",
    "binary.parquet": bytes(range(256)),
    "unknown.xyz": b"text\tlabel\n",
}
RECORDS = {
    "empty.json": b"",
    "cut.json": b'{"format": 1',
    "list.json": b"[]",
    "deep.json": DEEP.encode(),
    "digits.json": b'{"format": ' + b"9" * 5_000 + b"}",
    "binary.json": bytes(range(256)),
}
PLACES = [
    "missing",
    "folder",
    "folder/missing",
    "empty.txt/below",
    "x" * 300,
    "~nobody-is-called-so/x",
    "a\0b",
    "[/etc]",
    "\x1b[2J",
]

WITH_GRAMMAR = {
    "show": ("grammar", "show", "{}"),
    "check": ("grammar", "check", "{}"),
    "density": ("grammar", "density", "{}"),
    "start": ("induce", "--out", "new.toml", "--start", "{}"),
    "compare": ("compare", "--grammar", "{}"),
    "adherence": ("adherence", "--text", "good.txt", "--grammar", "{}"),
    "bench": ("bench", "--grammars", "{}"),
    "perplexity": ("perplexity", "--grammars", "{}"),
    "pretrain": ("pretrain", "--text", "good.txt", "--grammar", "{}"),
    "pairs": ("pairs", "--model", "missing", "--grammar", "{}"),
}
WITH_TEXT = {
    "density": ("grammar", "density", "paper", "--text", "{}"),
    "induce": ("induce", "--out", "new.toml", "--text", "{}"),
    "explain": ("explain", "--model", "missing", "--text", "{}"),
    "adherence": ("adherence", "--text", "{}"),
    "faithfulness": ("faithfulness", "--model", "missing", "--text", "{}"),
    "bench": ("bench", "--levels", "end-to-end", "--text", "{}"),
    "perplexity": ("perplexity", "--text", "{}"),
    "pretrain": ("pretrain", "--text", "{}"),
}
WITH_MODEL = {
    "explain": ("explain", "a text", "--model", "{}"),
    "adherence": ("adherence", "--text", "good.txt", "--model", "{}"),
    "faithfulness": ("faithfulness", "--text", "good.txt", "--model", "{}"),
    "compare": ("compare", "--model", "{}"),
    "induce": ("induce", "--out", "new.toml", "--from", "attention", "--model", "{}"),
    "bench": ("bench", "--levels", "model", "--model", "{}"),
    "perplexity": ("perplexity", "--text", "good.txt", "--model", "{}"),
    "pretrain": ("pretrain", "--text", "good.txt", "--model", "{}"),
    "pairs": ("pairs", "--model", "{}"),
}
WITH_TAGGER = {
    "tag": ("tag", "a text", "--tagger", "{}"),
    "density": ("grammar", "density", "paper", "--tagger", "{}"),
    "compare": ("compare", "--tagger", "{}"),
    "induce": ("induce", "--out", "new.toml", "--tagger", "{}"),
}
PAGES = {
    "explain": ("explain", "a text", "--model", "missing"),
    "adherence": ("adherence",),
    "faithfulness": ("faithfulness", "--model", "missing"),
}
OUT = ["page.txt", "page", "taken.html", "good.txt/page.html", f"{'x' * 300}.html", "a\0.html", "folder.html", ".html"]
# Values that no option of the kind takes, by command and option.
WHOLE = ["0", "-1", "1.5", "one", "nan", "9" * 5_000, "", "[/x]"]
SHAPES = [(), ("2", "8"), ("2", "8", "2", "2"), ("0", "8", "2"), ("2", "8", "3"), ("2", "8", "-2"), ("9" * 9, "8", "2")]
OPTIONS = {
    ("compare",): {
        "--seeds": ["one", "1.5", "0,0", "-1", "9" * 5_000, "[/x]"],
        "--epochs": ["0", "-1", "many", "nan"],
        "--batch-size": ["0", "-1", "1.5"],
        "--learning-rate": ["0", "-1", "fast", "nan"],
        "--max-length": ["0", "-1", "7", "long"],
        "--positions": ["7", *WHOLE, str(10**6 + 1)],
        "--position-method": ["interpolate", "stretch", "", "[/x]"],
        "--attention": ["full", "", "[/x]"],
        "--model": [f"scratch:{'x'.join(shape)}" for shape in SHAPES],
        "--margin": ["0", "1", "-1", "nan", "x"],
        "--metric": ["f1", "", "[/x]"],
        "--precision": ["int8", ""],
        "--strategies": ["gentle", "[/x]", "\x1b[2J"],
        "--controls": ["none", "[/x]"],
        "--adapt": ["none", "[/x]"],
        "--grammar": ["papr", "", "paper:none"],
        "--train-size": ["0", "1", "-5"],
        "--eval-size": ["0", "1", "x"],
        "--sentences": ["none", "[/x]"],
        "--nothing": ["x"],
    },
    ("grammar", "density", "paper"): {
        "--layers": [*WHOLE, str(10**20), "257"],
        "--heads": [*WHOLE, str(10**20), "257"],
        "--sentences": ["none", "[/x]"],
    },
    ("induce", "--out", "new.toml"): {
        "--budget": ["-0.1", "1.1", "nan", "x"],
        "--from": ["arc", "[/x]", ""],
        "--scope": ["head", "none"],
        "--most-rules": WHOLE,
        "--texts": ["9", *WHOLE],
        "--offsets-share": ["-1", "2", "nan"],
        "--attention-share": ["-1", "2", "nan"],
        "--strength": ["nan", "inf", "x"],
        "--description": ["x" * 10_001],
        "--start": ["papr"],
        "--held-out": ["good.txt"],
    },
    ("induce", "--out", "new.toml", "--from", "loss"): {
        "--device": ["tpu", "cuda:99", "[/x]"],
        "--length": ["511"],
        "--windows": ["64", "64,256,512", "0,9", "256,64", "64,4097", "x", "[/x]"],
    },
    ("induce",): {
        "--out": [
            "x.txt",
            ".toml",
            "a b.toml",
            "é.toml",
            f"{'x' * 65}.toml",
            "folder.toml",
            "taken.toml",
            "good.txt/x.toml",
        ]
    },
    ("adherence", "--text", "good.txt"): {
        "--texts": WHOLE,
        "--grammar": ["papr", "[/x]"],
        "--figures": ["good.txt", "good.txt/x"],
    },
    ("faithfulness", "--model", "missing"): {"--texts": WHOLE, "--seed": ["-1", "1.5", "x", str(2**32)]},
    ("explain", "a text", "--model", "missing"): {
        "--layer": ["one", "1.5"],
        "--grammar": ["papr", "[/x]"],
        "--sentences": ["none"],
        "--figures": ["good.txt", "good.txt/x", "explain.html"],
    },
    ("bench",): {
        "--grammars": ["papr", "[/x]"],
        "--strategies": ["gentle", "full"],
        "--levels": ["none", "[/x]"],
        "--passes": ["none"],
        "--lengths": ["one", "0", "-1", "9" * 5_000],
        "--batch-sizes": ["one", "0", "-1"],
        "--heads": ["0", "-1", "x"],
        "--head-dim": ["0", "-1", "x"],
        "--key-heads": ["0", "-1", "x", "5"],
        "--layer": ["-1", "x", "9" * 5_000],
        "--masks": ["sliding", "window-0", "causal,causal", "[/x]"],
        "--threads": ["one", "0", "-1"],
        "--dtypes": ["int8", "[/x]"],
        "--backends": ["none"],
        "--peers": ["none"],
        "--attention-dropout": ["-1", "1", "nan", "x"],
        "--seconds": ["-1", "nan", "x"],
        "--seed": ["x", "-1"],
        "--figures": ["good.txt"],
        "--out": ["good.txt", "good.txt/x", "x" * 300],
    },
    ("perplexity", "--recall"): {
        "--distances": ["one", "0", "-1", "2048", "500,10", "9" * 5_000, "[/x]"],
        "--peers": ["none", "[/x]", "snapkv,\x1b[2J"],
    },
    ("perplexity",): {
        "--distances": ["500"],
        "--peers": ["random"],
        "--length": ["0", "-1", "1", "1.5", "9" * 5_000],
        "--skip": ["0", "-1", "x", "2048"],
        "--near": ["0", "x"],
        "--limit": ["0", "x"],
        "--seed": ["-1", "x", str(2**32)],
        "--device": ["tpu", "cuda:99", "[/x]"],
        "--controls": ["none", "[/x]", "rarest,\x1b[2J"],
        "--grammars": ["papr", "names-far,names-far", "names-far:hard", "[/x]"],
        "--figures": ["good.txt", "good.txt/x"],
        "--out": ["good.txt", "good.txt/x", "x" * 300],
        "--nothing": ["x"],
    },
    ("pretrain", "--text", "good.txt"): {
        "--model": [f"scratch:{'x'.join(shape)}" for shape in SHAPES],
        "--limit": ["1", *WHOLE],
        "--vocabulary": ["199", *WHOLE],
        "--strategy": ["soft", "full", "[/x]"],
        "--control": ["window", "[/x]"],
        "--text-column": ["text"],
        "--masked": ["0", "1", "nan", "x"],
        "--epochs": ["0", "nan", "x"],
        "--batch-size": WHOLE,
        "--learning-rate": ["0", "nan", "fast"],
        "--max-length": ["7", *WHOLE],
        "--precision": ["int8", ""],
        "--seed": ["-1", "x", str(2**32)],
        "--save-every": WHOLE,
        "--sentences": ["none"],
        "--out": ["good.txt", "good.txt/x", "x" * 300],
        "--nothing": ["x"],
    },
    ("pairs", "--model", "missing"): {
        "--phenomena": ["agrement", "[/x]", "agreement,\x1b[2J"],
        "--count": ["1", *WHOLE],
        "--batch-size": WHOLE,
        "--strategies": ["gentle", "[/x]"],
        "--controls": ["none", "[/x]"],
        "--seed": ["-1", "x", str(2**32)],
        "--out": ["good.txt", "good.txt/x", "x" * 300, "folder"],
        "--nothing": ["x"],
    },
    ("tagger", "train", "--out", "new", "--conllu", "good.txt"): {
        "--epochs": WHOLE,
        "--limit": WHOLE,
        "--seed": ["-1", "1.5", "x", str(2**32)],
        "--name": ["", "x" * 101],
        "--text": ["good.txt"],
        "--teacher": ["en_core_web_sm"],
        "--nothing": ["x"],
    },
    ("tagger", "train", "--conllu", "good.txt"): {"--out": ["good.txt", "good.txt/x", "x" * 300, "a\0", "corpora"]},
    ("tagger", "check", "folder", "--conllu", "good.txt"): {"--limit": WHOLE, "--teacher": ["en_core_web_sm"]},
    ("tag", "a text"): {"--sentences": ["none", "[/x]"], "--nothing": ["x"], "--keep": ["id"], "--out": ["new"]},
    ("tag", "--corpus", "corpus.jsonl", "--out", "new"): {
        "--part-rows": WHOLE,
        "--workers": WHOLE,
        "--column": ["", "tags", "row", "problem"],
        "--keep": ["tags", "row", "text", "a,a"],
        "--as": ["words", "annotation", "[/x]"],
        "--model": ["minilm"],
        "--tagger": ["xx_none", "./missing"],
        "--sentences": ["none"],
    },
    ("embed", "--corpus", "corpus.jsonl", "--out", "new"): {"--model": ["missing", "folder", "good.txt", "x" * 300]},
    ("embed", "--model", "missing", "--corpus", "corpus.jsonl", "--out", "new"): {
        "--part-rows": WHOLE,
        "--keep": ["row"],
    },
    ("tag", "--corpus", "corpus.jsonl"): {
        "--out": ["good.txt", "good.txt/x", "x" * 300, "a\0", "corpora", ".", "corpus.jsonl"]
    },
}
ALONE = [
    ("nothing",),
    ("grammar", "nothing"),
    ("tag",),
    ("tag", "caf\udce9"),
    ("tag", "caf\udce9", "--tagger", "english-subwords"),
    ("tag", "--corpus", "corpus.jsonl"),
    ("embed",),
    ("embed", "--corpus", "corpus.jsonl", "--out", "new"),
    ("embed", "--model", "missing", "--out", "new"),
    ("embed", "--model", "missing", "--corpus", "corpus.jsonl"),
    ("tag", "a text", "--corpus", "corpus.jsonl", "--out", "new"),
    ("tagger", "nothing"),
    ("tagger", "train"),
    ("tagger", "train", "--out", "new"),
    ("tagger", "train", "--out", "new", "--text", "good.txt"),
    ("tagger", "train", "--out", "new", "--text", "good.txt", "--teacher", "xx_none"),
    ("tagger", "train", "--out", "new", "--model", "./missing", "--conllu", "good.txt"),
    ("tagger", "check"),
    ("tagger", "check", "folder"),
    ("tagger", "check", "folder", "--conllu", "good.txt"),
    ("tagger", "check", "./missing", "--conllu", "good.txt"),
    ("pretrain",),
    ("pretrain", "--resume", "--text", "good.txt"),
    ("induce",),
    ("explain",),
    ("faithfulness",),
    ("grammar", "show"),
    ("explain", "--model", "missing"),
    ("explain", "--model", "some/missing@v1", "a"),
    ("explain", "--model", "missing@", "a"),
    ("compare", "--task", "some/missing@v1"),
    ("compare", "--task", "missing@"),
    ("explain", "--model", "missing", "a", "--text", "good.txt"),
    ("compare", "--resume"),
    ("compare", "--report-only"),
    ("compare", "--resume", "--out", "missing"),
    ("compare", "--report-only", "--out", "missing"),
    ("compare", "--report-only", "--out", "folder"),
    ("compare", "--all", "--train-size", "5"),
    ("compare", "--grid", "good.txt", "--seeds", "1"),
    ("compare", "extra"),
    ("results", "folder"),
    ("compare", "--report-only", "missing"),
    ("compare", "--report-only", "folder"),
    ("compare", "--report-only", "folder", "--out", "page"),
    ("compare", "--report-only", "folder", "--seeds", "0,1"),
    ("compare", "--report-only", "--out", "folder", "--metric", "matthews"),
    ("compare", "--report-only", "folder", "folder"),
    ("compare", "--report-only", "folder", "folder", "--out", "page"),
    ("compare", "--report-only", "good.txt"),
    ("compare", "--report-only", "good.txt", "--out", "page"),
    ("compare", "--report-only", "records/list.json", "folder", "--out", "page"),
    ("compare", "--report-only", "records/list.json", "--figures", "page"),
    ("compare", "--grid", "good.txt", "folder"),
    ("bench", "extra"),
    ("perplexity", "extra"),
    ("perplexity", "--report-only"),
    ("perplexity", "--report-only", "missing"),
    ("perplexity", "--report-only", "--out", "missing"),
    ("perplexity", "--report-only", "folder"),
    ("perplexity", "--report-only", "good.txt"),
    ("perplexity", "--report-only", "folder", "--out", "page"),
    ("perplexity", "--report-only", "--out", "folder", "--resume"),
    ("perplexity", "--report-only", "folder", "--length", "100"),
    ("perplexity", "--resume"),
    ("perplexity", "--resume", "--out", "missing"),
    ("perplexity", "--resume", "--out", "folder"),
    ("grammar", "list", "extra"),
    ("induce", "--out", "new.toml", "--text", "good.txt", "--conllu", "good.txt"),
    ("induce", "--out", "new.toml", "--conllu", "good.txt", "--from", "attention"),
]


def filled(table, values):
    return [
        tuple(value if part == "{}" else part for part in command) for command in table.values() for value in values
    ]


CASES = [
    *filled(WITH_GRAMMAR, [f"grammars/{name}" for name in GRAMMARS] + PLACES),
    *filled(WITH_TEXT, [f"texts/{name}" for name in TEXTS] + PLACES),
    *filled({"grid": ("compare", "--grid", "{}")}, [f"grids/{name}" for name in GRIDS] + PLACES),
    *filled(
        {
            "conllu": ("induce", "--out", "new.toml", "--conllu", "{}"),
            "tagger": ("tagger", "train", "--out", "new", "--conllu", "{}"),
        },
        [f"corpora/{name}" for name in CORPORA if name != "head.conllu"] + PLACES,
    ),
    ("induce", "--out", "new.toml", "--conllu", "corpora/head.conllu"),
    *filled({"task": ("compare", "--task", "{}")}, [f"tasks/{name}" for name in TASKS] + PLACES[3:5]),
    *filled(WITH_MODEL, ["./missing", "folder", "good.txt", "x" * 300]),
    *filled(
        {"corpus": ("tag", "--out", "new", "--corpus", "{}")},
        ["texts/empty.txt", "tasks/binary.parquet", "tasks/columns.tsv", *PLACES],
    ),
    *filled(WITH_TAGGER, ["xx_none", "[/x]", "./missing"]),
    *[(*command, "--out", out) for command in PAGES.values() for out in OUT],
    *[
        (*command, option, value)
        for command, table in OPTIONS.items()
        for option, values in table.items()
        for value in values
    ],
    *filled({"record": ("compare", "--report-only", "{}")}, [f"records/{name}" for name in RECORDS] + PLACES),
    *ALONE,
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of wrong files, and of what is there already and must stay as it is."""
    folder = tmp_path_factory.mktemp("catalogue")
    for kind, files in {
        "grammars": GRAMMARS, "texts": TEXTS, "grids": GRIDS, "corpora": CORPORA, "tasks": TASKS, "records": RECORDS,
        ".": {"good.txt": b"Dogs bark.\n" * 20, "corpus.jsonl": b'{"text": "a"}',
              "empty.txt": b"", "taken.html": b"mine", "taken.toml": b"mine"},
    }.items():  # fmt: skip
        (folder / kind).mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / kind / name).write_bytes(content)
    for name in ("folder", "folder.html", "folder.toml"):
        (folder / name).mkdir()
    return folder


def listing(folder):
    return {path: path.stat().st_mtime_ns if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def says(grammask, place, monkeypatch, tmp_path):
    """Run a command in the folder, and return its one line after checking that nothing else came of it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("GRAMMASK_CACHE", str(tmp_path / "cache"))
    before = listing(place)

    def run(*arguments):
        done = grammask(*arguments, cwd=place)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert listing(place) == before
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("grammask: ")
        assert len(lines[0]) < 1_500
        return lines[0]

    return run


def named(case):
    return printable(" ".join(part if len(part) < 40 else f"{part[:20]}..." for part in case))


@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_is_wrong_is_one_line_and_changes_nothing(says, case):
    assert says(*case)


@pytest.mark.parametrize(
    "arguments",
    [
        ("grammar", "check", "grammars/up.toml"),
        ("grammar", "show", "[/etc]"),
        ("tag", "a", "--tagger", "\x1b[2J"),
    ],
    ids=named,
)
def test_a_process_of_its_own_says_the_same(place, arguments):
    before = listing(place)
    command = [sys.executable, "-c", "from grammask.cli import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 2, done
    assert done.stderr.startswith("grammask: ")
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr
    assert listing(place) == before


def test_the_catalogue_is_long_enough():
    assert len(set(CASES)) >= 300
